//! The heavy model: a sequence classifier of the BERT family, read from a directory and run by candle.
//!
//! It is loaded in the background and computes on threads of its own, one text after the other, so that workers only
//! ever wait. In the order of a text's way: `queue`, then `model` with `tokens` and `encoder`. At start: `load`, which
//! has `description` read config.json and `weights` read model.safetensors.

mod description;
mod encoder;
mod load;
mod model;
mod queue;
#[cfg(test)]
mod tests;
mod tokens;
mod weights;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use self::queue::{Job, Queue};
pub use super::config::bert::Limits;
use super::log::{self, Field};

/// A model that is loaded, is being loaded, or could not be. Cheap to share.
#[derive(Clone)]
pub struct Bert(Arc<Shared>);

struct Shared {
    queue: Queue,
    timeout: std::time::Duration,
    /// Seconds that loading took, or why it failed. Set once.
    loaded: OnceLock<Result<f64, String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Loading,
    Ready,
    /// Which file, what is wrong with it, and what to do.
    Failed(String),
}

/// Why a text has no probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Loading,
    /// The model could not be loaded.
    Failed,
    /// The queue is full.
    Busy,
    /// Waiting and computing took longer than the limit.
    TimedOut,
    /// Computing this text went wrong; the log says how.
    Broken,
}

impl Refusal {
    /// For clients and `/readyz`.
    pub fn detail(self) -> &'static str {
        match self {
            Refusal::Loading => "bert is loading",
            Refusal::Failed => "bert failed to load",
            Refusal::Busy => "too many texts wait for bert",
            Refusal::TimedOut => "bert did not come to this text in time",
            Refusal::Broken => "bert could not compute this text",
        }
    }
}

/// What turns a text into a probability, on the model's threads.
trait Classify {
    fn probability(&self, text: &str) -> Result<f32, String>;

    /// What there is to know about it, for the log.
    fn about(&self) -> String;
}

impl Bert {
    /// Returns at once; the model is loaded on a thread of its own.
    pub fn start(dir: PathBuf, limits: Limits) -> Bert {
        let label = dir.display().to_string();
        Bert::launch(label, limits, move || load::load(&dir, limits.threads))
    }

    fn launch<C: Classify>(
        label: String,
        limits: Limits,
        load: impl FnOnce() -> Result<C, String> + Send + 'static,
    ) -> Bert {
        let (queue, timeout) = (Queue::new(limits.queue), limits.timeout);
        let bert = Bert(Arc::new(Shared { queue, timeout, loaded: OnceLock::new() }));
        let shared = bert.0.clone();
        // From here, because the log's thread is started by who logs first, and would be as nice.
        log::event(Refusal::Loading.detail(), &[("dir", Field::Text(&label))]);
        let thread = thread::Builder::new().name("bert".into());
        if let Err(error) = thread.spawn(move || shared.run(&label, load)) {
            let _ = bert.0.loaded.set(Err(format!("no thread can be started: {error}")));
        }
        bert
    }

    pub fn state(&self) -> State {
        match self.0.loaded.get() {
            None => State::Loading,
            Some(Ok(_)) => State::Ready,
            Some(Err(why)) => State::Failed(why.clone()),
        }
    }

    /// Whether texts are welcome; an error says in a few words why not.
    pub fn ready(&self) -> Result<(), Refusal> {
        match self.0.loaded.get() {
            None => Err(Refusal::Loading),
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) => Err(Refusal::Failed),
        }
    }

    /// How long loading took, once it has succeeded.
    pub fn load_seconds(&self) -> Option<f64> {
        self.0.loaded.get()?.as_ref().ok().copied()
    }

    /// The probability, from 0 to 1, that `text` is toxic. The model reads as many tokens from its beginning as
    /// it has positions, usually 512. Must be polled by a runtime that has a clock.
    ///
    /// A text whose future is dropped, or that has waited too long, is taken out of the queue. The one that is being
    /// computed is computed to its end.
    pub async fn classify(&self, text: String) -> Result<f32, Refusal> {
        self.ready()?;
        let mut place = self.0.queue.push(text)?;
        match tokio::time::timeout(self.0.timeout, &mut place.answer).await {
            Err(_) => Err(Refusal::TimedOut),
            Ok(answer) => answer.unwrap_or(Err(Refusal::Broken)),
        }
    }
}

/// How much nicer the model's threads are than the workers': what is light goes first. Without competition it makes
/// no difference.
const NICER: i32 = 10;

impl Shared {
    /// Loads the model, then computes for as long as the process runs.
    fn run<C: Classify>(&self, label: &str, load: impl FnOnce() -> Result<C, String>) {
        // On Linux it is this thread that is meant, and those that it starts.
        let _ = rustix::process::nice(NICER);
        let start = Instant::now();
        let model = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| Err(said(&*panic)));
        let took = start.elapsed();
        match model {
            Ok(model) => {
                let ms = Field::Number(took.as_millis() as u64);
                let fields =
                    [("dir", Field::Text(label)), ("model", Field::Text(&model.about())), ("ms", ms)];
                log::event("bert is ready", &fields);
                let _ = self.loaded.set(Ok(took.as_secs_f64()));
                self.compute(&model);
            }
            Err(why) => {
                log::event(Refusal::Failed.detail(), &[("why", Field::Text(&why))]);
                let _ = self.loaded.set(Err(why));
            }
        }
    }

    fn compute(&self, model: &impl Classify) {
        loop {
            let Job { text, answer, .. } = self.queue.next();
            // One text that candle cannot cope with must not be the last.
            let probability = catch_unwind(AssertUnwindSafe(|| model.probability(&text)));
            let probability = probability.unwrap_or_else(|panic| Err(said(&*panic))).map_err(|why| {
                log::event(Refusal::Broken.detail(), &[("why", Field::Text(&why))]);
                Refusal::Broken
            });
            // Whoever asked may have gone.
            let _ = answer.send(probability);
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a word"))
}
