//! A text's score, and why it has that score.

use std::time::Duration;

use ounce_model::{Evidence, Kind, Verdict};
use serde::Serialize;

use super::Model;
use crate::host::Host;
use crate::problem::Problem;

/// Most n-grams that an explanation names.
const MOST_EVIDENCE: usize = 10;

#[derive(Serialize)]
pub struct Answers<'a> {
    pub results: Vec<Answer<'a>>,
}

#[derive(Serialize)]
pub struct Answer<'a> {
    score: u8,
    toxicity_level: &'static str,
    model_used: &'static str,
    language: &'static str,
    processing_time_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Vec<Ngram<'a>>>,
}

/// Positions are half-open ranges in the text that was sent.
#[derive(Serialize)]
struct Ngram<'a> {
    ngram: &'a str,
    kind: &'static str,
    /// In log-odds: above 0 towards toxic.
    weight: f64,
    bytes: [usize; 2],
    characters: [usize; 2],
}

impl<'a> Ngram<'a> {
    fn new(evidence: Evidence, text: &'a str) -> Ngram<'a> {
        let Evidence { bytes, chars, weight, kind } = evidence;
        Ngram {
            ngram: &text[bytes.clone()],
            kind: match kind {
                Kind::Word => "word",
                Kind::Chars => "chars",
            },
            weight: (f64::from(weight) * 1e3).round() / 1e3,
            bytes: [bytes.start, bytes.end],
            characters: [chars.start, chars.end],
        }
    }
}

/// A text's score for whoever asks later, as JSON.
pub fn result(text: &str) -> String {
    #[derive(Serialize)]
    struct Scored {
        score: u8,
        toxicity_level: &'static str,
        language: &'static str,
    }
    let verdict = ounce_model::score(text);
    let scored = Scored {
        score: verdict.score(),
        toxicity_level: verdict.level().as_str(),
        language: verdict.language.as_str(),
    };
    serde_json::to_string(&scored).expect("plain structs serialise")
}

/// Scores a text.
pub async fn answer<'a, H: Host>(
    text: &'a str,
    model: Model,
    explain: bool,
    host: &H,
) -> Result<Answer<'a>, Problem> {
    let started = host.uptime();
    let (verdict, explanation) = match model {
        Model::Simple if explain => {
            let (verdict, evidence) = ounce_model::explain(text, MOST_EVIDENCE);
            (verdict, Some(evidence.into_iter().map(|evidence| Ngram::new(evidence, text)).collect()))
        }
        Model::Simple => (ounce_model::score(text), None),
        Model::Bert if explain => {
            return Err(Problem::Unprocessable(
                "only model \"simple\" can explain; leave explain out".into(),
            ));
        }
        Model::Bert => {
            let probability = host.bert(text).await?;
            (Verdict { probability, ..ounce_model::score(text) }, None)
        }
    };
    let took = host.uptime().saturating_sub(started);
    let score = verdict.score();
    if let Some(counts) = host.counts() {
        counts.analyze.get_or_init(Box::default).scored(model, score, took);
    }
    Ok(Answer {
        score,
        toxicity_level: verdict.level().as_str(),
        model_used: model.as_str(),
        language: verdict.language.as_str(),
        processing_time_ms: milliseconds(took),
        explanation,
    })
}

/// To a microsecond.
fn milliseconds(took: Duration) -> f64 {
    took.as_micros() as f64 / 1e3
}
