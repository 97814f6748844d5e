//! Splicing: a report between two markers of a document, so that figures in it are never typed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const BEGIN: &str = "<!-- ounce-bench:table:begin -->";
const END: &str = "<!-- ounce-bench:table:end -->";

/// Replaces what stands between the markers of `file`.
///
/// # Errors
/// When the file cannot be read or written, or the markers are not there once each and in order.
pub fn splice(file: &Path, report: &str) -> Result<()> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let spliced = spliced(&text, report).with_context(|| format!("cannot splice into {shown}"))?;
    fs::write(file, spliced).with_context(|| format!("cannot write {shown}"))
}

fn spliced(text: &str, report: &str) -> Result<String> {
    for marker in [BEGIN, END] {
        match text.matches(marker).count() {
            1 => {}
            0 => bail!("the line `{marker}` is missing: add it where the table belongs"),
            n => bail!("the line `{marker}` stands there {n} times: leave one"),
        }
    }
    match (text.split_once(BEGIN), text.split_once(END)) {
        (Some((before, _)), Some((head, after))) if head.contains(BEGIN) => {
            Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", report.trim()))
        }
        _ => bail!("`{END}` stands before `{BEGIN}`: swap them"),
    }
}

/// A picture that stands in the block of a document.
pub struct Image {
    pub file: PathBuf,
    /// As the document refers to it.
    pub reference: String,
}

const ALT: &str = "Requests per second for each MB of RAM, by packaging";

impl Image {
    /// The reference from a document to a picture.
    ///
    /// # Errors
    /// When the picture does not lie in or below the document's directory, so that a reader would not find it.
    pub fn of(document: &Path, picture: &Path) -> Result<Self> {
        let (document, picture) = (absolute(document)?, absolute(picture)?);
        let beside = document.parent().and_then(|dir| picture.strip_prefix(dir).ok());
        let Some(path) = beside else {
            bail!("{} is not below the directory of {}", picture.display(), document.display())
        };
        let reference = format!("![{ALT}]({})", path.display());
        Ok(Self { file: picture, reference })
    }

    /// The picture that stands in the block already.
    ///
    /// # Errors
    /// When the document cannot be read.
    pub fn in_block(document: &Path) -> Result<Option<Self>> {
        let text =
            fs::read_to_string(document).with_context(|| format!("cannot read {}", document.display()))?;
        let block = text.split_once(BEGIN).and_then(|(_, rest)| Some(rest.split_once(END)?.0));
        let path = block.and_then(|block| {
            let (_, rest) = block.split_once(&format!("![{ALT}]("))?;
            Some(rest.split_once(')')?.0)
        });
        let Some(path) = path else { return Ok(None) };
        let dir = document.parent().unwrap_or(Path::new(""));
        Ok(Some(Self { file: dir.join(path), reference: format!("![{ALT}]({path})") }))
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_markers_is_replaced_and_nothing_else() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let once = spliced(&text, "new\n").unwrap();
        assert_eq!(once, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(spliced(&once, "new").unwrap(), once);
    }

    #[test]
    fn a_picture_is_named_from_the_document_and_found_again() {
        let dir = std::env::temp_dir().join(format!("ounce-splice-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let document = dir.join("README.md");
        let image = Image::of(&document, &dir.join("bench/plots/light.svg")).unwrap();
        assert_eq!(image.reference, format!("![{ALT}](bench/plots/light.svg)"));
        fs::write(&document, format!("{BEGIN}\n\n{}\n\ntable\n\n{END}\n", image.reference)).unwrap();
        let found = Image::in_block(&document).unwrap().unwrap();
        assert_eq!((found.file, found.reference), (dir.join("bench/plots/light.svg"), image.reference));
        fs::write(&document, format!("![{ALT}](elsewhere.svg)\n{BEGIN}\n{END}\n")).unwrap();
        assert!(Image::in_block(&document).unwrap().is_none());
        assert!(Image::of(&document, Path::new("/elsewhere.svg")).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn markers_that_are_missing_doubled_or_swapped_are_errors() {
        for text in
            [String::new(), BEGIN.into(), END.into(), format!("{BEGIN}{END}{END}"), format!("{END}{BEGIN}")]
        {
            assert!(spliced(&text, "new").is_err(), "{text:?} must be refused");
        }
    }
}
