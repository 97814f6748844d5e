//! Lays out the static binary so that what is rarely run does not stay in memory: see `src/native/rare.ld`.

fn main() {
    let script = "src/native/rare.ld";
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{root}/{script}");
    }
}
