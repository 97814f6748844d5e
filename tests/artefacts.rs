//! What `make build` leaves: the promises about its form, its size and its idle footprint.

mod common;

use std::fs;
use std::path::Path;

use common::jobs::{becomes, stored};
use common::{Server, component_imports, dist};

/// 1 MB is 10⁶ bytes here, as in every table of the scale.
const MB: f64 = 1e6;

fn size_mb(name: &str) -> f64 {
    fs::metadata(dist(name)).expect("it is there").len() as f64 / MB
}

/// PSS after what `asked` asks, the median of some starts. How much Linux maps around a page that is touched depends on
/// where the binary was loaded, which is random, and on how it came into the page cache: a fresh copy was written.
fn idle_mb(name: &str, asked: fn(&Server)) -> f64 {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("idle-{name}"));
    fs::copy(dist(name), &copy).expect("it can be copied");
    let mut found = [(); 9].map(|()| pss_mb(&copy, asked));
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}

fn pss_mb(path: &Path, asked: fn(&Server)) -> f64 {
    let command = [path.to_str().expect("an UTF-8 path"), "--listen", "127.0.0.1:0", "--workers", "1"];
    let server = Server::spawn(command.into_iter());
    asked(&server);
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", server.process.pid())).expect("it runs");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("proc(5)");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024.0 / MB
}

#[test]
fn the_minimal_binary_is_small() {
    let size = size_mb("ounce-minimal");
    assert!(size <= 1.0, "{size} MB");
}

#[test]
fn the_standard_binary_is_small_for_what_it_holds() {
    let size = size_mb("ounce");
    assert!(size <= 3.5, "{size} MB");
}

#[test]
fn an_idle_instance_is_small() {
    let first = |server: &Server| assert_eq!(server.get("/readyz").status, 200);
    let (minimal, standard) = (idle_mb("ounce-minimal", first), idle_mb("ounce", first));
    assert!(minimal <= 0.65, "minimal: {minimal} MB; after a change of what is run, make order");
    assert!(standard <= 1.0, "standard: {standard} MB; after a change of what is run, make order");
    // In the same test: a binary that another thread is copying cannot be started.
    let after_a_job = idle_mb("ounce", |server| {
        becomes(server, &stored(server, "uppercase", "x"), "done");
    });
    // Its file is open, and its worker waits for more.
    assert!(after_a_job <= 2.3, "after a job: {after_a_job} MB");
}

#[test]
fn the_component_imports_wasi_alone() {
    let imports = component_imports("ounce.wasm");
    assert!(imports.iter().any(|name| name.starts_with("wasi:http/types@0.2.")), "{imports:?}");
    let foreign: Vec<_> = imports.iter().filter(|name| !name.starts_with("wasi:")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
