//! Labelled texts from CSV, and which of them are nearly the same.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::Language;

/// One labelled text.
#[derive(Clone, Debug)]
pub struct Row {
    pub text: String,
    pub toxic: bool,
    /// Of its file, not as the model sees it.
    pub language: Language,
    /// Rows of one group are nearly the same and stay in one fold.
    pub group: usize,
}

/// Reads `text,label`; label 1 is toxic.
pub fn read(path: &Path, language: Language) -> Result<Vec<Row>> {
    let name = path.display();
    let mut reader = csv::Reader::from_path(path).with_context(|| format!("{name}: cannot be read"))?;
    let headers = reader.headers().with_context(|| format!("{name}: no header"))?;
    ensure!(headers == vec!["text", "label"], "{name}: line 1: the header must be text,label");
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            anyhow::anyhow!("{name}: line {line}: {error}")
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let toxic = match &record[1] {
            "0" => false,
            "1" => true,
            other => bail!("{name}: line {line}: the label must be 0 or 1, not {other:?}"),
        };
        ensure!(!record[0].trim().is_empty(), "{name}: line {line}: there is no text");
        rows.push(Row { text: record[0].to_owned(), toxic, language, group: 0 });
    }
    ensure!(!rows.is_empty(), "{name}: there are no rows");
    Ok(rows)
}

/// How many words in a row two texts must share to be of one group.
const SHARED: usize = 6;

/// Groups rows that share six words in a row (retweets, quotes, lyrics), or all words if there are fewer.
pub fn group(rows: &mut [Row]) {
    let mut parent: Vec<usize> = (0..rows.len()).collect();
    let mut owner = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        let words = plain_words(&row.text);
        let shingles =
            if words.len() < SHARED { vec![words.as_slice()] } else { words.windows(SHARED).collect() };
        for shingle in shingles {
            let other = *owner.entry(shingle.join(" ")).or_insert(i);
            let (a, b) = (root(&mut parent, i), root(&mut parent, other));
            parent[a.max(b)] = a.min(b);
        }
    }
    for (i, row) in rows.iter_mut().enumerate() {
        row.group = root(&mut parent, i);
    }
}

fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

fn plain_words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .filter(|word| {
            !word.starts_with('@') && !word.contains("://") && !word.starts_with('&') && *word != "RT"
        })
        .map(|word| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
        .filter(|word: &String| !word.is_empty())
        .collect()
}
