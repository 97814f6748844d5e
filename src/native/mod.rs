//! Boundary to Linux: sockets, threads, signals and the command line.
//!
//! In the order that a connection passes them: `acceptor`, `worker`, `connection` (with `socket` beneath it, `watch`
//! for its time-outs and `measure` for its metrics), then [`crate::service`].

mod acceptor;
#[cfg(feature = "bert")]
pub mod bert;
pub mod config;
mod connection;
#[cfg(feature = "init")]
pub mod init;
#[cfg(feature = "jobs")]
mod jobs;
#[cfg(not(feature = "jobs"))]
#[path = "no_jobs.rs"]
mod jobs;
pub mod log;
mod measure;
pub mod probe;
mod process;
mod signals;
mod socket;
mod watch;
mod worker;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;

use self::acceptor::{Acceptor, Member};
#[cfg(feature = "bert")]
use self::bert::{Bert, Refusal};
use self::config::Config;
use self::jobs::{Jobs, Working};
use self::signals::Signals;
use self::worker::{Arrival, Worker};
use crate::handlers::analyze;
use crate::metrics::{self, Counts};
use crate::router::Surface;

/// What all workers read and nobody writes while requests are served, but for the few moments when it changes.
pub struct Server {
    pub config: Config,
    pub started: Instant,
    pub registry: Registry,
    /// The store of jobs, if there is one.
    jobs: Option<Jobs>,
    /// The heavy model, where a directory was given.
    #[cfg(feature = "bert")]
    pub bert: Option<Bert>,
    /// A signal has come: no new work, please.
    draining: AtomicBool,
    /// Every connection is to close after its next answer.
    closing: AtomicBool,
    /// Clients wait for a connection to close.
    crowded: AtomicBool,
}

impl Server {
    pub fn draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Whether new work is welcome; an error says why not.
    pub fn ready(&self) -> Result<(), &'static str> {
        if self.draining() {
            return Err("draining");
        }
        #[cfg(feature = "bert")]
        self.bert.as_ref().map_or(Ok(()), Bert::ready).map_err(Refusal::detail)?;
        Ok(())
    }

    /// Whether connections are wanted back.
    pub fn hurry(&self) -> bool {
        self.closing.load(Relaxed) || self.crowded()
    }

    /// Whether clients wait for a connection to close.
    pub fn crowded(&self) -> bool {
        self.crowded.load(Relaxed)
    }

    fn set_crowded(&self, crowded: bool) {
        if self.crowded() != crowded {
            self.crowded.store(crowded, Relaxed);
        }
    }
}

/// Connections to the metrics port that may be open at once.
const METRICS_CONNECTIONS: usize = 32;

/// A worker's stack holds one poll of one connection at a time.
const STACK_BYTES: usize = 256 * 1024;

type Arrivals = mpsc::UnboundedReceiver<Arrival>;

/// What this process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To answer requests, and to do jobs unless it is told not to.
    Serve,
    /// To do jobs alone.
    Work,
}

/// Serves until a signal, then drains. `Ok(false)` when requests had to be cut off, or jobs to be returned.
///
/// # Errors
/// An address that cannot be listened on, a store of jobs that cannot be used, or a system without what a runtime
/// needs.
pub fn serve(config: Config, role: Role) -> io::Result<bool> {
    let counts: Vec<_> = (0..config.workers).map(|_| Arc::new(Counts::default())).collect();
    #[cfg(feature = "bert")]
    let bert = config.bert.dir.clone().map(|dir| Bert::start(dir, config.bert.limits));
    #[cfg(feature = "bert")]
    let load_seconds = {
        let bert = bert.clone();
        move || bert.as_ref()?.load_seconds()
    };
    #[cfg(not(feature = "bert"))]
    let load_seconds = || None;
    let jobs = Jobs::open(&config.jobs, role == Role::Work)?;
    let worker = jobs.as_ref().filter(|_| role == Role::Work || config.jobs.worker);
    let working =
        worker.map(|jobs| Working::start(jobs, &config.jobs, config.timeouts.shutdown)).transpose()?;
    let server = Arc::new(Server {
        registry: registry(&config, counts.clone(), jobs.as_ref(), load_seconds),
        jobs,
        #[cfg(feature = "bert")]
        bert,
        config,
        started: Instant::now(),
        draining: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        crowded: AtomicBool::new(false),
    });
    let (first, arrivals, team) = team(&server, counts)?;
    runtime()?.block_on(async {
        let listeners = Listeners::bind(&server.config, role)?;
        // Before the ready line, after which anybody may signal.
        let signals = Signals::new();
        tokio::spawn(first.run(arrivals));
        listeners.announce(server.jobs.as_ref())?;
        Ok(run(server, listeners, team, working, signals).await)
    })
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// `load_seconds`: how long the heavy model took to load, once it has.
fn registry(
    config: &Config,
    counts: Vec<Arc<Counts>>,
    jobs: Option<&Jobs>,
    load_seconds: impl Fn() -> Option<f64> + Send + Sync + 'static,
) -> Registry {
    let registry = metrics::registry(&config.variant);
    let names_differ = "the collectors' names differ";
    registry.register(Box::new(process::Process::new())).expect(names_differ);
    if config.metrics {
        if let Some(collector) = analyze::collector(counts.clone(), load_seconds) {
            registry.register(collector).expect(names_differ);
        }
        registry.register(Box::new(metrics::Requests::new(counts))).expect(names_differ);
        for collector in jobs.map(Jobs::collectors).unwrap_or_default() {
            registry.register(collector).expect(names_differ);
        }
    }
    registry
}

struct Listeners {
    /// Not for a worker.
    service: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Listeners {
    fn bind(config: &Config, role: Role) -> io::Result<Listeners> {
        let bind = |flag: &str, address: SocketAddr| {
            let explain = |error| io::Error::other(format!("cannot listen on {address} (--{flag}): {error}"));
            acceptor::bind(address).map_err(explain)
        };
        Ok(Listeners {
            service: (role == Role::Serve).then(|| bind("listen", config.listen)).transpose()?,
            metrics: config.metrics_listen.map(|address| bind("metrics-listen", address)).transpose()?,
        })
    }

    /// The ready line: whoever started us learns the address from it. With nobody to read it, we serve all the
    /// same.
    fn announce(&self, jobs: Option<&Jobs>) -> io::Result<()> {
        let mut lines = String::new();
        if let Some(metrics) = &self.metrics {
            lines = format!("ounce metrics on http://{}/metrics\n", metrics.local_addr()?);
        }
        lines += &match (&self.service, jobs) {
            (Some(service), _) => format!("ounce listening on http://{}\n", service.local_addr()?),
            (None, Some(jobs)) => format!("ounce working on {}\n", jobs.place()),
            (None, None) => String::new(),
        };
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
        Ok(())
    }
}

/// All workers. The first, which is returned with its arrivals, is for this thread; the others have been started on
/// threads of their own.
fn team(server: &Arc<Server>, counts: Vec<Arc<Counts>>) -> io::Result<(Arc<Worker>, Arrivals, Vec<Member>)> {
    let mut team = Vec::with_capacity(counts.len());
    let mut first = None;
    for (index, counts) in counts.into_iter().enumerate() {
        let worker = Arc::new(Worker::new(server.clone(), counts));
        let (sender, arrivals) = mpsc::unbounded_channel();
        team.push(Member { worker: worker.clone(), arrivals: sender });
        if first.is_none() {
            first = Some((worker, arrivals));
            continue;
        }
        let explain = |error| io::Error::other(format!("cannot start worker {index} (--workers): {error}"));
        let runtime = runtime().map_err(explain)?;
        let thread = thread::Builder::new().name(format!("worker-{index}")).stack_size(STACK_BYTES);
        thread.spawn(move || runtime.block_on(worker.run(arrivals))).map_err(explain)?;
    }
    let (worker, arrivals) = first.ok_or_else(|| io::Error::other("there must be a worker"))?;
    Ok((worker, arrivals, team))
}

async fn run(
    server: Arc<Server>,
    listeners: Listeners,
    team: Vec<Member>,
    working: Option<Working>,
    signals: Signals,
) -> bool {
    let slots = Arc::new(Semaphore::new(server.config.limits.connections));
    let stop = Arc::new(Notify::new());
    let accepting = accept(&server, listeners, &team, &slots, &stop);
    signals.next().await;
    log::event("draining", &[]);
    server.draining.store(true, Relaxed);
    working.iter().for_each(Working::stop);
    let drained = async {
        drain(&server, accepting, &slots, &stop).await;
        let worked = match working {
            Some(working) => working.ended().await,
            None => true,
        };
        if let Some(jobs) = &server.jobs {
            jobs.close().await;
        }
        worked
    };
    let worked = tokio::select! {
        worked = drained => worked,
        // Once more: at once, please.
        () = signals.next() => false,
    };
    let drained = worked && !team.iter().any(|member| member.worker.busy());
    team.iter().for_each(|member| member.worker.flush_log());
    log::event("stopped", &[("drained", log::Field::Text(if drained { "yes" } else { "no" }))]);
    log::finish();
    drained
}

/// Starts to take connections; the task ends some time after `stop`.
fn accept(
    server: &Arc<Server>,
    listeners: Listeners,
    team: &[Member],
    slots: &Arc<Semaphore>,
    stop: &Arc<Notify>,
) -> JoinHandle<()> {
    let acceptor = |surface, slots| Acceptor { server: server.clone(), surface, slots, team: team.to_vec() };
    let mut surface = Surface::Everything;
    if let Some(listener) = listeners.metrics {
        surface = Surface::Service;
        // It is never stopped: how the drain goes is worth watching.
        let slots = Arc::new(Semaphore::new(METRICS_CONNECTIONS));
        tokio::spawn(acceptor(Surface::Metrics, slots).run(listener, Arc::new(Notify::new())));
    }
    match listeners.service {
        Some(listener) => tokio::spawn(acceptor(surface, slots.clone()).run(listener, stop.clone())),
        None => tokio::spawn(async {}),
    }
}

/// Serves on for the drain delay, then lets every connection come to its end, within the shutdown time-out.
async fn drain(server: &Server, accepting: JoinHandle<()>, slots: &Semaphore, stop: &Notify) {
    let Config { limits, timeouts, .. } = &server.config;
    tokio::time::sleep(timeouts.drain_delay).await;
    server.closing.store(true, Relaxed);
    stop.notify_one();
    let closed = async {
        let _ = accepting.await;
        let _ = slots.acquire_many(limits.connections as u32).await;
    };
    let _ = tokio::time::timeout(timeouts.shutdown, closed).await;
}
