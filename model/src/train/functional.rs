//! The functional cases: what the model must get right whatever it was trained on.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::{Model, score_with};

/// One case of `functional.csv`.
#[derive(Clone, Debug)]
pub struct Case {
    pub class: String,
    pub language: String,
    pub toxic: bool,
    pub text: String,
}

/// Reads `class,language,label,text`.
pub fn read(csv: &str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for record in csv::Reader::from_reader(csv.as_bytes()).records() {
        let record = record.context("functional cases")?;
        let toxic = match &record[2] {
            "0" => false,
            "1" => true,
            other => bail!("functional cases: the label must be 0 or 1, not {other:?}"),
        };
        let [class, language, text] = [0, 1, 3].map(|i| record[i].to_owned());
        cases.push(Case { class, language, toxic, text });
    }
    Ok(cases)
}

/// A case passes if the probability is on its side of one half.
pub fn passes(model: &Model<'_>, case: &Case) -> bool {
    (score_with(model, &case.text).probability >= 0.5) == case.toxic
}

/// How many cases passed, and how many there are.
pub type Rate = (usize, usize);

/// The pass rate of each class, English and French apart, in the order of the names.
pub fn rates(model: &Model<'_>, cases: &[Case]) -> BTreeMap<String, BTreeMap<String, Rate>> {
    let mut rates: BTreeMap<String, BTreeMap<String, Rate>> = BTreeMap::new();
    for case in cases {
        let rate = rates.entry(case.class.clone()).or_default().entry(case.language.clone()).or_default();
        rate.0 += usize::from(passes(model, case));
        rate.1 += 1;
    }
    rates
}
