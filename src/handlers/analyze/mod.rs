//! Workload *analyze*: how toxic is a text? CPU-bound, with a model that is part of the binary.

mod answer;
mod metrics;
mod request;

use std::borrow::Cow;

use http::StatusCode;
use http::request::Parts;
pub use ounce_model::MAX_CHARS;

pub use self::answer::result;
use self::answer::{Answers, answer};
pub use self::metrics::{Counts, collector};
use self::request::{Batch, One};
use super::body;
use crate::host::Host;
use crate::problem::Problem;
use crate::reply::Reply;

/// Whether the model is in this build.
pub const LOADED: bool = true;

/// After so many bytes of text other requests may go first; scoring them takes a part of a millisecond.
const TURN_BYTES: usize = 4096;

/// Who scores a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Linear, compiled in.
    Simple,
    /// A transformer that the host has loaded.
    Bert,
}

impl Model {
    pub const ALL: [Model; 2] = [Model::Simple, Model::Bert];

    pub fn as_str(self) -> &'static str {
        match self {
            Model::Simple => "simple",
            Model::Bert => "bert",
        }
    }

    /// The model of a name, or the one that is always there.
    fn named(name: Option<Cow<'_, str>>, host: &impl Host) -> Result<Model, Problem> {
        let Some(name) = name else { return Ok(Model::Simple) };
        let mut there =
            Model::ALL.into_iter().filter(|model| *model == Model::Simple || host.bert_loaded().is_some());
        there.clone().find(|model| model.as_str() == name).ok_or_else(|| {
            let name: String = name.chars().take(32).collect();
            let there: Vec<_> = there.by_ref().map(Model::as_str).collect();
            Problem::Unprocessable(format!(
                "model {name:?} is not available here; there is: {}",
                there.join(", ")
            ))
        })
    }
}

/// `POST /analyze`
pub async fn one(head: &Parts, body: &[u8], host: &impl Host) -> Result<Reply, Problem> {
    counted(host, async |used| {
        let explain = request::explain(head)?;
        let One { text, model } = body::read(head, body)?;
        let model = Model::named(model, host)?;
        *used = Some(model);
        request::check("text", &text)?;
        Ok(Reply::json(&answer(&text, model, explain, host).await?))
    })
    .await
}

/// `POST /analyze/batch`
pub async fn batch(head: &Parts, body: &[u8], host: &impl Host) -> Result<Reply, Problem> {
    counted(host, async |used| {
        let explain = request::explain(head)?;
        let Batch { texts, model } = body::read(head, body)?;
        let model = Model::named(model, host)?;
        *used = Some(model);
        for (index, text) in texts.iter().enumerate() {
            request::check(&format!("texts[{index}]"), text)?;
        }
        let (mut results, mut turn) = (Vec::with_capacity(texts.len()), 0);
        for text in texts.iter() {
            results.push(answer(text, model, explain, host).await?);
            turn += text.len();
            if turn >= TURN_BYTES {
                turn = 0;
                host.give_way().await;
            }
        }
        Ok(Reply::json(&Answers { results }))
    })
    .await
}

/// Counts what `work` answers, for the model that it says to use.
async fn counted<H: Host>(
    host: &H,
    work: impl AsyncFnOnce(&mut Option<Model>) -> Result<Reply, Problem>,
) -> Result<Reply, Problem> {
    let mut used = None;
    let reply = work(&mut used).await;
    if let Some(counts) = host.counts() {
        let status = reply.as_ref().map_or_else(Problem::status, |_| StatusCode::OK);
        counts.analyze.get_or_init(Box::default).answered(used, status);
    }
    reply
}
