//! The law against simulated loads: of the same kind as the engine's, but in a time of their own.

use fastrand::Rng;
use proptest::prelude::*;

use super::*;

/// How long a server takes for an answer, in seconds.
#[derive(Clone, Copy, Debug)]
enum Service {
    Constant(f64),
    Uniform(f64, f64),
    /// Many quick answers, few slow ones.
    Exponential(f64),
}

impl Service {
    fn time(self, rng: &mut Rng) -> f64 {
        match self {
            Self::Constant(time) => time,
            Self::Uniform(low, high) => low + (high - low) * rng.f64(),
            Self::Exponential(mean) => -mean * (-rng.f64()).ln_1p(),
        }
    }
}

fn service() -> impl Strategy<Value = Service> {
    prop_oneof![
        (1e-3..2.0).prop_map(Service::Constant),
        (1e-3..0.5, 0.5..1.5).prop_map(|(low, high)| Service::Uniform(low, high)),
        (1e-3..0.5).prop_map(Service::Exponential),
    ]
}

/// What a generator notes of requests in flight.
struct Notes {
    flow: Flow,
    sent: f64,
}

impl Notes {
    fn new(schedule: Schedule, connections: usize, window_s: f64) -> Self {
        let (errors, wall_s) = (Errors::default(), window_s);
        let flow = Flow {
            schedule,
            connections,
            requests: 0,
            drained: 0,
            errors,
            reconnects: 0,
            sent_mean_s: 0.0,
            in_flight: 0.0,
            window_s,
            wall_s,
        };
        Self { flow, sent: 0.0 }
    }

    fn answered(&mut self, sent: f64, now: f64) {
        self.sent += now - sent;
        *if now <= self.flow.window_s { &mut self.flow.requests } else { &mut self.flow.drained } += 1;
        self.flow.wall_s = self.flow.wall_s.max(now);
    }

    /// `others`: seconds in flight of requests that were never answered.
    fn flow(self, others: f64) -> Flow {
        let right = (self.flow.requests + self.flow.drained).max(1) as f64;
        let in_flight = (self.sent + others) / self.flow.wall_s;
        Flow { sent_mean_s: self.sent / right, in_flight, ..self.flow }
    }
}

/// A closed loop of which the server answers `served` connections, and the generator lets `gap` seconds pass
/// between an answer and the next request.
fn closed(
    connections: usize,
    served: usize,
    service: Service,
    gap: f64,
    window_s: f64,
    rng: &mut Rng,
) -> Flow {
    let mut notes = Notes::new(Schedule::Closed, connections, window_s);
    for _ in 0..served {
        let mut now = 0.0;
        while now < window_s {
            let sent = now;
            now += service.time(rng);
            notes.answered(sent, now);
            now += gap;
        }
    }
    let hung = (connections - served) as u64;
    notes.flow.errors.timeout = hung;
    if hung > 0 {
        notes.flow.wall_s = notes.flow.wall_s.max(10.0);
    }
    notes.flow(hung as f64 * 10.0)
}

/// An open loop on a server without a queue, of which `lost` requests are never answered.
fn open(rate: f64, service: Service, lost: u64, window_s: f64, rng: &mut Rng) -> Flow {
    let mut notes = Notes::new(Schedule::Poisson { rate, seed: 1 }, 64, window_s);
    let mut now = 0.0;
    loop {
        now += Service::Exponential(1.0 / rate).time(rng);
        if now >= window_s {
            break;
        }
        notes.answered(now, now + service.time(rng));
    }
    notes.flow.errors.timeout = lost;
    if lost > 0 {
        notes.flow.wall_s = notes.flow.wall_s.max(10.0);
    }
    notes.flow(lost as f64 * 10.0)
}

proptest! {
    #[test]
    fn a_healthy_closed_loop_keeps_the_law(
        connections in 1_usize..200, service in service(), window_s in 2.0..20.0, seed: u64,
    ) {
        let flow = closed(connections, connections, service, 0.0, window_s, &mut Rng::with_seed(seed));
        let law = littles_law(&flow);
        prop_assert!(law.holds(), "{law:?} {flow:?}");
    }

    #[test]
    fn connections_that_are_held_and_not_served_break_it(
        connections in 4_usize..200, share in 0.0..0.6, service in service(), window_s in 10.0..20.0, seed: u64,
    ) {
        let served = (connections as f64 * share) as usize;
        let flow = closed(connections, served, service, 0.0, window_s, &mut Rng::with_seed(seed));
        let law = littles_law(&flow);
        prop_assert!(!law.holds(), "{law:?} {flow:?}");
    }

    #[test]
    fn connections_that_the_generator_lets_wait_break_it(
        connections in 1_usize..200, time in 1e-4..0.1, share in 0.15..0.99, window_s in 2.0..20.0,
    ) {
        // A gap of that share of a cycle.
        let gap = time * share / (1.0 - share);
        let service = Service::Constant(time);
        let flow = closed(connections, connections, service, gap, window_s, &mut Rng::new());
        let law = littles_law(&flow);
        prop_assert!(!law.holds(), "{law:?} {flow:?}");
    }

    #[test]
    fn a_healthy_open_loop_keeps_the_law(
        rate in 1.0..5000.0, service in service(), window_s in 2.0..20.0, seed: u64,
    ) {
        let flow = open(rate, service, 0, window_s, &mut Rng::with_seed(seed));
        let law = littles_law(&flow);
        prop_assert!(law.holds(), "{law:?} {flow:?}");
    }

    #[test]
    fn requests_that_an_open_loop_lost_break_it(
        rate in 1.0..500.0, time in 1e-4..0.01, lost in 2_u64..64, window_s in 10.0..20.0_f64, seed: u64,
    ) {
        // As many as are in flight at a time, or more.
        prop_assume!(lost as f64 * 10.0 / window_s > rate * time);
        let flow = open(rate, Service::Constant(time), lost, window_s, &mut Rng::with_seed(seed));
        let law = littles_law(&flow);
        prop_assert!(!law.holds(), "{law:?} {flow:?}");
    }

    #[test]
    fn wrong_answers_take_their_time_like_right_ones(
        connections in 1_usize..200, share in 0.0..0.9, seed: u64,
    ) {
        let rng = &mut Rng::with_seed(seed);
        let mut flow = closed(connections, connections, Service::Constant(0.01), 0.0, 5.0, rng);
        let wrong = (flow.requests as f64 * share) as u64;
        flow.requests -= wrong;
        flow.errors.status = wrong;
        prop_assert!(littles_law(&flow).holds());
    }
}

#[test]
fn an_answer_after_1_s_in_a_window_of_2_s_is_healthy() {
    let flow = closed(64, 64, Service::Constant(1.01), 0.0, 2.0, &mut Rng::with_seed(1));
    assert_eq!((flow.requests, flow.drained), (64, 64));
    let law = littles_law(&flow);
    assert!(law.holds() && law.expected == 64.0, "{law:?}");
}

#[test]
fn a_server_that_closes_each_connection_is_judged_by_what_was_in_flight() {
    // Half of the time goes into connecting.
    let mut flow = closed(64, 64, Service::Constant(0.01), 0.01, 5.0, &mut Rng::with_seed(1));
    assert!(!littles_law(&flow).holds());
    flow.reconnects = flow.requests;
    let law = littles_law(&flow);
    assert!(law.holds() && (31.0..33.0).contains(&law.expected), "{law:?}");
}

#[test]
fn a_load_without_an_answer_breaks_the_law() {
    let flow = closed(64, 0, Service::Constant(0.01), 0.0, 2.0, &mut Rng::with_seed(1));
    assert!(!littles_law(&flow).holds());
    let nothing = Flow { window_s: 0.0, wall_s: 0.0, ..flow };
    assert_eq!(littles_law(&nothing).found, 0.0);
}
