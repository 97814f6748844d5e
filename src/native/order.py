#!/usr/bin/env python3
"""Writes order.ld, by which the static binaries are linked: `make order`, after a change of what is often run.

Linux maps the pages around one that is touched, so functions that are run together are to stand together. QEMU's
emulator of programs tells each instruction that it meets; the linker's map, to which section it belongs.

    order.py BINARY MAP MINIMAL_BINARY MINIMAL_MAP
"""

import bisect
import csv
import http.client
import json
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
DEADLINE_S = 60
# Where QEMU loads a program that can be anywhere.
BASE = 0x4000000000

HEAD = """\
/* Written by order.py (`make order`): what is run together stands together. A name that matches nothing, or a function
 * that is not named, does no harm but to the pages that are resident. The names are without what changes from compiler to
 * compiler: hashes of crates, and places of what is referred back to. */
SECTIONS
{
  .text.ordered :
  {
    /* Written in assembler, so without names; and what reads a kernel's vDSO, which QEMU has none of. */
    *crt1.o(.text) *libc.a:*(.text) *(.text.strcmp .text.*6rustix7backend*4vdso* .text.*6rustix7backend*14check_elf_base)
"""
TAIL = """\
    /* What has another name since then, in one place. */
    *(.text.*5ounce6native* .text.*5ounce7service* .text.*5ounce8handlers* .text.*5hyper5proto* .text.*5tokio7runtime*)
  }
}
INSERT BEFORE .text;
"""


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)

    def send(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body else {}
        self.connection.request(method, path, json.dumps(body) if body else None, headers)

    def read(self):
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def ask(self, *request):
        self.send(*request)
        return self.read()


def light(client):
    """Many connections at once, which come and go; and the second in which the service looks after those that are idle."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        clients = [Client(client.connection.port) for _ in range(100)]
        for path in ["/livez", "/readyz", "/api/light", "/api/light"]:
            for each in clients:
                each.send("GET", path)
            for each in clients:
                assert each.read()[0] == 200, path
        for each in clients[50:]:
            # Closed with an answer on its way.
            each.send("GET", "/api/light")
        for each in clients:
            each.connection.close()


def analyze(client):
    with open(ROOT / "model/functional.csv", encoding="utf-8") as cases:
        for case in csv.DictReader(cases):
            assert client.ask("POST", "/analyze", {"text": case["text"], "model": "simple"})[0] == 200, case


def jobs(client):
    for text in ["one", "two"]:
        status, body = client.ask("POST", "/jobs", {"text": text})
        assert status == 202, body
        until(lambda: b'"done"' in client.ask("GET", "/jobs/" + json.loads(body)["job_id"])[1], "the job is done")
    assert client.ask("GET", "/jobs")[0] == 200


def scrape(client):
    jobs(client)
    assert client.ask("GET", "/metrics")[0] == 200


def until(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not in {DEADLINE_S} s: {what}"
        time.sleep(0.01)


def sections(path):
    """The sections of code of a linker's map: where each begins, and where it ends and how it is called."""
    found = re.findall(r"^ (\.text\.\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) ", path.read_text(), re.MULTILINE)
    placed = sorted((int(start, 16), int(size, 16), name) for name, start, size in found if int(start, 16))
    return [start for start, _, _ in placed], [(start + size, name) for start, size, name in placed]


def run(binary, use, flags):
    """The addresses of what a start and this use run, in their order."""
    with tempfile.TemporaryDirectory() as directory:
        log = pathlib.Path(directory, "log")
        emulate = [f"qemu-{platform.machine()}", "-cpu", "max", "-d", "in_asm"]
        serve = [binary, "--listen", "127.0.0.1:0"]
        # Standard error is not buffered: when the process is killed, nothing is missing.
        process = subprocess.Popen(
            emulate + serve + flags, cwd=directory, stdout=subprocess.PIPE, stderr=log.open("w"), text=True
        )
        try:
            line = process.stdout.readline()
            assert "listening on http://" in line, line
            port = int(line.rsplit(":", 1)[1])
            use(Client(port))
            # By then it is done with all that came before.
            assert Client(port).ask("GET", "/livez")[0] == 200
        finally:
            # How it ends is not of interest.
            process.kill()
            process.wait()
        return [int(address, 16) - BASE for address in re.findall(r"^0x([0-9a-f]+):", log.read_text(), re.MULTILINE)]


def functions(binary, map_file, use, flags):
    starts, ends = sections(map_file)
    for address in run(binary, use, flags):
        index = bisect.bisect(starts, address) - 1
        if index >= 0 and address < ends[index][0]:
            yield ends[index][1]


def pattern(name):
    name = re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", name)
    name = re.sub(r"(?<=[0-9A-Za-z_])B[0-9A-Za-z]*_", "B*_", name)
    return re.sub(r"\.(llvm\.)?\d+$", ".*", name)


def main():
    missing = [tool for tool in [f"qemu-{platform.machine()}", "redis-server"] if not shutil.which(tool)]
    if missing or len(sys.argv) != 5:
        sys.exit(f"order.py: install {' and '.join(missing)} (Debian: qemu-user, redis-server)" if missing else __doc__)
    binary, map_file, minimal, minimal_map = (pathlib.Path(path).absolute() for path in sys.argv[1:])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    redis = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"]
    url = f"redis://127.0.0.1:{port}"
    alone, several = ["--workers", "1"], ["--workers", "2"]
    flags = ["--access-log", "off", "--data-dir", ".", "--max-body", "1m", "--idle-timeout", "60s"]
    uses = [
        ("a start, and constant answers", binary, map_file, light, alone),
        ("several workers", binary, map_file, light, several),
        ("as many as there are CPUs, and other flags", binary, map_file, light, flags),
        ("the minimal binary", minimal, minimal_map, light, alone),
        ("the same, with flags", minimal, minimal_map, light, flags[:2]),
        ("scores", binary, map_file, analyze, alone),
        ("jobs in a file", binary, map_file, jobs, alone),
        ("jobs in Redis", binary, map_file, jobs, [*alone, "--redis-url", url]),
        ("a scrape", binary, map_file, scrape, alone),
    ]
    known, text = set(), HEAD
    server = subprocess.Popen(redis, stdout=subprocess.DEVNULL)
    try:
        for what, program, its_map, use, flags in uses:
            found = dict.fromkeys(pattern(name) for name in functions(program, its_map, use, flags))
            assert found, f"nothing that was run is in {its_map}: does this QEMU load programs elsewhere than at BASE?"
            new = [name for name in found if name not in known]
            known.update(new)
            lines = "".join(f"\n      {name}" for name in new)
            text += f"    /* {what}: {len(new)} */\n    *({lines.lstrip()})\n"
            print(f"order.ld: {what}: {len(new)} functions")
    finally:
        server.terminate()
    pathlib.Path(__file__).with_name("order.ld").write_text(text + TAIL)


if __name__ == "__main__":
    main()
