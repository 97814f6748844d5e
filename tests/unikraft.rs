//! What Unikraft's base runtime asks of the service, checked without booting it: the form of the binary, its system
//! calls, and the Kraftfile.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use common::{Server, dist, eventually, skip};
use elf::ElfBytes;
use elf::abi::{ELFOSABI_LINUX, ELFOSABI_NONE, EM_AARCH64, EM_X86_64, ET_DYN, PF_W, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;
use ounce::native::config::Config;
use ounce::router::{Action, ROUTES, Verb};
use serde::Deserialize;

const PAGE: u64 = 4096;

fn page(address: u64) -> u64 {
    address / PAGE
}

/// What app-elfloader's `elf_load.c` checks, asserts, or silently relies on.
#[test]
fn the_loader_takes_the_static_binaries() {
    for name in ["ounce", "ounce-minimal"] {
        let file = fs::read(dist(name)).expect("it is there");
        let elf = ElfBytes::<LittleEndian>::minimal_parse(&file).expect("an ELF file");
        let head = elf.ehdr;
        assert!([EM_X86_64, EM_AARCH64].contains(&head.e_machine), "{name}: machine {}", head.e_machine);
        assert!([ELFOSABI_NONE, ELFOSABI_LINUX].contains(&head.osabi), "{name}: OS ABI {}", head.osabi);
        assert_eq!(head.e_type, ET_DYN, "{name} is not position-independent");
        let headers: Vec<_> = elf.segments().expect("program headers").iter().collect();
        assert!(headers.iter().all(|header| header.p_type != PT_INTERP), "{name} needs an interpreter");
        let loaded: Vec<_> = headers.into_iter().filter(|header| header.p_type == PT_LOAD).collect();
        let first = loaded.first().expect("something to load");
        assert_eq!(first.p_vaddr % first.p_align, 0, "{name}: the first segment is not aligned");
        assert!(
            (first.p_offset..first.p_offset + first.p_filesz).contains(&head.e_phoff),
            "{name}: libc cannot find the program headers in memory"
        );
        loaded.iter().for_each(|segment| can_be_mapped(name, segment));
        for pair in loaded.windows(2) {
            let end = pair[0].p_vaddr + pair[0].p_memsz;
            assert!(
                page(end - 1) < page(pair[1].p_vaddr),
                "{name}: segments share a page, or are out of order"
            );
        }
    }
}

fn can_be_mapped(name: &str, segment: &ProgramHeader) {
    let at = segment.p_vaddr;
    assert_eq!(segment.p_align % PAGE, 0, "{name}: the segment at {at:#x} is not aligned to pages");
    assert_eq!(at % PAGE, segment.p_offset % PAGE, "{name}: the segment at {at:#x} cannot be mapped");
    // What the file does not hold is zeroed in writable segments alone.
    let filled = segment.p_filesz == segment.p_memsz || segment.p_flags & PF_W != 0;
    assert!(filled, "{name}: the segment at {at:#x} is read-only and has zeroes beyond the file");
}

#[derive(Deserialize)]
struct Calls {
    provided: BTreeSet<String>,
    /// Call → why the service can do without it.
    tolerated: BTreeMap<String, String>,
}

#[test]
fn the_service_makes_only_system_calls_that_the_runtime_has() {
    let what = "system calls under Unikraft";
    if !cfg!(target_arch = "x86_64") {
        return skip(what, "the list is for x86_64");
    }
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !traced.is_ok_and(|output| output.status.success()) {
        return skip(what, "strace is not installed, or may not trace");
    }
    let calls: Calls = toml::from_str(include_str!("unikraft.toml")).expect("tests/unikraft.toml is valid");
    let made = system_calls(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("unikraft.strace"));
    assert!(made.contains("accept4") && made.contains("clone"), "strace saw too little: {made:?}");
    let foreign: Vec<_> = made
        .iter()
        .filter(|call| !calls.provided.contains(*call) && !calls.tolerated.contains_key(*call))
        .collect();
    assert!(
        foreign.is_empty(),
        "new system calls, which Unikraft may not have: {foreign:?}; tests/unikraft.toml says what to do"
    );
}

/// The names of all calls from the start to the end of some load, with `trace` for strace's notes.
fn system_calls(trace: &Path) -> BTreeSet<String> {
    let (binary, trace) = (dist("ounce"), trace.to_str().expect("an UTF-8 path"));
    let command = ["strace", "-f", "-qq", "-o", trace, binary.to_str().expect("an UTF-8 path")];
    let flags = ["--variant", "unikernel", "--listen", "127.0.0.1:0", "--access-log", "on"];
    let server = Server::spawn(command.into_iter().chain(flags));
    load(&server);
    drop(server);
    let trace = fs::read_to_string(trace).expect("strace wrote its notes");
    // `PID NAME(…`; what is resumed, a signal, or an end has been named before.
    let names = trace.lines().filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('));
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    // The first one is strace's, to start the service.
    names.map(|(name, _)| name.to_owned()).filter(|name| is_name(name) && name != "execve").collect()
}

/// From being submitted to its end.
fn a_job(server: &Server) {
    let json = [("content-type", "application/json")];
    let accepted = server.connect().request("POST", "/jobs", &json, br#"{"text": "you"}"#);
    let place = accepted.header("location").unwrap_or_else(|| panic!("{}", accepted.text()));
    eventually("it is done", || server.get(place).json()["status"] == "done");
    assert_eq!(server.connect().request("DELETE", place, &[], b"").status, 409);
}

/// More connections than the variant has places, every route, a body, and some mistakes.
fn load(server: &Server) {
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                // There is a job to be seen only once it was submitted.
                for route in ROUTES.iter().filter(|route| route.action != Action::Job) {
                    let (method, body): (_, &[u8]) = match route.accepts(Verb::Get) {
                        true => ("GET", b""),
                        false => ("POST", br#"{"text": "you", "texts": ["you", "me"]}"#),
                    };
                    let answer = server.connect().request(method, route.path, &[], body);
                    assert_eq!(answer.status, 200, "{}", route.path);
                }
                a_job(server);
                assert_eq!(server.get("/nowhere").status, 404);
                let upload = server.connect().request("POST", "/api/light", &[], &[b'x'; 60_000]);
                assert_eq!(upload.status, 405);
            });
        }
    });
    let mut rude = server.connect();
    rude.send(b"what?\r\n\r\n").expect("it is taken");
    assert_eq!(rude.answer().expect("an answer").status, 400);
}

/// Keys of kraft's `schema/v0.6.json`, and `cmd`, which the schema forgot and kraft reads.
const KRAFTFILE: &str = "spec specification labels name outdir template runtime rootfs volumes env unikraft targets libraries cmd";

#[test]
fn the_kraftfile_starts_the_variant() {
    let text = include_str!("../Kraftfile");
    let entries: BTreeMap<&str, &str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            line.split_once(": ").unwrap_or_else(|| panic!("not a line of the form 'key: value': {line}"))
        })
        .collect();
    assert!(entries.keys().all(|key| KRAFTFILE.split(' ').any(|known| known == *key)), "{entries:?}");
    assert_eq!((entries["spec"], entries["runtime"]), ("v0.6", "base:latest"));
    // A flow sequence of quoted strings is JSON too.
    let command: Vec<String> = serde_json::from_str(entries["cmd"]).expect("a list of strings");
    let (program, flags) = command.split_first().expect("a program");
    assert_eq!(program, "/ounce");
    let config = Config::read(flags.iter().cloned(), |_| None).expect("flags that the service takes");
    assert_eq!((config.variant.as_str(), config.workers), ("unikernel", 1));
}
