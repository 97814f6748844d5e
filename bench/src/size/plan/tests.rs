//! The arithmetic on points that are made up.

use proptest::prelude::*;

use super::super::evidence::{Evidence, Footprint, Point, Sharing};
use super::super::{Asked, notes};
use super::*;
use crate::load::Schedule;
use crate::target::Kind;

/// A closed loop that used 10 µs of one CPU a request, and 10 MB.
fn closed(rate: f64, p99_ms: f64) -> Point {
    Point {
        source: "record.json".into(),
        schedule: Schedule::Closed,
        connections: 64,
        rounds: 5,
        rate,
        p99_ms: Some(p99_ms),
        errors: 0,
        broken: None,
        cpu_us_per_req: Some(10.0),
        server_cpus: 1.0,
        pss: Some(Footprint { loaded_mb: 10.0, peak_mb: 20.0 }),
        charge: None,
        generator_bound: false,
        disturbed: false,
    }
}

fn open(rate: f64, p99_ms: f64) -> Point {
    Point { schedule: Schedule::Open { rate }, ..closed(rate, p99_ms) }
}

fn evidence(points: Vec<Point>) -> Evidence {
    Evidence { points, ..Evidence::named("t", Kind::Docker) }
}

fn asked(rps: f64, margin: f64) -> Asked {
    Asked { rps, p99_ms: 20.0, margin }
}

fn planned(points: Vec<Point>, rps: f64) -> Result<Plan, String> {
    plan(&evidence(points), &asked(rps, 0.3))
}

fn capacity(points: Vec<Point>) -> Option<f64> {
    planned(points, 100.0).ok().map(|plan| plan.capacity.rate)
}

#[test]
fn capacity_is_the_highest_rate_in_time_and_without_errors() {
    let wrong = Point { errors: 1, ..closed(9000.0, 1.0) };
    let queue = Point { broken: Some("queue".into()), ..open(8000.0, 1.0) };
    let points = vec![closed(1000.0, 1.0), closed(5000.0, 20.0), closed(7000.0, 20.1), wrong];
    assert_eq!(capacity(points.clone()), Some(5000.0));
    assert_eq!(capacity([points, vec![queue]].concat()), Some(5000.0));
}

#[test]
fn an_open_loop_that_missed_rules_out_higher_rates() {
    let kept = || vec![closed(1000.0, 1.0), closed(5000.0, 1.0), open(900.0, 1.0)];
    let with = |point: Point| capacity([kept(), vec![point]].concat());
    assert_eq!(with(open(4000.0, 30.0)), Some(1000.0));
    assert_eq!(with(open(6000.0, 30.0)), Some(5000.0));
    assert_eq!(with(Point { errors: 1, ..open(1000.0, 1.0) }), Some(900.0));
    // A closed loop can miss because it asks for too much; what others caused says nothing.
    assert_eq!(with(closed(950.0, 30.0)), Some(5000.0));
    assert_eq!(with(Point { generator_bound: true, ..open(950.0, 30.0) }), Some(5000.0));
    assert_eq!(with(Point { disturbed: true, ..open(950.0, 30.0) }), Some(5000.0));
    let both = [closed(1000.0, 1.0), open(950.0, 30.0)].map(|point| Point { disturbed: true, ..point });
    assert_eq!(capacity(both.to_vec()), None, "disturbed alike");
    let doubtful = |rate| {
        let disturbed = Point { disturbed: true, ..open(rate, 30.0) };
        planned(vec![closed(1000.0, 1.0), disturbed], 1.0).unwrap().doubtful.map(|point| point.rate)
    };
    assert_eq!([doubtful(950.0), doubtful(1050.0)], [Some(950.0), None]);
}

#[test]
fn without_a_point_there_is_no_number() {
    let why = |points| planned(points, 100.0).unwrap_err();
    assert_eq!(why(vec![]), "no load was measured");
    assert_eq!(
        why(vec![closed(500.0, 31.0), closed(900.0, 45.0)]),
        "p99 20 ms was not met at any measured load; lowest measured 31.0 ms at 500 req/s"
    );
    assert_eq!(
        why(vec![Point { errors: 7, ..closed(500.0, 1.0) }, Point { errors: 3, ..closed(900.0, 1.0) }]),
        "no measured load was served without errors; fewest 3 at 900 req/s"
    );
    let refuted = why(vec![closed(9000.0, 1.0), open(500.0, 31.0)]);
    assert_eq!(
        refuted,
        "p99 20 ms was met at 9,000 req/s (closed loop, 64 connections, 5 rounds), but missed in an open loop at 500 req/s, \
         with 31.0 ms"
    );
    let ended = Point { broken: Some("it ended".into()), p99_ms: None, ..open(700.0, 1.0) };
    assert_eq!(why(vec![ended]), "no measured load was served; at 700 req/s: it ended");
}

#[test]
fn instances_keep_the_margin() {
    let instances = |rps| planned(vec![closed(1000.0, 1.0)], rps).unwrap().instances;
    assert_eq!([1.0, 699.0, 700.0, 701.0, 1400.0, 7000.0].map(instances), [1, 1, 1, 2, 2, 10]);
}

#[test]
fn requests_and_limits_follow_from_the_footprint() {
    let plan = planned(vec![closed(1000.0, 1.0)], 700.0).unwrap();
    let memory = plan.memory.unwrap();
    // 10 MB × 1.3 = 12.4 MiB, 20 MB × 1.3 = 24.8 MiB.
    assert_eq!((memory.request_mib, memory.limit_mib, memory.limit_from), (13, 25, LimitFrom::Peak));
    // 700 × 10 µs ÷ 0.7 = 10 ms of CPU a second.
    let cpu = plan.cpu.unwrap();
    assert_eq!((cpu.request_millicores, plan.target_percent, plan.total_mb), (10, 70, Some(10.0)));
    assert!((cpu.total_cores - 0.007).abs() < 1e-12);
}

#[test]
fn a_limit_is_never_below_what_held_or_what_a_runtime_takes() {
    let limit = |smallest_mib, kind, peak_mb| {
        let pss = Some(Footprint { loaded_mb: 1.0, peak_mb });
        let points = vec![Point { pss, ..closed(1000.0, 1.0) }];
        let evidence = Evidence { smallest_mib, kind, ..evidence(points) };
        let memory = plan(&evidence, &asked(100.0, 0.3)).unwrap().memory.unwrap();
        (memory.limit_mib, memory.limit_from)
    };
    assert_eq!(limit(None, Kind::Docker, 2.0), (12, LimitFrom::Runtime));
    assert_eq!(limit(Some(20), Kind::Docker, 2.0), (26, LimitFrom::Smallest));
    assert_eq!(limit(Some(20), Kind::Docker, 50.0), (62, LimitFrom::Peak));
    // The RAM of a guest is not the memory of its machine.
    assert_eq!(limit(Some(20), Kind::Microvm, 2.0), (12, LimitFrom::Runtime));
}

#[test]
fn what_the_kernel_charged_counts_before_pss() {
    let charge = Some(Footprint { loaded_mb: 30.0, peak_mb: 40.0 });
    let plan = planned(vec![Point { charge, ..closed(1000.0, 1.0) }], 100.0).unwrap();
    let memory = plan.memory.unwrap();
    assert_eq!((memory.scope, memory.request_mib, memory.limit_mib), (Scope::Cgroup, 38, 50));
    assert_eq!(plan.total_mb, Some(10.0), "totals are of the whole tree");
}

#[test]
fn the_footprint_is_that_of_the_next_measured_rate_and_the_limit_that_of_the_highest_peak() {
    let at =
        |rate, loaded_mb| Point { pss: Some(Footprint { loaded_mb, peak_mb: loaded_mb }), ..open(rate, 1.0) };
    let too_much = Point { p99_ms: Some(90.0), ..at(2000.0, 60.0) };
    let plan = planned(vec![at(100.0, 10.0), at(400.0, 20.0), at(1000.0, 40.0), too_much], 300.0).unwrap();
    let memory = plan.memory.unwrap();
    assert_eq!((plan.capacity.rate, plan.footprint.rate), (1000.0, 400.0));
    assert_eq!((memory.loaded_mb, memory.peak_mb), (20.0, 60.0));
    assert!(!plan.below_measured && !plan.confirmed);
}

#[test]
fn cpu_lies_on_the_line_between_what_was_measured() {
    let at = |rate, us| Point { cpu_us_per_req: Some(us), ..open(rate, 1.0) };
    let us = |points: Vec<Point>, rps| planned(points, rps).unwrap().cpu.unwrap().us_per_req;
    // 100 × 50 µs = 5 ms and 1000 × 10 µs = 10 ms a second: 7.5 ms halfway.
    let both = vec![at(100.0, 50.0), at(1000.0, 10.0)];
    assert!((us(both.clone(), 550.0) - 7500.0 / 550.0).abs() < 1e-9);
    assert!((us(both.clone(), 100.0) - 50.0).abs() < 1e-9);
    // Below everything: no use at no rate, and it says so.
    assert!((us(both.clone(), 10.0) - 50.0).abs() < 1e-9);
    assert!(planned(both.clone(), 10.0).unwrap().below_measured);
    assert!(!planned(both, 550.0).unwrap().below_measured);
    // What was too slow used its CPU all the same, what erred did not serve.
    let slow = Point { disturbed: true, p99_ms: Some(30.0), ..at(100.0, 50.0) };
    assert!((us(vec![at(1000.0, 10.0), slow.clone()], 100.0) - 50.0).abs() < 1e-9);
    assert!((us(vec![at(1000.0, 10.0), Point { errors: 1, ..slow }], 100.0) - 10.0).abs() < 1e-9);
}

#[test]
fn what_instances_share_counts_once() {
    let total = |sharing, rps| {
        let evidence = Evidence { sharing, ..evidence(vec![closed(1000.0, 1.0)]) };
        plan(&evidence, &asked(rps, 0.3)).unwrap().total_mb.unwrap()
    };
    let sharing = |base_mb| Some(Sharing { base_mb, measured_to: 4 });
    assert_eq!(
        [total(None, 2100.0), total(sharing(4.0), 2100.0), total(sharing(4.0), 100.0)],
        [30.0, 22.0, 10.0]
    );
    // A line through noise can start anywhere.
    assert_eq!([total(sharing(-3.0), 2100.0), total(sharing(99.0), 2100.0)], [30.0, 10.0]);
}

fn about(evidence: &Evidence, asked: &Asked) -> Vec<&'static str> {
    let plan = plan(evidence, asked).unwrap();
    notes::notes(evidence, &plan).iter().map(|note| note.about).collect()
}

#[test]
fn what_was_not_measured_is_said() {
    let full = || Point { cpu_us_per_req: Some(1000.0), ..closed(1000.0, 1.0) };
    let kept = || Point { cpu_us_per_req: Some(1000.0), ..open(650.0, 1.0) };
    let charged = |point: Point| {
        let charge = Some(Footprint { loaded_mb: 30.0, peak_mb: 40.0 });
        Point { charge, ..point }
    };
    let both = || evidence(vec![charged(full()), charged(kept())]);
    assert_eq!(about(&both(), &asked(650.0, 0.3)), [""; 0], "all of it was measured");
    assert_eq!(about(&evidence(vec![full(), kept()]), &asked(650.0, 0.3)), ["pss"]);
    let one = evidence(vec![charged(Point { rounds: 1, ..full() })]);
    assert_eq!(about(&one, &asked(650.0, 0.3)), ["below-measured", "closed-loop", "one-round"]);
    assert_eq!(about(&both(), &asked(1300.0, 0.3)), ["one-instance", "sum"]);
    let sharing = |measured_to| Evidence { sharing: Some(Sharing { base_mb: 1.0, measured_to }), ..both() };
    assert_eq!(about(&sharing(2), &asked(1300.0, 0.3)), ["one-instance"]);
    assert_eq!(about(&sharing(2), &asked(1950.0, 0.3)), ["one-instance", "beyond-marginal"]);
    assert_eq!(about(&Evidence { cpu_limit: Some(0.5), ..both() }, &asked(650.0, 0.3)), ["quota"]);
    let waits = evidence(vec![charged(closed(1000.0, 1.0)), charged(open(990.0, 1.0))]);
    assert_eq!(about(&waits, &asked(990.0, 0.0)), ["at-least", "waiting", "late"]);
}

#[test]
fn a_capacity_is_a_bound_unless_more_failed_or_the_cpu_was_used_up() {
    let at_least = |points| planned(points, 10.0).unwrap().at_least;
    let busy = Point { cpu_us_per_req: Some(950.0), ..closed(1000.0, 1.0) };
    assert!(at_least(vec![closed(1000.0, 1.0)]));
    assert!(!at_least(vec![busy]));
    assert!(!at_least(vec![closed(1000.0, 1.0), open(1100.0, 30.0)]));
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    let point = (1.0..200_000_f64, 0.1..40_f64, 0_u64..4, any::<bool>(), 1.0..500_f64);
    let point = point.prop_map(|(rate, p99, errors, is_open, us)| {
        let point = if is_open { open(rate, p99) } else { closed(rate, p99) };
        Point { errors: errors / 3, cpu_us_per_req: Some(us), ..point }
    });
    prop::collection::vec(point, 1..8)
}

proptest! {
    #[test]
    fn a_capacity_was_measured_and_kept(points in points(), rps in 0.1..1e7_f64) {
        if let Ok(plan) = planned(points.clone(), rps) {
            let highest = points.iter().map(|point| point.rate).fold(0.0, f64::max);
            prop_assert!(plan.capacity.rate <= highest && plan.capacity.keeps(20.0));
            prop_assert!(points.iter().any(|point| point.rate == plan.capacity.rate));
        }
    }

    #[test]
    fn more_requests_or_a_larger_margin_never_need_fewer_instances(
        points in points(), rps in 0.1..1e6_f64, more in 0.0..1e6_f64, margin in 0.0..0.9_f64, wider in 0.0..0.9_f64,
    ) {
        let evidence = evidence(points);
        let instances = |rps, margin: f64| plan(&evidence, &asked(rps, margin.min(0.9))).map(|plan| plan.instances);
        if let Ok(few) = instances(rps, margin) {
            prop_assert!(instances(rps + more, margin).unwrap() >= few);
            prop_assert!(instances(rps, margin + wider).unwrap() >= few);
        }
    }

    #[test]
    fn at_the_autoscalers_target_the_instances_serve_the_rate(
        points in points(), rps in 0.1..1e6_f64, margin in 0.0..0.9_f64,
    ) {
        if let Ok(plan) = plan(&evidence(points), &asked(rps, margin)) {
            let cpu = plan.cpu.unwrap();
            let request = cpu.request_millicores as f64 / 1e3;
            let served = plan.instances as f64 * plan.target_percent as f64 / 100.0 * request / (cpu.us_per_req / 1e6);
            prop_assert!(served >= rps * (1.0 - 1e-6), "{served} of {rps}");
            // And no instance is asked for more than the margin leaves.
            prop_assert!(plan.each <= plan.capacity.rate * (1.0 - margin) * (1.0 + 1e-6));
        }
    }

    #[test]
    fn limits_are_not_below_requests(points in points(), rps in 0.1..1e6_f64, margin in 0.0..0.9_f64) {
        if let Ok(plan) = plan(&evidence(points), &asked(rps, margin)) {
            let memory = plan.memory.unwrap();
            prop_assert!(memory.request_mib <= memory.limit_mib && memory.limit_mib >= LEAST_LIMIT_MIB);
            prop_assert!(memory.request_mib as f64 * 1_048_576.0 >= memory.loaded_mb * 1e6 * (1.0 + margin) - 1.0);
        }
    }
}
