//! What `make build` leaves: the promises about its form, its size and its idle footprint.

mod common;

use std::fs;

use common::{Server, component_imports, dist};

/// 1 MB is 10⁶ bytes here, as in every table of the scale.
const MB: f64 = 1e6;

fn size_mb(name: &str) -> f64 {
    fs::metadata(dist(name)).expect("it is there").len() as f64 / MB
}

/// PSS after the first answer.
fn idle_mb(name: &str) -> f64 {
    let path = dist(name);
    let command = [path.to_str().expect("an UTF-8 path"), "--listen", "127.0.0.1:0", "--workers", "1"];
    let server = Server::spawn(command.into_iter());
    assert_eq!(server.get("/readyz").status, 200);
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
fn an_idle_instance_is_small() {
    let (minimal, standard) = (idle_mb("ounce-minimal"), idle_mb("ounce"));
    assert!(minimal <= 0.8, "minimal: {minimal} MB");
    assert!(standard <= 1.2, "standard: {standard} MB");
}

/// Unikraft's loader wants a position-independent executable that needs no interpreter.
#[test]
fn the_static_binaries_are_static_pie() {
    const ET_DYN: u16 = 3;
    const PT_INTERP: u32 = 3;
    for name in ["ounce", "ounce-minimal"] {
        let elf = fs::read(dist(name)).expect("it is there");
        let u16_at = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().expect("two bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().expect("eight bytes"));
        assert_eq!(&elf[..5], b"\x7fELF\x02", "{name} is a 64-bit ELF");
        assert_eq!(u16_at(16), ET_DYN, "{name} is position-independent");
        let (headers, size, count) = (u64_at(32) as usize, u16_at(54) as usize, u16_at(56) as usize);
        let types = (0..count).map(|index| {
            u32::from_le_bytes(elf[headers + index * size..][..4].try_into().expect("four bytes"))
        });
        assert!(types.into_iter().all(|kind| kind != PT_INTERP), "{name} needs an interpreter");
    }
}

#[test]
fn the_component_imports_wasi_alone() {
    let imports = component_imports("ounce.wasm");
    assert!(imports.iter().any(|name| name.starts_with("wasi:http/types@0.2.")), "{imports:?}");
    let foreign: Vec<_> = imports.iter().filter(|name| !name.starts_with("wasi:")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
