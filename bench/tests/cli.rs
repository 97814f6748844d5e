//! The command line as a user meets it: a run against a small service, its record, its reports, its errors.

mod common;

use std::fs;
use std::path::Path;

use common::{scale, scratch};
use ounce_bench::record::Record;
use ounce_bench::target::Target;

/// Not a test: the service that the run below measures, in this same executable.
#[test]
fn stub() {
    let Ok(address) = std::env::var("STUB_LISTEN") else { return };
    common::serve_on(std::net::TcpListener::bind(address).unwrap(), |_| {
        common::Act::Answer(common::ok("hello"))
    });
}

fn write(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    path.to_string_lossy().into_owned()
}

const WORKLOADS: &str = "[[workload]]\nname = \"hello\"\nsummary = \"\"\npath = \"/\"\nconnections = 2\n";

/// A service with its target file, a target that cannot run, and where the record goes.
struct Bench {
    good: String,
    bad: String,
    workloads: String,
    records: String,
}

fn bench(name: &str) -> Bench {
    let dir = scratch(name);
    let exe = std::env::current_exe().unwrap();
    let good = format!(
        "name = \"good\"\nkind = \"process\"\ncommand = [{exe:?}, \"stub\", \"--exact\"]\nartefact = {exe:?}\n\
         [env]\nSTUB_LISTEN = \"{{address}}\"\n"
    );
    let bad =
        "name = \"bad\"\nkind = \"process\"\ncommand = [\"sh\", \"-c\", \"echo it broke >&2; exit 1\"]\n";
    Bench {
        good: write(&dir.join("good.toml"), &good),
        bad: write(&dir.join("bad.toml"), bad),
        workloads: write(&dir.join("workloads.toml"), WORKLOADS),
        records: dir.join("records").to_string_lossy().into_owned(),
    }
}

fn run(bench: &Bench, targets: &[&str], more: &[&str]) -> (i32, String, String) {
    let mut words =
        vec!["run", "--workloads-file", &bench.workloads, "--workload", "hello", "--duration", "0.3"];
    words.extend(["--records-dir", &bench.records, "--host-label", "test host"]);
    words.extend(targets.iter().flat_map(|target| ["--target", target]));
    words.extend(more);
    scale(&words)
}

#[test]
fn a_run_measures_what_runs_and_keeps_a_row_for_what_does_not() {
    let bench = bench("run");
    let (code, stdout, stderr) = run(&bench, &[&bench.good, &bench.bad], &["--json", "--rounds", "3"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "a pipe gets no progress");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let (good, bad) = (&report["rows"][0], &report["rows"][1]);
    for figure in [
        "req_per_s",
        "req_per_s_per_mb",
        "pss_idle_mb",
        "pss_loaded_mb",
        "req_per_cpu_s",
        "p50_ms",
        "p99_9_ms",
    ] {
        let (median, interval) = (good[figure]["median"].as_f64(), &good[figure]["interval"]);
        assert!(median.unwrap() > 0.0 && interval[0].as_f64() <= median, "{figure}: {good}");
        assert_eq!(good[figure]["n"], 3, "{figure}: {good}");
    }
    assert_eq!(good["cold_start_ms"]["n"], 12, "at least 10, in rounds of 4");
    assert!(good["artefact_mb"].as_f64().unwrap() > 1.0);
    assert_eq!((&good["errors"], &good["error"]), (&0.into(), &serde_json::Value::Null));
    assert!(bad["error"].as_str().unwrap().contains("it broke") && bad["req_per_s"].is_null());

    let path = Path::new(report["record"].as_str().unwrap());
    assert!(path.file_name().unwrap().to_string_lossy().ends_with("-test-host.json"));
    let record = Record::read(path).unwrap();
    let turns: Vec<(usize, &str)> =
        record.cells.iter().map(|cell| (cell.round, cell.target.as_str())).collect();
    assert_eq!(turns, [(0, "good"), (0, "bad"), (1, "bad"), (1, "good"), (2, "good"), (2, "bad")]);
    let cell = &record.cells[0];
    assert!(record.complete && cell.starts.len() == 4 && cell.noise.is_some());
    assert!(cell.samples.len() >= 2 && cell.idle.is_some() && cell.after.is_some());
    let load = cell.load.as_ref().unwrap();
    assert!(load.requests > 0 && load.server_cpu_s > 0.0 && load.generator_cpu_s > 0.0);
}

#[test]
fn a_target_is_left_out_of_what_it_cannot_answer_and_a_peer_is_marked() {
    let bench = bench("serves");
    let rewrite = |path: &str, from: &str, to: &str| {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, text.replace(from, to)).unwrap();
    };
    rewrite(&bench.good, "artefact", "peer = true\nworkloads = [\"hello\"]\nartefact");
    rewrite(&bench.bad, "command", "workloads = [\"other\"]\ncommand");
    let (code, stdout, _) = run(&bench, &[&bench.good, &bench.bad], &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(
        (code, rows.len(), &rows[0]["target"], &rows[0]["peer"]),
        (0, 1, &"good".into(), &true.into())
    );

    let (code, stdout, stderr) = run(&bench, &[&bench.bad], &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("none of the targets serves any of the workloads"), "{stderr}");
}

#[test]
fn a_run_without_any_row_fails() {
    let bench = bench("none");
    let (code, stdout, _) = run(&bench, &[&bench.bad], &[]);
    assert_eq!(code, 1);
    assert!(stdout.contains("failed, see below") && stdout.contains("it broke"), "{stdout}");
}

/// What the first version wrote stays readable.
#[test]
fn records_of_schema_1_are_reported() {
    let path = ounce_bench::data::bench_dir().join("records/2026-11-21T180817-xeon-2cpu.json");
    let (code, stdout, stderr) = scale(&["report", &path.to_string_lossy(), "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let row = report["rows"].as_array().unwrap().iter().find(|row| row["target"] == "static").unwrap();
    let (headline, starts) = (&row["req_per_s_per_mb"], &row["cold_start_ms"]);
    assert_eq!((headline["median"].as_f64().unwrap().round(), &headline["n"]), (83802.0, &1.into()));
    assert!(headline["interval"].is_null() && starts["n"].as_u64().unwrap() >= 5, "{row}");
}

#[test]
fn a_report_is_spliced_between_the_markers() {
    let bench = bench("splice");
    run(&bench, &[&bench.bad], &[]);
    let record = fs::read_dir(&bench.records).unwrap().next().unwrap().unwrap().path();
    let record = record.to_string_lossy();
    let text = "# Title\n<!-- ounce-bench:table:begin -->\nOLD\n<!-- ounce-bench:table:end -->\nend\n";
    let readme = write(&Path::new(&bench.records).join("README.md"), text);
    assert_eq!(scale(&["report", &record, "--splice", &readme]).0, 0);
    let spliced = fs::read_to_string(&readme).unwrap();
    assert!(spliced.starts_with("# Title\n") && spliced.ends_with("end\n") && !spliced.contains("OLD"));
    assert!(spliced.contains("| target | req/s |") && spliced.contains("Machine test-host"), "{spliced}");

    let plain = write(&Path::new(&bench.records).join("PLAIN.md"), "# Title\n");
    let (code, _, stderr) = scale(&["report", &record, "--splice", &plain]);
    assert_eq!((code, fs::read_to_string(&plain).unwrap().as_str()), (1, "# Title\n"));
    assert!(stderr.contains("PLAIN.md") && stderr.contains("ounce-bench:table:begin"), "{stderr}");
}

#[test]
fn records_of_another_schema_or_kind_are_refused() {
    let dir = scratch("schema");
    let cases = [
        ("{\"schema\": 0, \"kind\": \"run\"}", "no schema number that is known"),
        ("{\"schema\": 3, \"kind\": \"run\"}", "use a newer one"),
        ("{\"schema\": 2, \"kind\": \"gate\"}", "kind \"gate\""),
        ("{\"schema\": 2, \"kind\": \"run\"}", "does not follow schema 2"),
        ("{\"schema\": 1, \"kind\": \"run\"}", "does not follow schema 1"),
        ("{}", "no schema number"),
        ("x", "is not JSON"),
    ];
    for (text, message) in cases {
        let path = write(&dir.join("record.json"), text);
        let (code, _, stderr) = scale(&["report", &path]);
        assert!(code == 1 && stderr.contains(message) && stderr.contains("record.json"), "{text}: {stderr}");
    }
}

#[test]
fn mistakes_in_a_target_file_name_file_and_line() {
    let dir = scratch("targets");
    let cases = [
        ("kind = \"process\"\ncommand = [\"x\"]\ncolour = 1\n", "t.toml:4: unknown field `colour`"),
        ("kind = \"balloon\"\ncommand = [\"x\"]\n", "t.toml:2: unknown variant `balloon`"),
        ("kind = \"process\"\ncommand = \"x\"\n", "t.toml:3: invalid type"),
        ("kind = \"process\"\n", "t.toml:2: kind \"process\" needs a `command`"),
        ("kind = \"microvm\"\nvmm = \"firecracker\"\nkernel = \"k\"\ninitrd = \"i\"\n", "needs a `config`"),
        (
            "kind = \"docker\"\nimage = \"i\"\n[limits]\ncpus = -1.0\n",
            "t.toml:5: a limit must be more than 0",
        ),
        ("kind = \"process\"\ncommand = [\"x\"]\n[limits]\ncpus = 1.0\n", "t.toml:5: `cpus` belongs to"),
        ("kind = \"wasmtime\"\ncomponent = \"x\"\ncommand = [\"x\"]\n", "t.toml:4: `command` belongs to"),
        (
            "kind = \"process\"\ncommand = [\"x\"]\n[ready]\npath = \"x\"\n",
            "t.toml:5: ready.path \"x\" must start with /",
        ),
        (
            "kind = \"process\"\ncommand = [\"x\"]\n[[requires]]\nhint = \"x\"\n",
            "names either a `file` or a `program`",
        ),
        (
            "kind = \"process\"\ncommand = [\"x\"]\n[values]\nport = \"80\"\n",
            "t.toml:5: values: `{port}` is filled by the scale",
        ),
    ];
    for (rest, message) in cases {
        write(&dir.join("t.toml"), &format!("name = \"t\"\n{rest}"));
        let error = Target::read(&dir.join("t.toml")).unwrap_err().to_string();
        assert!(error.contains(message), "{rest}: {error}");
    }
    let path = write(&dir.join("other.toml"), "name = \"t\"\nkind = \"process\"\ncommand = [\"x\"]\n");
    let (code, _, stderr) = scale(&["run", "--target", &path]);
    assert!(code == 1 && stderr.contains("other.toml:1: name is \"t\""), "{stderr}");
    let (code, _, stderr) = scale(&["run", "--target", "nonesuch"]);
    assert!(code == 1 && stderr.contains("nonesuch") && stderr.contains("static"), "{stderr}");
    let (code, _, stderr) = scale(&["run", "--workload", "nonesuch"]);
    assert!(code == 1 && stderr.contains("nonesuch") && stderr.contains("light"), "{stderr}");
}

#[test]
fn doctor_says_what_is_missing_and_how_to_get_it() {
    let dir = scratch("doctor");
    let text = "name = \"x\"\nkind = \"process\"\ncommand = [\"x\"]\n[[requires]]\nfile = \"no/file\"\nhint = \"make it\"\n";
    write(&dir.join("x.toml"), text);
    let (code, stdout, _) = scale(&["doctor", "--targets-dir", &dir.to_string_lossy()]);
    assert_eq!(code, 0);
    assert!(stdout.contains("missing  x  the file no/file: make it"), "{stdout}");
    assert!(stdout.contains("open files allowed"), "{stdout}");
}

#[test]
fn shipped_data_files_are_right() {
    let bench = ounce_bench::data::bench_dir();
    let targets = ounce_bench::target::read_dir(&bench.join("targets")).unwrap();
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let expected = [
        "docker-microvm",
        "docker-minimal",
        "docker-standard",
        "firecracker",
        "microvm-smp",
        "microvm",
        "minimal",
        "native",
        "spin",
        "static",
        "unikraft",
        "wasmtime-aot",
        "wasmtime-reuse",
        "wasmtime",
    ];
    assert_eq!(names, expected);
    ounce_bench::target::read_dir(&bench.join("peers")).unwrap();
    ounce_bench::workload::read(&bench.join("workloads.toml")).unwrap();
    ounce_bench::gate::Definition::read(&bench.join("gate.toml")).unwrap();
}
