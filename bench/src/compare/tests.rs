use super::*;
use crate::load::Errors;
use crate::noise::Reading;
use crate::record::Noise;
use crate::record::fixture;
use crate::report::Format;

const BASE: [u64; 5] = [2000, 2040, 1960, 2010, 1990];

fn with_rounds(requests: &[u64]) -> Record {
    let mut record = fixture::with_rounds(requests);
    for load in record.cells.iter_mut().filter_map(|cell| cell.load.as_mut()) {
        load.errors = Errors::default();
    }
    record
}

fn side(record: &Record) -> Side<'_> {
    Side { record, name: String::new(), target: None }
}

fn verdict(base: &Record, new: &Record, figure: Figure, paired: bool) -> Verdict {
    let options = Options { margin: 0.03, limits: &[], paired };
    let found = compare(&side(base), &side(new), &options);
    found.lines.iter().find(|line| line.figure == figure).unwrap().verdict
}

fn scaled(factor: f64) -> Record {
    with_rounds(&BASE.map(|requests| (requests as f64 * factor) as u64))
}

#[test]
fn a_tenth_is_seen_and_noise_is_not() {
    for paired in [false, true] {
        let of = |factor| verdict(&scaled(1.0), &scaled(factor), Figure::ReqPerS, paired);
        assert_eq!(of(0.9), Verdict::Worse);
        assert_eq!(of(1.1), Verdict::Better);
        assert_eq!((of(1.0), of(0.98), of(1.02)), (Verdict::Same, Verdict::Same, Verdict::Same));
    }
}

#[test]
fn less_memory_is_better_and_a_leak_is_worse() {
    let mut leaking = scaled(1.0);
    for sample in leaking.cells.iter_mut().flat_map(|cell| &mut cell.samples) {
        sample.memory.pss += 1_000_000;
    }
    assert_eq!(verdict(&scaled(1.0), &leaking, Figure::PssLoadedMb, false), Verdict::Worse);
    assert_eq!(verdict(&leaking, &scaled(1.0), Figure::PssLoadedMb, false), Verdict::Better);
}

#[test]
fn records_of_different_machines_are_said_to_be() {
    let (here, mut there) = (scaled(1.0), scaled(1.0));
    there.host.label = "another".into();
    let options = Options { margin: 0.03, limits: &[], paired: false };
    let text = |new| compare(&side(&here), &side(new), &options).text(Format::Terminal, true);
    assert!(text(&there).contains("of different machines") && !text(&here).contains("of different machines"));
}

#[test]
fn rounds_are_compared_with_their_own_partner() {
    // The machine is half as fast in some rounds: alike for both sides, so that pairs see a fall of 8 % and
    // medians do not.
    let base = with_rounds(&[2000, 1000, 2000, 1000, 1500]);
    let new = with_rounds(&[1840, 920, 1840, 920, 1380]);
    assert_eq!(verdict(&base, &new, Figure::ReqPerS, true), Verdict::Worse);
    assert_eq!(verdict(&base, &new, Figure::ReqPerS, false), Verdict::Same);
}

#[test]
fn fewer_than_three_rounds_have_no_verdict() {
    let two = with_rounds(&[2000, 2000]);
    assert_eq!(verdict(&two, &with_rounds(&[1000, 1000]), Figure::ReqPerS, false), Verdict::Unknown);
}

fn on_a_machine(mut record: Record, spin_ms: f64) -> Record {
    let reading = Reading { spin_ms, loopback_us: 10.0 };
    for cell in &mut record.cells {
        cell.noise = Some(Noise { before: reading, after: reading, steal_share: 0.0 });
    }
    record
}

#[test]
fn a_machine_that_became_slower_is_not_a_worse_service() {
    let (base, new) = (on_a_machine(scaled(1.0), 10.0), on_a_machine(scaled(0.9), 11.0));
    assert_eq!(verdict(&base, &new, Figure::ReqPerS, false), Verdict::Same);
    let same_machine = on_a_machine(scaled(0.9), 10.0);
    assert_eq!(verdict(&base, &same_machine, Figure::ReqPerS, false), Verdict::Worse);
}

#[test]
fn limits_are_missed_by_what_is_certain() {
    let missed = |limit: &str, factor| {
        let limits = [limit.parse().unwrap()];
        let options = Options { margin: 0.03, limits: &limits, paired: false };
        compare(&side(&scaled(1.0)), &side(&scaled(factor)), &options).missed.len()
    };
    assert_eq!(
        (missed("req_per_s<-5%", 0.9), missed("req_per_s < -15%", 0.9), missed("req_per_s<-5%", 1.1)),
        (1, 0, 0)
    );
    assert_eq!((missed("req_per_s>+5%", 1.1), missed("req_per_s<-1%", 0.98)), (1, 0));
    assert!(missed("worse", 0.9) >= 2 && missed("worse", 1.1) == 0);
    let two = |limit: &str| {
        let limits = [limit.parse().unwrap()];
        let options = Options { margin: 0.03, limits: &limits, paired: false };
        compare(&side(&with_rounds(&[2000; 2])), &side(&with_rounds(&[1000; 2])), &options).missed.len()
    };
    assert_eq!(
        (two("req_per_s<-5%"), two("energy_mj_per_req>5%")),
        (1, 1),
        "what cannot be judged is not kept"
    );
    for bad in ["", "req_per_s", "speed<-5%", "req_per_s<5%", "req_per_s>-5%", "req_per_s<-5"] {
        assert!(bad.parse::<Limit>().is_err(), "{bad:?} must be refused");
    }
}

#[test]
fn what_fails_now_is_lost() {
    let mut new = scaled(1.0);
    new.cells[2].error = Some("it died".into());
    let limits = [Limit::Worse];
    let options = Options { margin: 0.03, limits: &limits, paired: false };
    let found = compare(&side(&scaled(1.0)), &side(&new), &options);
    assert_eq!((found.lost.len(), found.missed.len()), (1, 1));
    new.cells.clear();
    assert_eq!(
        compare(&side(&scaled(1.0)), &side(&new), &options).lost[0].why,
        "it is not in the new record"
    );
    let mut wrong = scaled(1.0);
    wrong.cells.iter_mut().for_each(|cell| cell.load.as_mut().unwrap().errors.status = 100);
    assert!(compare(&side(&scaled(1.0)), &side(&wrong), &options).lost[0].why.contains("went wrong"));
    let mut other = scaled(1.0);
    other.cells.iter_mut().for_each(|cell| cell.load.as_mut().unwrap().connections = 2);
    assert!(
        compare(&side(&scaled(1.0)), &side(&other), &options).lost[0].why.contains("measured differently")
    );
    let mut unweighed = scaled(1.0);
    unweighed.cells.iter_mut().for_each(|cell| cell.samples.clear());
    let limits = ["pss_loaded_mb>5%".parse().unwrap()];
    let limited = Options { margin: 0.03, limits: &limits, paired: false };
    assert_eq!(compare(&side(&scaled(1.0)), &side(&unweighed), &limited).missed.len(), 1);
    new.complete = false;
    assert!(
        compare(&side(&scaled(1.0)), &side(&new), &options)
            .missed
            .iter()
            .any(|what| what.contains("incomplete"))
    );
    // What was never measured cannot be lost.
    assert!(compare(&side(&new), &side(&scaled(1.0)), &options).lost.is_empty());
}
