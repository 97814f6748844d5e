//! How many requests are in flight, and the integral of that over time: for Little's law.

/// Times are in nanoseconds since the start, and never go back.
#[derive(Default)]
pub(super) struct Flight {
    pub(super) now: u64,
    since: u64,
    /// Nanoseconds × requests, until `since`.
    total: u64,
}

impl Flight {
    /// A request was sent.
    pub(super) fn begin(&mut self, now: u64) {
        self.until(now);
        self.now += 1;
    }

    /// A request was answered or given up.
    pub(super) fn end(&mut self, now: u64) {
        self.until(now);
        self.now -= 1;
    }

    /// Requests in flight on average since the start.
    pub(super) fn mean(&mut self, now: u64) -> f64 {
        self.until(now);
        self.total as f64 / now.max(1) as f64
    }

    fn until(&mut self, now: u64) {
        self.total += self.now * (now - self.since);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_over_all_the_time() {
        let mut flight = Flight::default();
        assert_eq!(flight.mean(0), 0.0);
        flight.begin(10);
        flight.begin(20);
        flight.end(30);
        flight.end(30);
        flight.begin(30);
        flight.end(40);
        // One for 10, two for 10, none for no time, one for 10, none for 40.
        assert_eq!((flight.mean(80), flight.now), (0.5, 0));
    }
}
