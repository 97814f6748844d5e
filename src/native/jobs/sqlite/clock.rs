//! The two clocks of jobs: clients want to know the time of day, leases must not end because somebody sets it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

#[derive(Clone, Copy)]
pub struct Now {
    /// Milliseconds since 1970.
    pub wall: i64,
    /// Milliseconds of a clock that goes on evenly, is shared by all processes of a machine, and begins anew with it.
    pub steady: i64,
}

/// Tests have clocks of their own.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

impl Now {
    pub fn read() -> Now {
        let steady = clock_gettime(ClockId::Monotonic);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { wall: millis(wall), steady: steady.tv_sec * 1000 + steady.tv_nsec / 1_000_000 }
    }
}

pub fn millis(time: Duration) -> i64 {
    // Far from the end, so that a time can be added to another.
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

/// From one time to a later one.
pub fn between(from: i64, to: i64) -> Duration {
    Duration::from_millis(to.saturating_sub(from).try_into().unwrap_or(0))
}

/// Which run of the steady clock this is; empty where that cannot be told.
pub fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().into()
}
