//! What a server of known behaviour does before it answers.

use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Uses CPU time of this thread, however long others keep it from the CPU.
pub fn burn(cost: Duration) {
    let used = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
    };
    let until = used() + cost;
    while used() < until {}
}

/// Holds whatever comes in the last part of a period until the period's end.
pub fn stall(start: Instant, part: Duration, period: Duration) {
    let within = Duration::from_nanos(start.elapsed().as_nanos() as u64 % period.as_nanos() as u64);
    if within >= period - part {
        thread::sleep(period - within);
    }
}
