//! The page's files, plain and as `build.rs` has compressed them.

pub struct File {
    pub plain: &'static [u8],
    pub gzip: &'static [u8],
}

macro_rules! file {
    ($name:literal) => {
        File {
            plain: include_bytes!($name),
            gzip: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz")),
        }
    };
}

pub static HTML: File = file!("page.html");
pub static STYLE: File = file!("page.css");
pub static SCRIPT: File = file!("page.js");
