//! The page's files, plain and as `build.rs` has compressed them.

pub struct File {
    pub plain: &'static [u8],
    pub gzip: &'static [u8],
}

/// A static has a name, by which `native/rare.ld` lays it apart.
macro_rules! named {
    ($bytes:expr) => {{
        static BYTES: [u8; $bytes.len()] = *$bytes;
        &BYTES
    }};
}

macro_rules! file {
    ($name:literal) => {
        File {
            plain: named!(include_bytes!($name)),
            gzip: named!(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))),
        }
    };
}

pub static HTML: File = file!("page.html");
pub static STYLE: File = file!("page.css");
pub static SCRIPT: File = file!("page.js");
