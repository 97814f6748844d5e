//! Texts made of templates of our own (`templates.csv`, `slots.csv`), for what the public sets lack: plain sentences,
//! sentences that name a group, negation, quotation, insults that few rows hold.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use super::learn::Random;

/// A text made of a template.
#[derive(Clone, Debug)]
pub struct Made {
    pub text: String,
    pub toxic: bool,
    /// The template's place in its file; of a chain that of its first text.
    pub template: usize,
}

type Slots = BTreeMap<(String, String), Vec<String>>;

/// Fills every template up to `fills` times; the same each time.
pub fn make(templates: &str, slots: &str, fills: usize) -> Result<Vec<Made>> {
    let slots = read_slots(slots)?;
    let mut made = Vec::new();
    for (template, record) in csv::Reader::from_reader(templates.as_bytes()).records().enumerate() {
        let record = record.context("templates")?;
        let toxic = match &record[0] {
            "0" => false,
            "1" => true,
            other => bail!("templates: the label must be 0 or 1, not {other:?}"),
        };
        let mut random = Random(0x7E4D_0000 + template as u64);
        let mut texts = BTreeSet::new();
        for _ in 0..fills {
            texts.insert(fill(&record[2], &record[1], &slots, &mut random)?);
        }
        made.extend(texts.into_iter().map(|text| Made { text, toxic, template }));
    }
    Ok(made)
}

/// Texts of several sentences: harmless ones in a row, and one attack among harmless ones. The verdict is that of the
/// worst sentence, so this teaches that many sentences are no evidence and that none takes back another.
///
/// All sentences of a chain are of templates that are in one of `folds` parts, so that a chain is held out as a whole.
pub fn chains(made: &[Made], count: usize, folds: usize) -> Vec<Made> {
    let mut random = Random(0xC4A1_0000);
    let pick = |random: &mut Random, toxic: bool, fold: usize| loop {
        let one = &made[random.below(made.len())];
        if one.toxic == toxic && one.template % folds == fold {
            return one;
        }
    };
    let mut chains = Vec::new();
    for i in 0..count {
        let (toxic, fold) = (i % 3 == 0, random.below(folds));
        let length = if toxic { 2 + random.below(3) } else { 2 + random.below(19) };
        let attack = random.below(length);
        let texts: Vec<&Made> =
            (0..length).map(|place| pick(&mut random, toxic && place == attack, fold)).collect();
        let text = texts.iter().map(|one| sentence(&one.text)).collect::<Vec<_>>().join(" ");
        chains.push(Made { text, toxic, template: texts[0].template });
    }
    chains
}

fn sentence(text: &str) -> String {
    let ended = text.trim_end().ends_with(['.', '!', '?', '"', '»']);
    format!("{text}{}", if ended { "" } else { "." })
}

fn read_slots(csv: &str) -> Result<Slots> {
    let mut slots = Slots::new();
    for record in csv::Reader::from_reader(csv.as_bytes()).records() {
        let record = record.context("slots")?;
        let values = record[2].split(';').map(str::to_owned).collect();
        slots.insert((record[0].to_owned(), record[1].to_owned()), values);
    }
    Ok(slots)
}

/// `(a|b)` is one of its alternatives, `{name}` one of the slot's values; alternatives may hold slots.
fn fill(template: &str, language: &str, slots: &Slots, random: &mut Random) -> Result<String> {
    let mut chosen = String::new();
    let mut rest = template;
    while let Some((before, from)) = rest.split_once('(') {
        let (inside, after) =
            from.split_once(')').with_context(|| format!("templates: no ) in {template:?}"))?;
        let alternatives: Vec<&str> = inside.split('|').collect();
        chosen.push_str(before);
        chosen.push_str(alternatives[random.below(alternatives.len())]);
        rest = after;
    }
    chosen.push_str(rest);
    let mut text = String::new();
    let mut rest = chosen.as_str();
    while let Some((before, from)) = rest.split_once('{') {
        let (name, after) =
            from.split_once('}').with_context(|| format!("templates: no }} in {template:?}"))?;
        let values = slots.get(&(name.to_owned(), language.to_owned()));
        let values = values.with_context(|| format!("templates: no slot {name} for {language:?}"))?;
        text.push_str(before);
        text.push_str(&values[random.below(values.len())]);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: &str = "slot,language,values\nwho,en,she;he\n";

    fn texts(template: &str) -> Result<Vec<String>> {
        let made = make(&format!("label,language,text\n0,en,{template}\n"), SLOTS, 60)?;
        Ok(made.into_iter().map(|one| one.text).collect())
    }

    #[test]
    fn alternatives_and_slots_are_filled() {
        assert_eq!(
            texts("(Look|See) {who} is").unwrap(),
            ["Look he is", "Look she is", "See he is", "See she is"]
        );
        assert_eq!(texts("a(b|)").unwrap(), ["a", "ab"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert!(format!("{:#}", texts("(a|b").unwrap_err()).contains("no )"));
        assert!(format!("{:#}", texts("{whom}").unwrap_err()).contains("no slot whom"));
    }
}
