//! The trainer: from tables of labelled texts to the file of weights and the model card.
//!
//! The modules stand in the order of training. One thread and fixed seeds: the same input gives the same bytes.

pub mod augment;
pub mod calibrate;
pub mod card;
pub mod cross;
pub mod data;
pub mod figures;
pub mod functional;
pub mod learn;
pub mod lexicon;

use std::collections::BTreeMap;

use anyhow::Result;

use crate::{Language, Lexicon, Model};
use augment::Made;
use cross::Material;
use data::Row;
use figures::{Figures, Pair, figures};
use functional::Case;
use learn::{Example, Settings};

/// A chain of texts for so many texts of templates.
const CHAINS: usize = 8;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Parts of the cross-validation, and of the one inside each part that fits its calibration.
    pub folds: usize,
    pub inner: usize,
    /// Texts of each template.
    pub fills: usize,
    pub settings: Settings,
}

impl Default for Plan {
    fn default() -> Self {
        Self { folds: 5, inner: 4, fills: 50, settings: Settings::default() }
    }
}

/// A trained model, and what is known of it.
#[derive(Debug)]
pub struct Outcome {
    pub rows: Vec<Row>,
    pub made: Vec<Made>,
    /// What models said of the rows that they had not seen, and of the texts of templates.
    pub unseen: Vec<Pair>,
    pub unseen_made: Vec<Pair>,
    /// The same with rows dealt one by one, so that near-duplicates help.
    pub ungrouped: Vec<Pair>,
    pub cases: Vec<Case>,
    pub file: Vec<u8>,
}

impl Outcome {
    /// Figures of the rows of one language, or of all.
    pub fn figures(&self, pairs: &[Pair], language: Option<Language>) -> Figures {
        let own = pairs.iter().zip(&self.rows).filter(|(_, row)| language.is_none_or(|l| row.language == l));
        figures(&own.map(|(pair, _)| *pair).collect::<Vec<_>>())
    }

    pub fn rates(&self) -> BTreeMap<String, BTreeMap<String, functional::Rate>> {
        functional::rates(&self.model(), &self.cases)
    }

    pub fn model(&self) -> Model<'_> {
        Model::parse(&self.file).expect("a file that was just laid out")
    }
}

/// Our own functional cases.
pub fn cases() -> Result<Vec<Case>> {
    functional::read(include_str!("../../functional.csv"))
}

/// Cross-validates on `rows`, then trains on all of them.
pub fn train(mut rows: Vec<Row>, plan: Plan) -> Result<Outcome> {
    data::group(&mut rows);
    let slots = lexicon::slots(include_str!("../../lexicon.csv"))?;
    let bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
    let table = Lexicon::new(bytes.as_slice().try_into()?);
    let mut made =
        augment::make(include_str!("../../templates.csv"), include_str!("../../slots.csv"), plan.fills)?;
    made.extend(augment::chains(&made, made.len() / CHAINS, plan.folds));
    let examples: Vec<_> =
        rows.iter().map(|row| Example::new(&row.text, row.toxic, learn::weight(row), table)).collect();
    let made_examples: Vec<_> =
        made.iter().map(|one| Example::new(&one.text, one.toxic, learn::MADE, table)).collect();
    let material = Material {
        rows: &rows,
        examples: &examples,
        made: &made,
        made_examples: &made_examples,
        slots: &slots,
        settings: plan.settings,
    };
    let unseen = material.validate(plan.folds, plan.inner);
    let file = material.finish(plan.folds);
    let unseen_made = material.validate_made(plan.folds, &file);
    let mut alone = rows.clone();
    for (i, row) in alone.iter_mut().enumerate() {
        row.group = i;
    }
    let ungrouped = Material { rows: &alone, ..material }.validate(plan.folds, plan.inner);
    Ok(Outcome { rows, made, unseen, unseen_made, ungrouped, cases: cases()?, file })
}
