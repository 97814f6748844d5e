//! Stands in for the page's files in builds without workload *jobs*: nobody asks for them there.

pub struct File {
    pub plain: &'static [u8],
    pub gzip: &'static [u8],
}

const NONE: File = File { plain: b"", gzip: b"" };

pub static HTML: File = NONE;
pub static STYLE: File = NONE;
pub static SCRIPT: File = NONE;
