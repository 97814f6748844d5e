//! config.json: what model this is, how large, and which of its labels mean toxic.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use candle_transformers::models::bert::HiddenAct;
use serde_json::{Map, Value};

/// How a family names its tensors and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Bert,
    /// With positions that count from behind the padding's.
    Roberta,
    /// Without token types and without a pooler.
    DistilBert,
}

/// `model_type` → its family.
const KNOWN: [(&str, Family); 5] = [
    ("bert", Family::Bert),
    ("camembert", Family::Roberta),
    ("distilbert", Family::DistilBert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::Roberta),
];

#[derive(Debug)]
pub struct Description {
    pub family: Family,
    pub vocabulary: usize,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub intermediate: usize,
    pub activation: HiddenAct,
    /// Rows of the position embedding.
    pub positions: usize,
    /// Rows of it that no token has, before those of the text.
    pub positions_skipped: usize,
    pub token_types: usize,
    pub epsilon: f64,
    pub labels: Vec<String>,
    pub output: Output,
    /// Indices of the labels that mean toxic; at least one.
    pub toxic: Vec<usize>,
}

/// What makes probabilities of the model's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// One label holds: the probabilities of those that mean toxic add up.
    Softmax,
    /// Each label holds or not: the likeliest of those that mean toxic counts.
    Sigmoid,
}

/// Memory that the attention of one layer may take, in bytes: models in use take less than a tenth.
const MOST_ATTENTION: u64 = 1 << 30;

impl Description {
    /// How many tokens of a text the model reads.
    pub fn most_tokens(&self) -> usize {
        self.positions - self.positions_skipped
    }

    pub fn parse(json: &[u8]) -> Result<Description, String> {
        let json: Value = serde_json::from_slice(json).map_err(|error| format!("is not JSON: {error}"))?;
        let json = Fields(json.as_object().ok_or("is not a JSON object")?);
        let family = family(&json)?;
        let name = |usual, distil| if family == Family::DistilBert { distil } else { usual };
        let (labels, output) = (labels(&json)?, output(&json)?);
        let positions = json.number("max_position_embeddings", 1..=1 << 16)?;
        // Of the padding, and of everything that has a smaller identifier.
        let padding =
            if family == Family::Roberta { json.number("pad_token_id", 0..=1 << 16)? + 1 } else { 0 };
        let description = Description {
            family,
            vocabulary: json.number("vocab_size", 1..=1 << 22)?,
            hidden: json.number(name("hidden_size", "dim"), 1..=1 << 14)?,
            layers: json.number(name("num_hidden_layers", "n_layers"), 1..=256)?,
            heads: json.number(name("num_attention_heads", "n_heads"), 1..=256)?,
            intermediate: json.number(name("intermediate_size", "hidden_dim"), 1..=1 << 16)?,
            activation: activation(&json, name("hidden_act", "activation"))?,
            positions,
            positions_skipped: padding,
            token_types: if family == Family::DistilBert {
                1
            } else {
                json.number("type_vocab_size", 1..=1 << 10)?
            },
            epsilon: if family == Family::DistilBert { 1e-12 } else { json.fraction("layer_norm_eps")? },
            toxic: toxic(&labels, output)?,
            output: if labels.len() == 1 { Output::Sigmoid } else { output },
            labels,
        };
        description.check()
    }

    /// What no field alone can be wrong about.
    fn check(self) -> Result<Description, String> {
        let Description { hidden, heads, positions, positions_skipped, .. } = self;
        if hidden % heads != 0 {
            return Err(format!("{heads} attention heads cannot share a hidden size of {hidden}"));
        }
        if positions <= positions_skipped {
            return Err(format!(
                "max_position_embeddings is {positions}, of which pad_token_id leaves none for a text"
            ));
        }
        // At most 2⁸ · 2³² · 4.
        let attention = heads as u64 * (positions as u64).pow(2) * size_of::<f32>() as u64;
        if attention > MOST_ATTENTION {
            return Err(format!(
                "{heads} attention heads over {positions} positions need {attention} bytes for one text; at most \
                 {MOST_ATTENTION} are given"
            ));
        }
        Ok(self)
    }
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    /// A field that is neither missing nor null.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<&str>, String> {
        let wrong = |value: &Value| format!("{name} is {value}, which is no text");
        self.get(name).map(|value| value.as_str().ok_or_else(|| wrong(value))).transpose()
    }

    fn number(&self, name: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
        let value = self.get(name).ok_or_else(|| format!("{name} is missing"))?;
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            format!("{name} is {value}, not a whole number from {} to {}", range.start(), range.end())
        })
    }

    fn fraction(&self, name: &str) -> Result<f64, String> {
        let value = self.get(name).ok_or_else(|| format!("{name} is missing"))?;
        let in_range = value.as_f64().filter(|number| (0.0..1.0).contains(number));
        in_range.ok_or_else(|| format!("{name} is {value}, not a number from 0 to 1"))
    }
}

fn family(json: &Fields<'_>) -> Result<Family, String> {
    let known = KNOWN.map(|(name, _)| name).join(", ");
    let Some(name) = json.text("model_type")? else {
        return Err(format!("model_type is missing; known are {known}"));
    };
    let family = KNOWN.iter().find(|(known, _)| *known == name).map(|(_, family)| *family);
    let family = family.ok_or_else(|| format!("model_type is '{name}'; known are {known}"))?;
    match json.text("position_embedding_type")? {
        None | Some("absolute") => Ok(family),
        Some(other) => Err(format!("position_embedding_type is '{other}'; known is absolute")),
    }
}

fn activation(json: &Fields<'_>, name: &str) -> Result<HiddenAct, String> {
    match json.text(name)? {
        Some("gelu") => Ok(HiddenAct::Gelu),
        Some("gelu_new" | "gelu_pytorch_tanh") => Ok(HiddenAct::GeluApproximate),
        Some("relu") => Ok(HiddenAct::Relu),
        Some(other) => Err(format!("{name} is '{other}'; known are gelu, gelu_new, gelu_pytorch_tanh, relu")),
        None => Err(format!("{name} is missing")),
    }
}

fn output(json: &Fields<'_>) -> Result<Output, String> {
    match json.text("problem_type")? {
        None | Some("single_label_classification") => Ok(Output::Softmax),
        Some("multi_label_classification") => Ok(Output::Sigmoid),
        Some(other) => Err(format!(
            "problem_type is '{other}'; known are single_label_classification, multi_label_classification"
        )),
    }
}

/// In the order of their numbers. Two without names where nothing is said, which is the default of Transformers.
fn labels(json: &Fields<'_>) -> Result<Vec<String>, String> {
    let said = json.get("num_labels").map(|_| json.number("num_labels", 1..=1000)).transpose()?;
    let Some(map) = json.get("id2label") else {
        return Ok((0..said.unwrap_or(2)).map(|n| format!("LABEL_{n}")).collect());
    };
    let map = map.as_object().ok_or("id2label is no JSON object")?;
    let mut labels = BTreeMap::new();
    for (number, label) in map {
        let (Ok(number), Some(label)) = (number.parse::<usize>(), label.as_str()) else {
            return Err(format!("id2label has \"{number}\": {label}, not a number and a name"));
        };
        labels.insert(number, label.to_owned());
    }
    if labels.is_empty() || !labels.keys().copied().eq(0..map.len()) {
        return Err("id2label does not count from 0 without a gap".into());
    }
    if let Some(said) = said.filter(|said| *said != labels.len()) {
        return Err(format!("num_labels is {said}, but id2label has {} labels", labels.len()));
    }
    Ok(labels.into_values().collect())
}

/// What a label that means toxic contains.
const TOXIC: [&str; 4] = ["toxic", "hate", "offensive", "abus"];

#[derive(Clone, Copy, PartialEq)]
enum Meaning {
    Toxic,
    /// `non-toxic`, `NOT_HATE`, `no_abuse`, `inoffensive`.
    Harmless,
    Unknown,
}

fn meaning(label: &str) -> Meaning {
    let label = label.to_lowercase();
    let Some(at) = TOXIC.iter().filter_map(|word| label.find(word)).min() else {
        return Meaning::Unknown;
    };
    let between = |c: char| !c.is_alphanumeric();
    let before = label[..at].trim_end_matches(between);
    let word = before.rsplit(between).next().unwrap_or_default();
    let joined = before.len() == at;
    if ["no", "non", "not"].contains(&word) || joined && word == "in" {
        Meaning::Harmless
    } else {
        Meaning::Toxic
    }
}

/// Those whose name says so; else the last of two, unless the name says that it is the other one; else the only one.
fn toxic(labels: &[String], output: Output) -> Result<Vec<usize>, String> {
    let meanings: Vec<_> = labels.iter().map(|label| meaning(label)).collect();
    let toxic: Vec<_> = (0..labels.len()).filter(|n| meanings[*n] == Meaning::Toxic).collect();
    let all = toxic.len() == labels.len();
    match meanings.as_slice() {
        // They would always add up to 1.
        [_, _, ..] if all && output == Output::Softmax => {
            Err(format!("every label means toxic, and one always holds: {}", labels.join(", ")))
        }
        [Meaning::Harmless] => Err(format!("its only label is '{}'", labels[0])),
        _ if !toxic.is_empty() => Ok(toxic),
        [_] => Ok(vec![0]),
        [Meaning::Unknown, Meaning::Harmless] => Ok(vec![0]),
        [_, Meaning::Unknown] => Ok(vec![1]),
        _ => Err(format!(
            "no label means toxic: {}; one should contain {}",
            labels.join(", "),
            TOXIC.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toxic(labels: &[&str], output: Output) -> Result<Vec<usize>, String> {
        let labels: Vec<_> = labels.iter().map(|label| label.to_string()).collect();
        super::toxic(&labels, output)
    }

    #[test]
    fn labels_that_mean_toxic_are_found_by_name() {
        for labels in [
            ["neutral", "toxic"],
            ["non-toxic", "toxic"],
            ["NOT_HATE", "HATE"],
            ["nothate", "hate"],
            ["inoffensive", "Offensive"],
            ["clean", "Abusive"],
            ["no_abuse", "spam"],
            ["LABEL_0", "LABEL_1"],
        ] {
            for output in [Output::Softmax, Output::Sigmoid] {
                let [harmless, harmful] = labels;
                assert_eq!(toxic(&[harmless, harmful], output), Ok(vec![1]), "{labels:?}");
                if labels[0] != "LABEL_0" {
                    assert_eq!(toxic(&[harmful, harmless], output), Ok(vec![0]), "{labels:?}");
                }
            }
        }
        assert_eq!(toxic(&["hate", "normal", "offensive"], Output::Softmax), Ok(vec![0, 2]));
        assert_eq!(toxic(&["domain-toxicity"], Output::Sigmoid), Ok(vec![0]));
        assert_eq!(toxic(&["LABEL_0"], Output::Softmax), Ok(vec![0]));
        assert_eq!(toxic(&["toxic", "severe_toxic"], Output::Sigmoid), Ok(vec![0, 1]));
    }

    #[test]
    fn labels_of_which_none_means_toxic_are_refused() {
        for labels in [&["a", "b", "c"][..], &["non-toxic"], &["not hate", "no abuse"], &["hate", "abuse"]] {
            assert!(toxic(labels, Output::Softmax).is_err(), "{labels:?}");
        }
    }
}
