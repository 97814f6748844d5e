//! The loop of one generator thread: epoll in edge-triggered mode over its share of the connections.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::time::{ClockId, clock_gettime};

use super::alarm::{ALARM, Alarm};
use super::connection::{Connection, State};
use super::flight::Flight;
use super::mix::Mix;
use super::outcome::{Errors, Outcome, histogram};
use super::response::{Fault, Progress};
use super::schedule::{Arrivals, Part};
use super::{Plan, pin};

/// How often timeouts, retries and the stop flag are looked at, in nanoseconds.
const TICK: u64 = 50_000_000;
/// How long to wait after a failed connect: a dead server must not make the generator spin.
const RETRY: u64 = 10_000_000;
/// Bytes read at once: big bodies in few calls, yet within a CPU's own cache.
const BUFFER: usize = 128 * 1024;
/// Whole responses up to this size are remembered, so that an equal one need not be parsed.
const REMEMBERED: usize = 20 * 1024;
/// The order of a mix is the same for every target and round.
const MIX_SEED: u64 = 1;

/// Runs one thread's share of a plan on the calling thread.
pub(super) fn run(plan: &Plan, part: Part, stop: &AtomicBool) -> Result<Outcome> {
    pin(plan)?;
    let before = thread_cpu();
    let mut engine = Engine::new(plan, part)?;
    engine.run(stop)?;
    Ok(engine.outcome(thread_cpu() - before))
}

struct Engine<'a> {
    plan: &'a Plan,
    epoll: OwnedFd,
    /// Of an open loop.
    alarm: Option<Alarm>,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    flight: Flight,
    arrivals: Arrivals,
    mix: Mix,
    buffer: Box<[u8]>,
    /// For each kind of request the bytes of the last response that was parsed and found right.
    verified: Vec<Vec<u8>>,
    start: Instant,
    /// End of the window, in nanoseconds since the start like every time here.
    end: u64,
    requests: u64,
    drained: u64,
    reconnects: u64,
    errors: Errors,
    latency: Histogram<u64>,
    /// The latencies from the moment of sending, in total.
    sent: u64,
    /// Right responses by kind of request.
    kinds: Vec<u64>,
}

impl<'a> Engine<'a> {
    fn new(plan: &'a Plan, part: Part) -> Result<Self> {
        let end = nanos(plan.duration);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("cannot make an epoll instance")?;
        let alarm = plan.schedule.rate().map(|_| Alarm::new(&epoll)).transpose();
        let exchanges = &plan.expected.exchanges;
        let weights: Vec<u32> = exchanges.iter().map(|exchange| exchange.weight).collect();
        Ok(Self {
            plan,
            epoll,
            alarm: alarm.context("cannot make a timer")?,
            connections: (0..plan.connections).map(|_| Connection::new()).collect(),
            idle: VecDeque::with_capacity(plan.connections),
            flight: Flight::default(),
            arrivals: Arrivals::new(plan.schedule, part, end),
            mix: Mix::new(&weights, &mut part.rng(MIX_SEED)),
            buffer: vec![0; BUFFER].into(),
            verified: exchanges.iter().map(|_| Vec::with_capacity(REMEMBERED)).collect(),
            start: Instant::now(),
            end,
            requests: 0,
            drained: 0,
            reconnects: 0,
            errors: Errors::default(),
            latency: histogram()?,
            sent: 0,
            kinds: vec![0; exchanges.len()],
        })
    }

    fn run(&mut self, stop: &AtomicBool) -> Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
        let mut tick = 0;
        loop {
            let now = self.now();
            if now >= tick {
                if stop.load(Ordering::Relaxed) {
                    self.end = self.end.min(now);
                    self.arrivals.stop(now);
                    return Ok(());
                }
                self.tick(now);
                tick = now + TICK;
            }
            self.dispatch(now);
            if self.finished(now) {
                return Ok(());
            }
            let pause = self.pause(now, tick).context("cannot set the timer")?;
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&pause)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for the connections"),
            }
            for event in events.iter().filter(|event| event.data.u64() != ALARM) {
                self.handle(event.data.u64() as usize, event.flags);
            }
        }
    }

    /// What happens by time alone: first connects, retries, timeouts.
    fn tick(&mut self, now: u64) {
        let timeout = nanos(self.plan.timeout);
        for index in 0..self.connections.len() {
            match self.connections[index].state {
                State::Down { retry } if now >= retry && self.wanted(now) => self.open(index, now),
                State::Connecting { since } if now - since > timeout => {
                    self.errors.connect += 1;
                    self.connections[index].close(now + RETRY);
                }
                State::Busy if now - self.connections[index].sent > timeout => {
                    self.errors.timeout += 1;
                    self.drop_request(index, now);
                }
                _ => {}
            }
        }
    }

    /// Sends what is due while a connection is free.
    fn dispatch(&mut self, now: u64) {
        while self.wanted(now)
            && !self.idle.is_empty()
            && let Some(intended) = self.arrivals.due(now)
            && let Some(index) = self.idle.pop_front()
        {
            self.send(index, intended, now);
        }
    }

    /// Nothing in flight after the window, and the queue is empty or has waited as long as a request may.
    fn finished(&self, now: u64) -> bool {
        now >= self.end && self.flight.now == 0 && !self.wanted(now)
    }

    /// Whether there is or will be something to send.
    fn wanted(&self, now: u64) -> bool {
        now < self.end || (self.arrivals.pending() && now < self.end + nanos(self.plan.timeout))
    }

    /// How long to wait for events at most. The next request of an open loop rings the alarm.
    fn pause(&mut self, now: u64, tick: u64) -> io::Result<Timespec> {
        let mut until = if now < self.end { tick.min(self.end) } else { tick };
        if let (Some(next), Some(alarm), false) =
            (self.arrivals.next(), &mut self.alarm, self.idle.is_empty())
        {
            if next <= now {
                until = now;
            } else if next < until {
                alarm.set(next, now)?;
            }
        }
        let left = until.saturating_sub(now);
        Ok(Timespec { tv_sec: (left / 1_000_000_000) as i64, tv_nsec: (left % 1_000_000_000) as i64 })
    }

    fn handle(&mut self, index: usize, flags: epoll::EventFlags) {
        use epoll::EventFlags as Flags;
        match self.connections[index].state {
            State::Down { .. } => {}
            State::Connecting { .. } => {
                let now = self.now();
                if self.connections[index].connected() {
                    self.free(index, now);
                } else {
                    self.errors.connect += 1;
                    self.connections[index].close(now + RETRY);
                }
            }
            State::Idle | State::Busy => {
                let ending = flags.intersects(Flags::RDHUP | Flags::HUP | Flags::ERR);
                if flags.contains(Flags::IN) || ending {
                    self.read(index, ending);
                }
                let connection = &mut self.connections[index];
                let request = &self.plan.expected.exchanges[connection.kind].request;
                if connection.state == State::Busy && connection.written < request.len() {
                    // A failure shows as the end of the stream when it is read.
                    let _ = connection.write(request);
                }
            }
        }
    }

    fn open(&mut self, index: usize, now: u64) {
        use epoll::EventFlags as Flags;
        let flags = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET;
        let data = epoll::EventData::new_u64(index as u64);
        let connection = &mut self.connections[index];
        let opened = connection.open(self.plan.address, now);
        let added = opened.and_then(|socket| Ok(epoll::add(&self.epoll, socket, data, flags)?));
        if added.is_err() {
            self.errors.connect += 1;
            connection.close(now + RETRY);
        }
    }

    /// The connection can take a request: gives it the next one if that is due and nobody waits before it.
    fn free(&mut self, index: usize, now: u64) {
        self.connections[index].state = State::Idle;
        match self.arrivals.due(now) {
            Some(intended) if self.idle.is_empty() && self.wanted(now) => self.send(index, intended, now),
            _ => self.idle.push_back(index),
        }
    }

    fn send(&mut self, index: usize, intended: u64, now: u64) {
        self.arrivals.advance();
        self.flight.begin(now);
        let connection = &mut self.connections[index];
        connection.state = State::Busy;
        (connection.intended, connection.sent, connection.written) = (intended, now, 0);
        connection.kind = self.mix.turn();
        if connection.write(&self.plan.expected.exchanges[connection.kind].request).is_err() {
            self.errors.reset += 1;
            self.drop_request(index, now);
        }
    }

    /// Reads all that has arrived; with edge-triggered events a short read means that nothing is left, unless
    /// the end of the stream was announced with it.
    fn read(&mut self, index: usize, ending: bool) {
        while let Some(socket) = &self.connections[index].socket {
            match recv(socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return self.ended(index),
                Ok((n, _)) => {
                    self.received(index, n);
                    let same_socket = matches!(self.connections[index].state, State::Idle | State::Busy);
                    if !same_socket || (n < BUFFER && !ending) {
                        return;
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => return self.lost(index, |errors| &mut errors.reset),
            }
        }
    }

    fn received(&mut self, index: usize, n: usize) {
        let connection = &mut self.connections[index];
        let (kind, expected) = (connection.kind, &self.plan.expected.exchanges[connection.kind]);
        if connection.state == State::Idle {
            // A server may say why it closes an idle connection (408); nobody asked.
            return self.ended(index);
        }
        let fresh = connection.reader.is_fresh();
        let bytes = &self.buffer[..n];
        if fresh && bytes == self.verified[kind] {
            return self.answered(index, false, None);
        }
        match connection.reader.feed(bytes, expected) {
            Ok(Progress::More) => {}
            Ok(Progress::Done { close, wrong }) => {
                if fresh && !close && wrong.is_none() && n <= REMEMBERED {
                    self.verified[kind].clear();
                    self.verified[kind].extend_from_slice(bytes);
                }
                self.answered(index, close, wrong);
            }
            Err(_) => self.lost(index, |errors| &mut errors.malformed),
        }
    }

    /// A whole response was read.
    fn answered(&mut self, index: usize, close: bool, wrong: Option<Fault>) {
        let now = self.now();
        let Connection { kind, intended, sent, written, .. } = self.connections[index];
        self.flight.end(now);
        match wrong {
            Some(Fault::Status) => self.errors.status += 1,
            Some(Fault::Body) => self.errors.body += 1,
            None => {
                self.latency.saturating_record(now - intended);
                self.sent += now - sent;
                self.kinds[kind] += 1;
                *if now <= self.end { &mut self.requests } else { &mut self.drained } += 1;
            }
        }
        // An answer before the end of the payload leaves the rest of it in the way of the next request.
        if close || written < self.plan.expected.exchanges[kind].request.len() {
            self.reconnects += 1;
            self.reopen(index, now);
        } else {
            self.free(index, now);
        }
    }

    /// The server closed the connection.
    fn ended(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if connection.state == State::Busy {
            return match connection.reader.end(&self.plan.expected.exchanges[connection.kind]) {
                Progress::Done { close, wrong } => self.answered(index, close, wrong),
                Progress::More => self.lost(index, |errors| &mut errors.closed),
            };
        }
        self.reconnects += 1;
        self.idle.retain(|&idle| idle != index);
        let now = self.now();
        self.reopen(index, now);
    }

    /// The connection broke; with a request in flight that is an error.
    fn lost(&mut self, index: usize, count: fn(&mut Errors) -> &mut u64) {
        if self.connections[index].state != State::Busy {
            return self.ended(index);
        }
        *count(&mut self.errors) += 1;
        let now = self.now();
        self.drop_request(index, now);
    }

    fn drop_request(&mut self, index: usize, now: u64) {
        self.flight.end(now);
        self.reopen(index, now);
    }

    fn reopen(&mut self, index: usize, now: u64) {
        self.connections[index].close(now);
        if self.wanted(now) {
            self.open(index, now);
        }
    }

    fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    fn outcome(mut self, cpu: Duration) -> Outcome {
        let wall = self.now();
        self.errors.unsent = self.arrivals.unsent();
        Outcome {
            requests: self.requests,
            drained: self.drained,
            errors: self.errors,
            reconnects: self.reconnects,
            sent_mean: Duration::from_nanos(self.sent.checked_div(self.latency.len()).unwrap_or(0)),
            latency: self.latency,
            kinds: self.kinds,
            in_flight: self.flight.mean(wall),
            window: Duration::from_nanos(self.end),
            busiest_cpu: cpu,
            cpu,
            wall: Duration::from_nanos(wall),
            threads: 1,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
