//! From a directory to a model, or to the one file of it that must be mended.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Classify;
use super::description::Description;
use super::encoder::Encoder;
use super::model::{self, Model};
use super::tokens::Tokens;
use super::weights::Weights;

/// The largest tokenizers have some ten megabytes.
const MOST_JSON: u64 = 256 << 20;

pub fn load(dir: &Path, threads: usize) -> Result<Model, String> {
    // Thousands of errors might follow from this one.
    if !dir.is_dir() {
        return Err(format!("{} is not a directory (--bert-dir)", dir.display()));
    }
    let pool = model::pool(threads)?;
    let in_file = |name: &str| {
        let path = dir.join(name);
        move |why: String| format!("{} {why}", path.display())
    };
    let description = read(&dir.join("config.json")).and_then(|json| Description::parse(&json));
    let description = description.map_err(in_file("config.json"))?;
    let tokens = read(&dir.join("tokenizer.json")).and_then(|json| Tokens::parse(&json, &description));
    let tokens = tokens.map_err(in_file("tokenizer.json"))?;
    let weights = Weights::open(&dir.join("model.safetensors"));
    let encoder = weights.and_then(|mut weights| Encoder::load(&description, &mut weights));
    let encoder = encoder.map_err(in_file("model.safetensors"))?;
    let model = Model { tokens, encoder, description, pool };
    // Before anybody is told that it works.
    let trial = model.probability("a trial");
    trial.map_err(|why| format!("{}: a trial text cannot be computed: {why}", dir.display()))?;
    Ok(model)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let read = file.take(MOST_JSON + 1).read_to_end(&mut bytes);
    match read.map_err(|error| format!("cannot be read: {error}"))? as u64 {
        0..=MOST_JSON => Ok(bytes),
        _ => Err(format!("has more than {MOST_JSON} bytes")),
    }
}
