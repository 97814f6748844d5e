//! Lays out the static binary so that what is rarely run does not stay in memory: see `src/native/order.py` and
//! `src/native/rare.ld`. And compresses the page's files, so that the service need not know how.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use flate2::{Compression, GzBuilder};

/// Where code is to be, and data.
const SCRIPTS: [&str; 2] = ["src/native/order.ld", "src/native/rare.ld"];

const PAGE: [&str; 3] = ["page.html", "page.css", "page.js"];

fn main() {
    for script in SCRIPTS {
        println!("cargo::rerun-if-changed={script}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        for script in SCRIPTS {
            println!("cargo::rustc-link-arg-bins=-Wl,-T,{root}/{script}");
        }
        if packs_relocations().unwrap_or(false) {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
    let out = env::var("OUT_DIR").expect("cargo sets it");
    for name in PAGE {
        let source = format!("src/handlers/page/{name}");
        println!("cargo::rerun-if-changed={source}");
        let packed = gzip(&fs::read(&source).expect("it is in the tree"));
        fs::write(Path::new(&out).join(format!("{name}.gz")), packed).expect("cargo makes the directory");
    }
}

/// Whether programs can be told in a few bytes where to add their own address, which takes 100 KB otherwise: musl's start
/// code does so from 1.2.4 on, and a std that was built from sources may have an older one.
fn packs_relocations() -> Option<bool> {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    rustc.args(["--print", "target-libdir", "--target", &env::var("TARGET").ok()?]);
    let directory = String::from_utf8(rustc.output().ok()?.stdout).ok()?;
    let libc = fs::read(Path::new(directory.trim()).join("self-contained/libc.a")).ok()?;
    let version = libc.windows(5).find(|part| part.starts_with(b"1.2.") && part[4].is_ascii_digit())?;
    Some(version[4] >= b'4')
}

/// The same bytes on every machine: gzip's header can tell a time, and here it does not.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    packer.write_all(bytes).and_then(|()| packer.finish()).expect("memory takes it")
}
