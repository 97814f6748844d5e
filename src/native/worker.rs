//! A worker: one thread, one runtime, its own connections, counts and log lines.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

use super::Server;
use super::connection::{self, Connection};
use super::log::{self, Field};
use super::watch::{self, Phase, Watch};
use crate::metrics::Counts;
use crate::router::Surface;

pub struct Worker {
    pub server: Arc<Server>,
    pub counts: Arc<Counts>,
    /// Connections handed to this worker and not closed yet.
    pub open: AtomicUsize,
    /// When `now_ms` was set last.
    looked: Mutex<Instant>,
    /// The clock of the time-outs, in milliseconds: set at each sweep and accept, free to read in between. It
    /// stands still while the worker itself is held up, so that a stall of ours is not held against clients.
    now_ms: AtomicU64,
    watches: Mutex<Vec<Arc<Watch>>>,
    arrived: Notify,
    log: Mutex<Vec<u8>>,
}

/// A connection on its way to its worker.
pub struct Arrival {
    pub stream: std::net::TcpStream,
    pub surface: Surface,
    pub slot: Slot,
}

/// A connection's place among those that may be open at once.
pub struct Slot {
    worker: Arc<Worker>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    pub fn new(worker: Arc<Worker>, permit: OwnedSemaphorePermit) -> Slot {
        worker.open.fetch_add(1, Relaxed);
        Slot { worker, _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.worker.open.fetch_sub(1, Relaxed);
    }
}

/// Lines wait for this many bytes, or for the next sweep.
const LOG_BYTES: usize = 16 * 1024;

impl Worker {
    pub fn new(server: Arc<Server>, counts: Arc<Counts>) -> Worker {
        Worker {
            server,
            counts,
            open: AtomicUsize::new(0),
            looked: Mutex::new(Instant::now()),
            now_ms: AtomicU64::new(0),
            watches: Mutex::default(),
            arrived: Notify::new(),
            log: Mutex::default(),
        }
    }

    /// Serves what arrives, until nothing can arrive any more. Runs on the worker's own thread.
    pub async fn run(self: Arc<Self>, mut arrivals: mpsc::UnboundedReceiver<Arrival>) {
        tokio::spawn(self.clone().sweep());
        while let Some(arrival) = arrivals.recv().await {
            self.start(arrival);
        }
    }

    fn start(self: &Arc<Self>, Arrival { stream, surface, slot }: Arrival) {
        // It can fail only where the runtime's own set-up would have failed; then the client sees a reset.
        let Ok(stream) = TcpStream::from_std(stream) else {
            return;
        };
        self.advance_clock();
        let watch = Arc::new(Watch::default());
        watch.progress(self.now_ms());
        self.watches().push(watch.clone());
        self.arrived.notify_one();
        let connection = Connection::new(self.clone(), watch, surface, &stream);
        tokio::spawn(connection::serve(stream, connection, slot));
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ms.load(Relaxed)
    }

    fn advance_clock(&self) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = looked.elapsed();
        // Keep the rest of a millisecond for the next look.
        *looked += Duration::from_millis(passed.as_millis() as u64);
        let passed = passed.min(watch::tick(&self.server.config.timeouts) * 2);
        self.now_ms.store(self.now_ms() + passed.as_millis() as u64, Relaxed);
    }

    fn watches(&self) -> MutexGuard<'_, Vec<Arc<Watch>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds connections that take too long. Sleeps for good while there is none at all.
    async fn sweep(self: Arc<Self>) {
        let tick: Duration = watch::tick(&self.server.config.timeouts);
        loop {
            if self.watches().is_empty() {
                self.arrived.notified().await;
            }
            tokio::time::sleep(tick).await;
            self.advance_clock();
            let (now_ms, hurry) = (self.now_ms(), self.server.hurry());
            self.watches().retain(|watch| {
                watch.check(now_ms, &self.server.config.timeouts, hurry);
                // The other owner is the connection.
                Arc::strong_count(watch) > 1
            });
            self.flush_log();
        }
    }

    /// Whether a request is on its way in, being handled, or on its way out.
    pub fn busy(&self) -> bool {
        self.watches().iter().any(|watch| Arc::strong_count(watch) > 1 && watch.phase() != Phase::Idle)
    }

    /// Appends to the access log.
    pub fn log(&self, message: &str, fields: &[(&str, Field<'_>)]) {
        let mut lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log::write(&mut lines, message, fields);
        if lines.len() > LOG_BYTES {
            log::flush(&mut lines);
        }
    }

    pub fn flush_log(&self) {
        log::flush(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
