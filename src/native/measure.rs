//! The service's view of a connection: which platform it runs on, and how its requests are measured.

use std::time::{Duration, Instant};

use http::StatusCode;
use http::request::Parts;

use super::connection::Connection;
use super::jobs::Jobs;
use super::log::Field;
use crate::host;
use crate::host::Host;
use crate::jobs::Away;
use crate::metrics::{self, Counts};
#[cfg(feature = "bert")]
use crate::problem::Problem;
use crate::router::{Surface, Target};

impl Host for Connection {
    type Exchange<'a> = Exchange<'a>;

    fn surface(&self) -> Surface {
        self.surface
    }

    fn variant(&self) -> &str {
        &self.worker.server.config.variant
    }

    fn uptime(&self) -> Duration {
        self.worker.server.started.elapsed()
    }

    async fn ready(&self) -> Result<(), &'static str> {
        self.worker.server.ready()?;
        match self.jobs() {
            Some(jobs) if !jobs.reached().await => Err("the store of jobs was not reached yet: see the log"),
            _ => Ok(()),
        }
    }

    fn max_body(&self) -> usize {
        self.worker.server.config.limits.body
    }

    async fn give_way(&self) {
        tokio::task::yield_now().await;
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    type Jobs = Jobs;

    fn jobs(&self) -> Option<&Jobs> {
        self.worker.server.jobs.as_ref()
    }

    fn job_stored(&self) {
        self.jobs().inspect(|jobs| jobs.stored());
    }

    fn store_failed(&self, away: &Away) {
        self.jobs().inspect(|jobs| jobs.failed(away));
    }

    async fn metrics(&self) -> String {
        if let Some(jobs) = self.jobs() {
            jobs.refresh().await;
        }
        metrics::text(&self.worker.server.registry)
    }

    #[cfg(feature = "bert")]
    fn bert_loaded(&self) -> Option<bool> {
        self.worker.server.bert.as_ref().map(|bert| bert.ready().is_ok())
    }

    #[cfg(feature = "bert")]
    async fn bert(&self, text: &str) -> Result<f32, Problem> {
        let bert = self.worker.server.bert.as_ref().ok_or(Problem::Unavailable("no model is loaded"))?;
        bert.classify(text.to_owned()).await.map_err(|refusal| Problem::Unavailable(refusal.detail()))
    }

    fn counts(&self) -> Option<&Counts> {
        let worker = &self.worker;
        worker.server.config.metrics.then_some(&*worker.counts)
    }

    fn begin<'a>(&'a self, head: &Parts, target: &Target) -> Exchange<'a> {
        let config = &self.worker.server.config;
        if config.metrics {
            self.worker.counts.begin(target);
        }
        Exchange {
            connection: self,
            target: *target,
            started: (config.metrics || config.access_log).then(Instant::now),
            line: config.access_log.then(|| (head.method.to_string(), head.uri.to_string())),
            ended: false,
        }
    }
}

/// A request being handled.
pub struct Exchange<'a> {
    connection: &'a Connection,
    target: Target,
    /// Not taken when nothing is measured.
    started: Option<Instant>,
    /// Method and target as the client sent them, for the access log.
    line: Option<(String, String)>,
    ended: bool,
}

impl host::Exchange for Exchange<'_> {
    fn end(mut self, status: StatusCode, request_bytes: usize, response_bytes: usize) {
        self.ended = true;
        let Some(took) = self.started.map(|started| started.elapsed()) else {
            return;
        };
        let worker = &self.connection.worker;
        if worker.server.config.metrics {
            worker.counts.end(&self.target, status, took, request_bytes, response_bytes);
        }
        if let Some((method, path)) = self.line.take() {
            self.connection.log((&method, &path), status, took, response_bytes);
        }
    }
}

impl Connection {
    /// A line of the access log for what could not be read as a request.
    pub fn log_refused(&self, status: StatusCode) {
        if self.worker.server.config.access_log {
            self.log(("-", "-"), status, Duration::ZERO, 0);
        }
    }

    fn log(&self, (method, path): (&str, &str), status: StatusCode, took: Duration, bytes: usize) {
        let peer = self.peer.map_or_else(String::new, |peer| peer.to_string());
        let fields = [
            ("peer", Field::Text(&peer)),
            ("method", Field::Text(method)),
            ("path", Field::Text(path)),
            ("status", Field::Number(status.as_u16().into())),
            ("us", Field::Number(took.as_micros() as u64)),
            ("bytes", Field::Number(bytes as u64)),
        ];
        self.worker.log("request", &fields);
    }
}

impl Drop for Exchange<'_> {
    /// Not ended: the process is stopping, and this request is cut off.
    fn drop(&mut self) {
        if !self.ended && self.connection.worker.server.config.metrics {
            self.connection.worker.counts.abandon(&self.target);
        }
    }
}
