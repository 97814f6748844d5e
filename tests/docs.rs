//! The documents against the tree and the program: paths, commands, flags, routes and metric names exist.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use std::sync::Mutex;

use common::{Server, dist};

const DOCUMENTS: [&str; 6] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "bench/METHODOLOGY.md",
    "bench/BIAS.md",
    "microvm/README.md",
];

/// Two tests may write it.
static README: Mutex<()> = Mutex::new(());

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backticks on one line, with fenced blocks left out.
fn quoted(document: &str) -> Vec<String> {
    let mut fenced = false;
    let prose = document.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced && !line.starts_with("```")
    });
    prose.flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Targets of Markdown links.
fn links(document: &str) -> impl Iterator<Item = &str> {
    document.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

fn is_path(text: &str) -> bool {
    let directories = ["src/", "tests/", "bench/", "microvm/"];
    let files =
        ["Cargo.toml", "Makefile", "README.md", "Dockerfile", "compose.yaml", "Kraftfile", "spin.toml"];
    files.contains(&text) || directories.iter().any(|start| text.starts_with(start)) && !text.contains(' ')
}

#[test]
fn every_path_that_the_documents_name_exists() {
    for name in DOCUMENTS {
        let document = read(name);
        let local = links(&document).filter(|link| !link.starts_with("http") && !link.starts_with('#'));
        let beside = Path::new(name).parent().expect("a file has a directory");
        for link in local {
            assert!(root().join(beside).join(link).exists(), "{name} links to {link}");
        }
        for path in quoted(&document).iter().filter(|text| is_path(text)) {
            let file = path.split("::").next().unwrap_or_default();
            assert!(root().join(file).exists(), "{name} names {path}");
        }
    }
}

/// A test is named as `path/to/file.rs::name`.
#[test]
fn every_test_that_the_documents_name_exists() {
    let mut found = 0;
    for name in DOCUMENTS {
        for text in quoted(&read(name)) {
            let Some((file, test)) = text.split_once("::").filter(|(file, _)| is_path(file)) else {
                continue;
            };
            let source = read(file);
            let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
            let at = lines.iter().position(|line| line.starts_with(&format!("fn {test}(")));
            let at = at.unwrap_or_else(|| panic!("{name} names {text}, which is no function there"));
            let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with('#'));
            assert!(
                attributes.into_iter().any(|line| *line == "#[test]"),
                "{name} names {text}, which is no test"
            );
            found += 1;
        }
    }
    assert!(found > 50, "only {found} tests are named: is the form another one?");
}

#[test]
fn every_make_target_that_the_documents_name_exists() {
    let makefile = read("Makefile");
    for name in DOCUMENTS {
        let document = read(name);
        for (at, _) in document.match_indices("make ") {
            // Commands stand in backticks or on lines of their own; elsewhere the word is prose.
            if !document[..at].ends_with(['`', '\n']) && !document[..at].ends_with("$ ") {
                continue;
            }
            let rest = &document[at + "make ".len()..];
            let target: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            assert!(makefile.contains(&format!("\n{target}:")), "{name} names make {target}");
        }
    }
}

/// Compares what stands between the markers of this name with what belongs there; `README=write` renews it.
fn spliced(name: &str, wanted: &str, same: fn(&str, &str) -> bool) {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let readme = read("README.md");
    let (head, rest) = readme.split_once(&begin).expect("the begin marker");
    let (shown, tail) = rest.split_once(&end).expect("the end marker");
    if same(shown, wanted) {
        return;
    }
    assert!(
        std::env::var_os("README").is_some_and(|value| value == "write"),
        "renew it: README=write cargo test --test docs\n{shown}\n{wanted}"
    );
    fs::write(root().join("README.md"), format!("{head}{begin}{wanted}{end}{tail}"))
        .expect("it can be written");
}

#[test]
fn readme_shows_the_help_of_this_version() {
    let _one_at_a_time = README.lock();
    let help =
        Command::new(env!("CARGO_BIN_EXE_ounce")).arg("--help").output().expect("the binary runs").stdout;
    let help = String::from_utf8(help).expect("text");
    // `tests/bert.rs` has those of a build that has them.
    let help: String = help.split_inclusive('\n').filter(|line| !line.starts_with("  --bert-")).collect();
    let help = format!("\n```text\n{help}```\n");
    spliced("help", &help, |shown, wanted| shown == wanted);
}

#[test]
fn readme_shows_a_real_answer() {
    let _one_at_a_time = README.lock();
    let body = r#"{"text": "hé, you stupid 1d10t", "model": "simple"}"#;
    // As it is shipped: one that is built for tests takes ten times as long.
    let path = dist("ounce");
    let command = [path.to_str().expect("an UTF-8 path"), "--listen", "127.0.0.1:0"];
    let server = Server::spawn(command.into_iter());
    let json = [("content-type", "application/json")];
    let answer = server.connect().request("POST", "/analyze?explain=1", &json, body.as_bytes());
    let shown = format!(
        "\n```console\n$ curl -H 'Content-Type: application/json' 'http://127.0.0.1:8080/analyze?explain=1' \\\n    \
         -d '{body}'\n{}\n```\n",
        answer.text()
    );
    // How long it took is another time's.
    fn timeless(text: &str) -> String {
        let (head, rest) = text.split_once("\"processing_time_ms\":").unwrap_or((text, ""));
        head.to_owned() + rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
    }
    spliced("analyze", &shown, |shown, wanted| timeless(shown) == timeless(wanted));
}

#[test]
fn readme_lists_every_route_and_no_other() {
    let readme = read("README.md");
    let documented: Vec<_> = quoted(&readme)
        .iter()
        .filter_map(|text| text.strip_prefix("GET ").or(text.strip_prefix("POST ")))
        .filter_map(|target| target.split('?').next().map(str::to_owned))
        .collect();
    let declared: Vec<_> = ounce::router::ROUTES.iter().map(|route| route.path.to_owned()).collect();
    let missing: Vec<_> = declared.iter().filter(|path| !documented.contains(path)).collect();
    let unknown: Vec<_> = documented.iter().filter(|path| !declared.contains(path)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
}

#[test]
fn readme_lists_every_metric_and_no_other() {
    let server = Server::start(&[]);
    server.get("/api/light");
    server.connect().request("POST", "/analyze", &[], br#"{"text":"hello"}"#);
    let metrics = server.get("/metrics");
    let exposed: Vec<_> = metrics
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
    let is_name = |text: &&String| {
        [
            "http_",
            "process_",
            "ounce_",
            "toxicity_api",
            "toxicity_score",
            "toxicity_processing",
            "model_load_",
            "job_",
            "jobs_",
        ]
        .iter()
        .any(|start| text.starts_with(start))
    };
    let mut documented: Vec<_> = quoted(&read("README.md")).iter().filter(is_name).cloned().collect();
    documented.sort();
    documented.dedup();
    let missing: Vec<_> = exposed.iter().filter(|name| !documented.contains(name)).collect();
    let unknown: Vec<_> = documented.iter().filter(|name| !exposed.contains(name)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
}
