//! Splicing: a report between two markers of a document, so that figures in it are never typed.

use std::fs;
use std::path::Path;

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
    fn markers_that_are_missing_doubled_or_swapped_are_errors() {
        for text in
            [String::new(), BEGIN.into(), END.into(), format!("{BEGIN}{END}{END}"), format!("{END}{BEGIN}")]
        {
            assert!(spliced(&text, "new").is_err(), "{text:?} must be refused");
        }
    }
}
