//! What a launched program prints, kept so that an error can show it and a ready line can be waited for.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes kept of one stream; a chatty program must not fill the scale's memory.
const KEPT: usize = 256 * 1024;

/// Bytes of one stream that are written to a log; nor must it fill the disk.
const LOGGED: usize = 64 * 1024 * 1024;

/// One captured output stream.
#[derive(Clone)]
pub struct Output(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// When the first of them came.
    first: Option<Instant>,
    closed: bool,
}

impl Output {
    /// Reads `stream` to its end on a thread of its own, so that the program never blocks on a full pipe.
    /// What is read is appended to `log`, too.
    pub(super) fn capture(mut stream: impl Read + Send + 'static, mut log: Option<File>) -> Self {
        let output = Output(Arc::default());
        let writer = output.clone();
        thread::spawn(move || {
            let (mut buffer, mut logged) = ([0; 4096], 0);
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                writer.push(&buffer[..n]);
                if let Some(log) = log.as_mut().filter(|_| logged < LOGGED) {
                    logged += n;
                    let _ = log.write_all(&buffer[..n]);
                    if logged >= LOGGED {
                        let _ = log.write_all(b"\n[more is not kept]\n");
                    }
                }
            }
            writer.lock().closed = true;
            writer.0.changed.notify_all();
        });
        output
    }

    /// When the first byte came, if one has come.
    pub fn first(&self) -> Option<Instant> {
        self.lock().first
    }

    /// Everything kept so far (the last 256 KiB), with invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// The last `lines` lines, for an error message.
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Waits until `find` finds something in a whole line; `None` at the deadline or when the stream ended.
    pub fn wait_for<T>(&self, timeout: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.wait(timeout, |state| {
            let text = String::from_utf8_lossy(&state.bytes);
            let found = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(&find);
            found.map(Some).or_else(|| state.closed.then_some(None))
        })
        .flatten()
    }

    /// Waits until the stream ended, which means that no process holds it any more. False at the deadline.
    pub fn wait_closed(&self, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.closed.then_some(())).is_some()
    }

    fn wait<T>(&self, timeout: Duration, ready: impl Fn(&State) -> Option<T>) -> Option<T> {
        let until = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if let Some(value) = ready(&state) {
                return Some(value);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn push(&self, new: &[u8]) {
        let now = Instant::now();
        let mut state = self.lock();
        state.first.get_or_insert(now);
        let surplus = (state.bytes.len() + new.len()).saturating_sub(KEPT);
        if surplus > 0 {
            state.bytes.drain(..surplus);
        }
        state.bytes.extend_from_slice(new);
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
