//! Request metrics. Each worker counts in cells of its own that nobody else writes; crate `prometheus` is asked
//! only at a scrape, when the cells of all workers are summed.
//!
//! A counter that every worker increments would be the one cache line that they share on every request, and an
//! atomic read-modify-write costs several nanoseconds even when nobody contends. A cell with a single writer
//! needs neither: a plain load, an add and a plain store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use once_cell::race::OnceBox;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Gauge, IntGauge, Opts, Registry, TextEncoder};

use crate::handlers::analyze;
use crate::router::{Action, ROUTES, Target, Verb};

/// Upper bounds of `http_request_duration_seconds`, in seconds.
pub const SECONDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Upper bounds of the body sizes, in bytes.
pub const BYTES: &[f64] = &[0.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7];

/// Every status that the service answers with.
pub const STATUSES: &[u16] =
    &[200, 202, 400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 422, 429, 431, 500, 501, 503];

/// A number that one thread writes and any thread reads.
#[derive(Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Relaxed);
    }

    fn sub(&self, n: u64) {
        self.0.store(self.get().wrapping_sub(n), Relaxed);
    }
}

pub(crate) fn cells<const N: usize>() -> [Cell; N] {
    std::array::from_fn(|_| Cell::default())
}

/// Counts by upper bound; `N` is one more than the bounds, for what is above all of them.
pub(crate) struct Histogram<const N: usize> {
    bounds: &'static [f64],
    counts: [Cell; N],
    /// Sum of what was observed, in the integer unit of the caller, such as ns or bytes.
    sum: Cell,
}

impl<const N: usize> Histogram<N> {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Histogram { bounds, counts: cells(), sum: Cell::default() }
    }

    /// `value` in the unit of the bounds, `exact` in the unit of the sum.
    pub(crate) fn observe(&self, value: f64, exact: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(N - 1);
        self.counts[bucket].add(1);
        self.sum.add(exact);
    }
}

/// One worker's requests of one method on one route.
struct Series {
    in_progress: Cell,
    statuses: [Cell; STATUSES.len()],
    seconds: Histogram<{ SECONDS.len() + 1 }>,
    request_bytes: Histogram<{ BYTES.len() + 1 }>,
    response_bytes: Histogram<{ BYTES.len() + 1 }>,
}

impl Series {
    fn new() -> Self {
        Series {
            in_progress: Cell::default(),
            statuses: cells(),
            seconds: Histogram::new(SECONDS),
            request_bytes: Histogram::new(BYTES),
            response_bytes: Histogram::new(BYTES),
        }
    }
}

const SERIES: usize = (ROUTES.len() + 1) * Verb::ALL.len();

/// What one worker has counted. Only the worker's own thread may call the methods that count.
pub struct Counts {
    /// A series takes memory once its route has been used with its method.
    series: [OnceBox<Series>; SERIES],
    /// What workload *analyze* counts.
    pub analyze: OnceBox<analyze::Counts>,
}

impl Default for Counts {
    fn default() -> Self {
        Counts { series: std::array::from_fn(|_| OnceBox::new()), analyze: OnceBox::new() }
    }
}

impl Counts {
    pub fn begin(&self, target: &Target) {
        self.series(target).in_progress.add(1);
    }

    pub fn end(&self, target: &Target, status: StatusCode, took: Duration, request: usize, response: usize) {
        let series = self.count(target, status.as_u16());
        series.in_progress.sub(1);
        series.seconds.observe(took.as_secs_f64(), took.as_nanos() as u64);
        series.request_bytes.observe(request as f64, request as u64);
        series.response_bytes.observe(response as f64, response as u64);
    }

    /// What was begun will not end.
    pub fn abandon(&self, target: &Target) {
        self.series(target).in_progress.sub(1);
    }

    /// A request whose head could not be read was turned away.
    pub fn reject(&self, status: StatusCode) {
        self.count(&Target::UNREADABLE, status.as_u16());
    }

    /// Requests that are being handled now, of the actions that are `counted`; no route is no action.
    pub(crate) fn in_progress(&self, counted: impl Fn(Option<Action>) -> bool) -> u64 {
        let routes = self.series.chunks(Verb::ALL.len()).enumerate();
        let chosen = routes.filter(|(index, _)| counted(ROUTES.get(*index).map(|route| route.action)));
        chosen
            .flat_map(|(_, series)| series)
            .filter_map(OnceBox::get)
            .map(|used| used.in_progress.get())
            .sum()
    }

    fn series(&self, target: &Target) -> &Series {
        let route = target.route.unwrap_or(ROUTES.len());
        let slot = &self.series[route * Verb::ALL.len() + target.verb as usize];
        slot.get_or_init(|| Box::new(Series::new()))
    }

    fn count(&self, target: &Target, status: u16) -> &Series {
        let series = self.series(target);
        let status = STATUSES.iter().position(|known| *known == status);
        debug_assert!(status.is_some(), "a status that STATUSES does not list");
        if let Some(index) = status {
            series.statuses[index].add(1);
        }
        series
    }
}

/// The sum over all workers, as crate `prometheus` wants it.
pub struct Requests {
    workers: Vec<Arc<Counts>>,
    descs: Vec<Desc>,
}

const TOTAL: (&str, &str) = ("http_requests_total", "Requests answered, by method, route and status.");
const DURATION: (&str, &str) =
    ("http_request_duration_seconds", "Time from a request's head to its reply being ready, in seconds.");
const REQUEST_SIZE: (&str, &str) = ("http_request_size_bytes", "Size of request bodies, in bytes.");
const RESPONSE_SIZE: (&str, &str) = ("http_response_size_bytes", "Size of response bodies, in bytes.");
const IN_PROGRESS: (&str, &str) = ("http_requests_inprogress", "Requests being handled now.");

impl Requests {
    pub fn new(workers: Vec<Arc<Counts>>) -> Self {
        let route = ["method", "route"];
        let labelled: [((&str, &str), &[&str]); 5] = [
            (TOTAL, &["method", "route", "status"]),
            (DURATION, &route),
            (REQUEST_SIZE, &route),
            (RESPONSE_SIZE, &route),
            (IN_PROGRESS, &[]),
        ];
        Requests { workers, descs: descs(&labelled) }
    }

    /// The workers' series of one route and method, if any was used.
    fn series(&self, index: usize) -> Option<Vec<&Series>> {
        let used: Vec<_> = self.workers.iter().filter_map(|worker| worker.series[index].get()).collect();
        (!used.is_empty()).then_some(used)
    }
}

impl Collector for Requests {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut total, mut duration, mut request, mut response) = (vec![], vec![], vec![], vec![]);
        for index in 0..SERIES {
            let Some(used) = self.series(index) else {
                continue;
            };
            let route = ROUTES.get(index / Verb::ALL.len()).map_or("unmatched", |route| route.path);
            let labels =
                vec![label("method", Verb::ALL[index % Verb::ALL.len()].as_str()), label("route", route)];
            for (status, code) in STATUSES.iter().enumerate() {
                let count: u64 = used.iter().map(|series| series.statuses[status].get()).sum();
                if count > 0 {
                    let mut labels = labels.clone();
                    labels.push(label("status", &code.to_string()));
                    total.push(counter(labels, count as f64));
                }
            }
            duration.push(histogram(&labels, used.iter().map(|series| &series.seconds), 1e-9));
            request.push(histogram(&labels, used.iter().map(|series| &series.request_bytes), 1.0));
            response.push(histogram(&labels, used.iter().map(|series| &series.response_bytes), 1.0));
        }
        let in_progress: u64 = self.workers.iter().map(|worker| worker.in_progress(|_| true)).sum();
        vec![
            family(TOTAL, MetricType::COUNTER, total),
            family(DURATION, MetricType::HISTOGRAM, duration),
            family(REQUEST_SIZE, MetricType::HISTOGRAM, request),
            family(RESPONSE_SIZE, MetricType::HISTOGRAM, response),
            family(IN_PROGRESS, MetricType::GAUGE, vec![gauge(in_progress as f64)]),
        ]
    }
}

/// What describes metrics of these names, helps and labels.
pub(crate) fn descs(labelled: &[((&str, &str), &[&str])]) -> Vec<Desc> {
    let describe = |&((name, help), labels): &((&str, &str), &[&str])| {
        let labels = labels.iter().map(|label| label.to_string()).collect();
        Desc::new(name.into(), help.into(), labels, Default::default()).expect("names are valid")
    };
    labelled.iter().map(describe).collect()
}

pub(crate) fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

pub(crate) fn counter(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

pub(crate) fn gauge(value: f64) -> Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value);
    Metric::from_gauge(gauge)
}

pub(crate) fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.into());
    pair.set_value(value.into());
    pair
}

pub(crate) fn histogram<'a, const N: usize>(
    labels: &[LabelPair],
    workers: impl Iterator<Item = &'a Histogram<N>> + Clone,
    unit: f64,
) -> Metric {
    let mut cumulative = 0;
    let mut counts =
        (0..N).map(|index| workers.clone().map(|worker| worker.counts[index].get()).sum::<u64>());
    let bounds = workers.clone().next().map_or([].as_slice(), |worker| worker.bounds);
    // The encoder adds the bucket of what is above all bounds by itself, from the count.
    let buckets: Vec<_> = counts
        .by_ref()
        .zip(bounds)
        .map(|(count, bound)| {
            cumulative += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_cumulative_count(cumulative);
            bucket.set_upper_bound(*bound);
            bucket
        })
        .collect();
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(cumulative + counts.sum::<u64>());
    histogram.set_sample_sum(workers.map(|worker| worker.sum.get()).sum::<u64>() as f64 * unit);
    let mut metric = Metric::from_label(labels.to_vec());
    metric.set_histogram(histogram);
    metric
}

/// A registry that knows which build this is.
pub fn registry(variant: &str) -> Registry {
    let registry = Registry::new();
    let options = Opts::new("ounce_build_info", "The build that answers; always 1.")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("variant", variant);
    let info = IntGauge::with_opts(options).expect("the name is valid");
    info.set(1);
    registry.register(Box::new(info)).expect("the registry is empty");
    registry
}

/// Jobs in the store that wait; NaN where that is not known.
pub fn queue_depth() -> Gauge {
    Gauge::new("jobs_queue_depth", "Jobs in the store that wait.").expect("the name is valid")
}

/// Prometheus text format 0.0.4.
#[inline(never)] // a scrape is rare, and among what every request runs it would count as resident
pub fn text(registry: &Registry) -> String {
    // Encoding fails only for families without metrics, which the registry leaves out.
    TextEncoder.encode_to_string(&registry.gather()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::problem::Problem;
    use crate::router::Surface;

    #[test]
    fn workers_are_summed() {
        let workers: Vec<_> = (0..3).map(|_| Arc::new(Counts::default())).collect();
        let target = Target::find(&Method::GET, "/api/light", Surface::Everything);
        for (index, worker) in workers.iter().enumerate() {
            worker.begin(&target);
            worker.end(&target, StatusCode::OK, Duration::from_millis(3 * index as u64), 0, 10);
        }
        workers[0].begin(&target);
        let registry = registry("test");
        registry.register(Box::new(Requests::new(workers))).unwrap();
        let text = text(&registry);
        for line in [
            r#"http_requests_total{method="GET",route="/api/light",status="200"} 3"#,
            r#"http_request_duration_seconds_bucket{method="GET",route="/api/light",le="0.0025"} 1"#,
            r#"http_request_duration_seconds_bucket{method="GET",route="/api/light",le="0.005"} 2"#,
            r#"http_request_duration_seconds_bucket{method="GET",route="/api/light",le="+Inf"} 3"#,
            r#"http_request_duration_seconds_count{method="GET",route="/api/light"} 3"#,
            r#"http_response_size_bytes_sum{method="GET",route="/api/light"} 30"#,
            "http_requests_inprogress 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn every_error_has_its_status_listed() {
        for problem in [
            Problem::Malformed,
            Problem::NotFound,
            Problem::MethodNotAllowed { allow: String::new() },
            Problem::BadRequest(String::new()),
            Problem::UnsupportedMediaType(""),
            Problem::Unprocessable(String::new()),
            Problem::TooLong(String::new()),
            Problem::LeftOut(""),
            Problem::NoStore(""),
            Problem::NoSuch(""),
            Problem::Conflict(String::new()),
            Problem::TooMany { retry_after: 1 },
            Problem::Away { retry_after: 1 },
            Problem::Timeout,
            Problem::TooLarge { limit: 0 },
            Problem::UriTooLong,
            Problem::HeadersTooLarge,
            Problem::Unavailable(""),
        ] {
            assert!(STATUSES.contains(&problem.status().as_u16()), "{problem:?}");
        }
    }
}
