//! Trains, evaluates and times the model.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use ounce_model::Language;
use ounce_model::train::augment;
use ounce_model::train::cross::Material;
use ounce_model::train::data;
use ounce_model::train::figures::figures;
use ounce_model::train::learn::{Example, Settings};
use ounce_model::train::lexicon;

#[derive(Parser)]
#[command(about = "Trains, evaluates and times the model of toxicity")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Learn from labelled texts, cross-validate, write the weights
    Train {
        /// English texts: CSV with text,label
        #[arg(long)]
        en: PathBuf,
        /// French texts
        #[arg(long)]
        fr: PathBuf,
        #[arg(long, default_value = "model/weights.bin")]
        out: PathBuf,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Train { en, fr, out } => train(&en, &fr, &out),
    }
}

fn train(en: &std::path::Path, fr: &std::path::Path, out: &std::path::Path) -> Result<()> {
    let mut rows = data::read(en, Language::En)?;
    rows.extend(data::read(fr, Language::Fr)?);
    data::group(&mut rows);
    let slots = lexicon::slots(include_str!("../lexicon.csv"))?;
    let bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
    let table = ounce_model::Lexicon::new(bytes.as_slice().try_into()?);
    let weight = |language| if language == Language::Fr { 2.0 } else { 1.0 };
    let examples: Vec<Example> =
        rows.iter().map(|row| Example::new(&row.text, row.toxic, weight(row.language), table)).collect();
    let made: Vec<Example> =
        augment::make("").iter().map(|(text, toxic)| Example::new(text, *toxic, 1.0, table)).collect();
    let settings = Settings { decay: 0.0005 };
    let material = Material { rows: &rows, examples: &examples, made: &made, slots: &slots, settings };
    let pairs = material.validate(5, 3);
    for language in [Language::En, Language::Fr] {
        let own: Vec<_> = pairs
            .iter()
            .zip(&rows)
            .filter(|(_, row)| row.language == language)
            .map(|(pair, _)| *pair)
            .collect();
        println!("{} {:?}", language.as_str(), figures(&own));
    }
    std::fs::write(out, material.finish(3))?;
    Ok(())
}
