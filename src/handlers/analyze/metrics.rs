//! What *analyze* counts, in cells of each worker as [`crate::metrics`] does, summed at a scrape.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::Model;
use crate::metrics::{
    self, Cell, Histogram, STATUSES, cells, counter, descs, family, gauge, histogram, label,
};
use crate::router::{ANALYZE, Action};

/// Upper bounds of `toxicity_score_distribution`.
const SCORES: &[f64] = &[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];

/// Upper bounds of `toxicity_processing_seconds`.
const SECONDS: &[f64] = &[
    0.000_001,
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.01,
    0.1,
    1.0,
    10.0,
];

const MODELS: usize = Model::ALL.len();

/// The label of requests whose model is not known: most of what is refused.
const NO_MODEL: &str = "unknown";

const REQUESTS: (&str, &str) =
    ("toxicity_api_requests_total", "Requests whose body has arrived, by model and status.");
const SCORE: (&str, &str) = ("toxicity_score_distribution", "Scores of texts, 0 to 100.");
const PROCESSING: (&str, &str) =
    ("toxicity_processing_seconds", "Time to score a text, by model, in seconds.");
const ACTIVE: (&str, &str) = ("toxicity_api_active_users", "Requests to analyze being handled now.");
const LOAD: (&str, &str) =
    ("model_load_seconds", "Time to load a model, in seconds; 0 for one that is part of the binary.");

/// What one worker has counted.
pub struct Counts {
    /// By model, and then those without one.
    requests: [[Cell; STATUSES.len()]; MODELS + 1],
    scores: Histogram<{ SCORES.len() + 1 }>,
    seconds: [Histogram<{ SECONDS.len() + 1 }>; MODELS],
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            requests: std::array::from_fn(|_| cells()),
            scores: Histogram::new(SCORES),
            seconds: std::array::from_fn(|_| Histogram::new(SECONDS)),
        }
    }
}

impl Counts {
    pub fn answered(&self, model: Option<Model>, status: StatusCode) {
        let model = model.map_or(MODELS, |model| model as usize);
        if let Some(status) = STATUSES.iter().position(|known| *known == status.as_u16()) {
            self.requests[model][status].add(1);
        }
    }

    pub fn scored(&self, model: Model, score: u8, took: Duration) {
        self.scores.observe(score.into(), score.into());
        self.seconds[model as usize].observe(took.as_secs_f64(), took.as_nanos() as u64);
    }
}

/// The sum over all workers, as crate `prometheus` wants it.
struct Toxicity<L> {
    workers: Vec<Arc<metrics::Counts>>,
    descs: Vec<Desc>,
    /// How long the transformer took to load, once it has.
    load_seconds: L,
}

pub fn collector(
    workers: Vec<Arc<metrics::Counts>>,
    load_seconds: impl Fn() -> Option<f64> + Send + Sync + 'static,
) -> Option<Box<dyn Collector>> {
    let model = &["model_type"];
    let labelled: [((&str, &str), &[&str]); 5] = [
        (REQUESTS, &["model_type", "status"]),
        (SCORE, &[]),
        (PROCESSING, model),
        (ACTIVE, &[]),
        (LOAD, model),
    ];
    Some(Box::new(Toxicity { workers, descs: descs(&labelled), load_seconds }))
}

impl<L: Fn() -> Option<f64> + Send + Sync> Collector for Toxicity<L> {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let is_ours = |action: Option<Action>| action.is_some_and(|action| ANALYZE.contains(&action));
        let active: u64 = self.workers.iter().map(|worker| worker.in_progress(is_ours)).sum();
        let mut families = vec![
            family(ACTIVE, MetricType::GAUGE, vec![gauge(active as f64)]),
            family(LOAD, MetricType::GAUGE, load((self.load_seconds)())),
        ];
        let used: Vec<&Counts> = self.workers.iter().filter_map(|worker| worker.analyze.get()).collect();
        if !used.is_empty() {
            families.push(family(REQUESTS, MetricType::COUNTER, requests(&used)));
            let scores = histogram(&[], used.iter().map(|counts| &counts.scores), 1.0);
            families.push(family(SCORE, MetricType::HISTOGRAM, vec![scores]));
            families.push(family(PROCESSING, MetricType::HISTOGRAM, seconds(&used)));
        }
        families
    }
}

/// The compiled-in model takes no time.
fn load(bert: Option<f64>) -> Vec<Metric> {
    let seconds = [(Model::Simple, Some(0.0)), (Model::Bert, bert)];
    let loaded = seconds.into_iter().filter_map(|(model, seconds)| Some((model, seconds?)));
    loaded
        .map(|(model, seconds)| {
            let mut metric = gauge(seconds);
            metric.set_label(vec![model_type(model.as_str())]);
            metric
        })
        .collect()
}

fn model_type(name: &str) -> LabelPair {
    label("model_type", name)
}

fn requests(used: &[&Counts]) -> Vec<Metric> {
    let names = Model::ALL.map(Model::as_str).into_iter().chain([NO_MODEL]);
    let counts = names.enumerate().flat_map(|(model, name)| {
        STATUSES.iter().enumerate().map(move |(status, code)| {
            let count: u64 = used.iter().map(|counts| counts.requests[model][status].get()).sum();
            (name, code, count)
        })
    });
    let counted = counts.filter(|(.., count)| *count > 0);
    counted
        .map(|(name, code, count)| {
            counter(vec![model_type(name), label("status", &code.to_string())], count as f64)
        })
        .collect()
}

fn seconds(used: &[&Counts]) -> Vec<Metric> {
    let of = |model: Model| used.iter().map(move |counts| &counts.seconds[model as usize]);
    let metrics = Model::ALL.map(|model| histogram(&[model_type(model.as_str())], of(model), 1e-9));
    let counted = metrics.into_iter().filter(|metric| metric.get_histogram().get_sample_count() > 0);
    counted.collect()
}
