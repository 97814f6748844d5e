//! The model card, with every figure that training found.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::figures::Figures;
use super::functional::{Rate, passes};
use super::{Outcome, Plan};
use crate::verdict::{HIGH, MEDIUM};
use crate::{Language, score_with};

/// The whole card.
pub fn card(outcome: &Outcome, plan: Plan) -> String {
    let mut card = String::from(include_str!("card_head.md"));
    card.push_str(&figures(outcome, plan));
    card.push_str(&levels());
    card.push_str(&failures(outcome));
    card
}

/// Its tables of figures.
pub fn figures(outcome: &Outcome, plan: Plan) -> String {
    let mut text = String::from("\n## Figures\n\n");
    let Plan { folds, inner, .. } = plan;
    writeln!(
        text,
        "Cross-validation in {folds} parts. No row, and none that shares six words in a row with it, is seen by the \
         model that scores it;\neach model is calibrated by a cross-validation in {inner} parts of its own training \
         rows. F1 is of the toxic class at one half; ECE has\nten bins of equal width. \"One by one\" deals rows \
         without regard to near-duplicates, for comparison.\n"
    )
    .expect("a string takes all");
    text.push_str("| set | rows | toxic | AUC | F1 | ECE |\n| --- | ---: | ---: | ---: | ---: | ---: |\n");
    let (grouped, alone) = (&outcome.unseen, &outcome.ungrouped);
    for (name, language) in [("English", Some(Language::En)), ("French", Some(Language::Fr)), ("both", None)]
    {
        row(&mut text, name, outcome.figures(grouped, language));
        row(&mut text, &format!("{name}, one by one"), outcome.figures(alone, language));
    }
    row(&mut text, "templates that were held out", super::figures::figures(&outcome.unseen_made));
    writeln!(text, "\nWeights: {} bytes.", outcome.file.len()).expect("a string takes all");
    text.push_str(&functional(&outcome.rates()));
    text
}

fn row(text: &mut String, name: &str, figures: Figures) {
    let Figures { rows, toxic, auc, f1, ece } = figures;
    writeln!(text, "| {name} | {rows} | {toxic} | {auc:.4} | {f1:.4} | {ece:.4} |")
        .expect("a string takes all");
}

/// Pass rates by class and language.
pub fn functional(rates: &BTreeMap<String, BTreeMap<String, Rate>>) -> String {
    let mut text = String::from("\n## Functional cases\n\n| class | English | French | other | passed |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: |\n");
    let mut all = (0, 0);
    for (class, languages) in rates {
        let one = |language: &str| match languages.get(language) {
            Some((passed, cases)) => format!("{passed}/{cases}"),
            None => String::new(),
        };
        let (passed, cases) = languages.values().fold((0, 0), |sum, rate| (sum.0 + rate.0, sum.1 + rate.1));
        all = (all.0 + passed, all.1 + cases);
        let (en, fr, other) = (one("en"), one("fr"), one("unknown"));
        writeln!(text, "| {class} | {en} | {fr} | {other} | {:.0} % |", percent((passed, cases)))
            .expect("a string takes all");
    }
    writeln!(text, "| all | | | {}/{} | {:.1} % |", all.0, all.1, percent(all)).expect("a string takes all");
    text
}

fn percent((passed, cases): Rate) -> f64 {
    100.0 * passed as f64 / cases as f64
}

fn levels() -> String {
    format!(
        "\n## Levels\n\nThe score is the probability in per cent. Below {:.0} it is `low`, from there `medium`, from \
         {:.0} `high`.\n",
        MEDIUM * 100.0,
        HIGH * 100.0
    )
}

/// The cases that fail, and the rows on which cross-validation was surest and wrong.
fn failures(outcome: &Outcome) -> String {
    let model = outcome.model();
    let mut text = String::from("\n## Known failures\n\nFunctional cases that fail, with their score:\n\n");
    for case in outcome.cases.iter().filter(|case| !passes(&model, case)) {
        let score = score_with(&model, &case.text).score();
        writeln!(text, "- {} ({}, {score}): {}", case.class, case.language, case.text)
            .expect("a string takes all");
    }
    text.push_str(
        "\nRows of the public sets that were furthest off when unseen (mentions and links left out):\n\n",
    );
    for language in [Language::En, Language::Fr] {
        for toxic in [false, true] {
            for (score, row) in worst(outcome, language, toxic) {
                let label = if toxic { "toxic" } else { "not toxic" };
                writeln!(text, "- {}, labelled {label}, scored {score}: {row}", language.as_str())
                    .expect("a string takes all");
            }
        }
    }
    text
}

const SHOWN: usize = 4;

fn worst(outcome: &Outcome, language: Language, toxic: bool) -> Vec<(u8, String)> {
    let rows = outcome.rows.iter().zip(&outcome.unseen);
    let mut own: Vec<_> = rows.filter(|(row, _)| row.language == language && row.toxic == toxic).collect();
    own.sort_by(|a, b| if toxic { a.1.0.total_cmp(&b.1.0) } else { b.1.0.total_cmp(&a.1.0) });
    let shown = own.into_iter().take(SHOWN);
    shown.map(|(row, (p, _))| ((p * 100.0 + 0.5) as u8, without_people(&row.text))).collect()
}

fn without_people(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| !word.contains('@') && !word.contains("://"));
    // Markdown must not read the text.
    words.collect::<Vec<_>>().join(" ").replace(['`', '<', '|'], "").replace('*', "\\*")
}
