//! Trains, evaluates and times the model.

mod bench;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use ounce_model::train::{Plan, card, cases, data, figures, functional, train};
use ounce_model::{Language, Model, SHIPPED, explain, score_with};

/// Trains, evaluates and times the model of toxicity.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Cross-validate, learn from all texts, write weights and card
    Train {
        /// English texts: CSV with text,label; label 1 is toxic
        #[arg(long)]
        en: PathBuf,
        /// French texts
        #[arg(long)]
        fr: PathBuf,
        #[arg(long, default_value = "model/weights.bin")]
        out: PathBuf,
        #[arg(long, default_value = "model/CARD.md")]
        card: PathBuf,
    },
    /// Figures of a model on labelled texts, and on the functional cases, without training
    Evaluate {
        /// CSV with text,label
        files: Vec<PathBuf>,
        /// Weights instead of those that are compiled in
        #[arg(long)]
        weights: Option<PathBuf>,
        /// Also print the functional cases that fail
        #[arg(long)]
        failures: bool,
    },
    /// Score one text and say why
    Explain { text: String },
    /// Median time to score texts of several lengths
    Bench,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Train { en, fr, out, card } => learn(&en, &fr, &out, &card),
        Command::Evaluate { files, weights, failures } => evaluate(&files, weights.as_deref(), failures),
        Command::Explain { text } => {
            say(&text);
            Ok(())
        }
        Command::Bench => {
            bench::run();
            Ok(())
        }
    }
}

fn learn(en: &Path, fr: &Path, out: &Path, card_file: &Path) -> Result<()> {
    let mut rows = data::read(en, Language::En)?;
    rows.extend(data::read(fr, Language::Fr)?);
    let plan = Plan::default();
    let outcome = train(rows, plan)?;
    println!("{}", card::figures(&outcome, plan));
    std::fs::write(out, &outcome.file).with_context(|| format!("{}: cannot be written", out.display()))?;
    std::fs::write(card_file, card::card(&outcome, plan))
        .with_context(|| format!("{}: cannot be written", card_file.display()))?;
    Ok(())
}

fn evaluate(files: &[PathBuf], weights: Option<&Path>, failures: bool) -> Result<()> {
    let file = weights.map(std::fs::read).transpose().context("the weights cannot be read")?;
    let model = match &file {
        Some(file) => Model::parse(file).context("these are no weights of this version")?,
        None => SHIPPED,
    };
    for file in files {
        let rows = data::read(file, Language::Unknown)?;
        let score = |row: &data::Row| (score_with(&model, &row.text).probability, row.toxic);
        let figures = figures::figures(&rows.iter().map(score).collect::<Vec<_>>());
        let figures::Figures { rows, toxic, auc, f1, ece } = figures;
        println!("{}: {rows} rows, {toxic} toxic, AUC {auc:.4}, F1 {f1:.4}, ECE {ece:.4}", file.display());
    }
    let cases = cases()?;
    ensure!(!cases.is_empty(), "there are no functional cases");
    println!("{}", card::functional(&functional::rates(&model, &cases)));
    for case in cases.iter().filter(|case| failures && !functional::passes(&model, case)) {
        let verdict = score_with(&model, &case.text);
        println!("{} ({}): {} {}", case.class, case.language, verdict.score(), case.text);
    }
    Ok(())
}

fn say(text: &str) {
    let (verdict, evidence) = explain(text, 20);
    println!("{} {} {}", verdict.score(), verdict.level().as_str(), verdict.language.as_str());
    for piece in evidence {
        println!("{:+.2} {:?} {:?}", piece.weight, piece.kind, &text[piece.bytes.clone()]);
    }
}
