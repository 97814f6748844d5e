//! How quiet and how fast the machine is right now: two yardsticks that have nothing to do with any target.
//!
//! A cell between two readings that differ was measured on a machine that changed under it: another tenant, a clock
//! that throttles. The figures belong to one build of the scale on one machine and are compared with each other alone.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::placement::{Placement, pin};
use crate::stats::median;

/// A fixed amount of work, about 4 ms; a time slice of the scheduler lies in that order.
const STEPS: u64 = 2_000_000;
const SPINS: usize = 9;
/// How long the round trips go on, and how many are enough.
const TRIPS_FOR: Duration = Duration::from_millis(40);
const TRIPS: usize = 2000;
const MESSAGE: usize = 64;

/// One reading of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// A fixed amount of integer work on the server's CPU: the median of several, in milliseconds.
    pub spin_ms: f64,
    /// 64 bytes over loopback from a generator's CPU to the server's and back, which is what the kernel mostly does
    /// under load: the median round trip, in microseconds. Zero when there is no loopback.
    pub loopback_us: f64,
}

/// Takes both in less than a tenth of a second.
pub fn read(placement: &Placement) -> Reading {
    thread::scope(|scope| {
        let spin = scope.spawn(|| {
            // Where nothing is pinned that is said elsewhere.
            let _ = pin(&placement.server_cpus);
            spin_ms()
        });
        let spin_ms = spin.join().unwrap_or_default();
        Reading { spin_ms, loopback_us: loopback_us(placement).unwrap_or_default() }
    })
}

fn spin_ms() -> f64 {
    let once = |_| {
        let start = Instant::now();
        black_box(work(black_box(STEPS)));
        start.elapsed().as_secs_f64() * 1e3
    };
    median(&(0..SPINS).map(once).collect::<Vec<_>>()).unwrap_or_default()
}

/// Each step needs the one before: as fast as the clock, whatever the core does at the same time.
fn work(steps: u64) -> u64 {
    let (mut state, mut left) = (1_u64, steps);
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        left -= 1;
    }
    state
}

fn loopback_us(placement: &Placement) -> io::Result<f64> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ = pin(&placement.server_cpus);
            echo(far)
        });
        let trips = scope.spawn(move || {
            let _ = pin(&placement.generator_cpus);
            trips(near)
        });
        let trips = trips.join().map_err(|_| io::Error::other("the round trips panicked"))?;
        Ok(median(&trips?).unwrap_or_default())
    })
}

/// Ends when the other side closes.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).is_ok() {
        stream.write_all(&message)?;
    }
    Ok(())
}

fn trips(mut stream: TcpStream) -> io::Result<Vec<f64>> {
    let (start, mut message, mut trips) = (Instant::now(), [0; MESSAGE], Vec::with_capacity(TRIPS));
    while trips.len() < TRIPS && start.elapsed() < TRIPS_FOR {
        let sent = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        trips.push(sent.elapsed().as_secs_f64() * 1e6);
    }
    Ok(trips)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_that_of_a_machine_that_works() {
        let start = Instant::now();
        let reading = read(&Placement::here(None).unwrap());
        // An unoptimised build on a busy machine; optimised it is a tenth of a second.
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(reading.spin_ms > 0.5, "{reading:?}");
        assert!(reading.loopback_us > 1.0 && reading.loopback_us < 1e5, "{reading:?}");
    }

    #[test]
    fn the_work_is_as_many_steps_as_asked_for() {
        // Xorshift from 1, which others have published, too.
        assert_eq!((work(0), work(1), work(2)), (1, 1_082_269_761, 1_152_992_998_833_853_505));
        assert_eq!(work(700_000), (0..700_000).fold(1_u64, |state, _| step(state)));
    }

    fn step(state: u64) -> u64 {
        let state = state ^ state << 13;
        let state = state ^ state >> 7;
        state ^ state << 17
    }
}
