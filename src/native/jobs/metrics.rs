//! What is counted about jobs. They come and go through a store, so shared counters are cheap enough here.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts};

use crate::jobs::{Depth, Status};
use crate::metrics::queue_depth;

/// Upper bounds of the histograms, in seconds.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

pub struct Metrics {
    enqueued: IntCounter,
    completed: IntCounterVec,
    depth: Gauge,
    pub inflight: IntGauge,
    pub wait_seconds: Histogram,
    pub run_seconds: Histogram,
    pub stale: IntCounter,
    pub store_errors: IntCounter,
    pub reconnects: IntCounter,
}

impl Metrics {
    pub fn new() -> Metrics {
        let counter = |name, help| IntCounter::new(name, help).expect(VALID);
        let gauge = |name, help| IntGauge::new(name, help).expect(VALID);
        let seconds = |name, help| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec())).expect(VALID)
        };
        let completed = Opts::new("jobs_completed_total", "Jobs that this process has ended, by status.");
        let completed = IntCounterVec::new(completed, &["status"]).expect(VALID);
        // There from the start, at 0: the first one is a growth too.
        for status in [Status::Done, Status::Failed] {
            completed.with_label_values(&[status.as_str()]);
        }
        Metrics {
            enqueued: counter("jobs_enqueued_total", "Jobs that this process has stored."),
            completed,
            depth: queue_depth(),
            inflight: gauge("jobs_inflight", "Jobs that this process is doing."),
            wait_seconds: seconds("job_wait_seconds", "Time from a job's arrival to its start, in seconds."),
            run_seconds: seconds("job_run_seconds", "Time that doing a job took, in seconds."),
            stale: counter("jobs_stale_total", "Attempts of this process that ended after their lease."),
            store_errors: counter("job_store_errors_total", "Times that the store of jobs failed."),
            reconnects: counter(
                "job_store_reconnects_total",
                "Times that the store of jobs was there again.",
            ),
        }
    }

    pub fn enqueued(&self) {
        self.enqueued.inc();
    }

    pub fn completed(&self, status: Status) {
        self.completed.with_label_values(&[status.as_str()]).inc();
    }

    pub fn waited(&self, time: Duration) {
        self.wait_seconds.observe(time.as_secs_f64());
    }

    pub fn depth(&self, depth: Option<Depth>) {
        self.depth.set(depth.map_or(f64::NAN, |depth| depth.queued as f64));
    }

    /// Everything above, to be registered.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.enqueued.clone()),
            Box::new(self.completed.clone()),
            Box::new(self.depth.clone()),
            Box::new(self.inflight.clone()),
            Box::new(self.wait_seconds.clone()),
            Box::new(self.run_seconds.clone()),
            Box::new(self.stale.clone()),
            Box::new(self.store_errors.clone()),
            Box::new(self.reconnects.clone()),
        ]
    }
}

const VALID: &str = "names are valid";
