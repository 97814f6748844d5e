//! What goes to the scripts, and how their answers are read: also those that are cut short, or none of ours.

use super::*;
use crate::jobs::Kind;

const ID: &str = "019a8c5e-3b7e-7a40-9d58-6f0c2f1b7c11";

fn id() -> Uuid {
    Uuid::try_parse(ID).unwrap()
}

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

/// An answer from words, of which `-` is nil.
fn parts(words: &[&str]) -> Parts {
    Parts::new(words.iter().map(|word| if *word == "-" { Part::Nil } else { text(word) }).collect())
}

fn words(call: &Call) -> Vec<&str> {
    call.args.iter().map(|arg| std::str::from_utf8(arg).unwrap()).collect()
}

#[test]
fn what_became_of_jobs_is_read_in_their_order() {
    let answer = ["stored", "-", "-", "known", ID, "done", "reused", "-", "-", "full", "-", "-"];
    let known = Submitted::Known { id: id(), status: Status::Done };
    assert_eq!(
        submitted(parts(&answer)),
        Some(vec![Submitted::Stored, known, Submitted::Reused, Submitted::Full])
    );
    assert_eq!(submitted(parts(&[])), Some(vec![]));
    for odd in [&["stored"][..], &["known", "-", "-"], &["known", "x", "done"], &["lost", "-", "-"]] {
        assert_eq!(submitted(parts(odd)), None, "{odd:?}");
    }
}

#[test]
fn a_job_is_read_with_what_it_may_lack() {
    let queued = got(id(), parts(&["uppercase", "queued", "-", "5", "-", "-", "-", "-"])).unwrap().unwrap();
    assert_eq!((queued.status, queued.attempts, queued.created), (Status::Queued, 0, 5));
    assert_eq!((queued.started, queued.finished, queued.result), (None, None, None));
    let done = got(id(), parts(&["uppercase", "done", "2", "5", "6", "7", "-", "\"X\""])).unwrap().unwrap();
    assert_eq!((done.attempts, done.started, done.finished), (2, Some(6), Some(7)));
    assert_eq!((done.result.as_deref(), done.error), (Some("\"X\""), None));
    assert_eq!(got(id(), parts(&["-"; 8])), Some(None), "there is none");
    for odd in [
        &["uppercase"][..],
        &["uppercase", "lost", "-", "5", "-", "-", "-", "-"],
        &["uppercase", "queued", "-", "soon", "-", "-", "-", "-"],
        &["uppercase", "queued", "99999999999", "5", "-", "-", "-", "-"],
    ] {
        assert_eq!(got(id(), parts(odd)), None, "{odd:?}");
    }
    assert_eq!(got(id(), Parts::new(vec![Part::Text(vec![0xff])])), None, "no UTF-8");
}

#[test]
fn a_page_is_read_with_its_cursor() {
    let page = listed(parts(&["12", ID, "sleep", "failed", "5", "1", "2", "3", "why"])).unwrap();
    assert_eq!((page.next.as_deref(), page.jobs.len()), (Some("12"), 1));
    assert_eq!((page.jobs[0].id, page.jobs[0].error.as_deref()), (id(), Some("why")));
    let last = listed(Parts::new(vec![Part::Nil])).unwrap();
    assert!(last.next.is_none() && last.jobs.is_empty());
    assert!(listed(parts(&["12", ID, "sleep"])).is_none(), "it is cut short");
}

#[test]
fn only_a_cursor_of_ours_is_asked_for() {
    let query = |cursor: &str| Query { status: Some(Status::Done), limit: 20, cursor: Some(cursor.into()) };
    assert_eq!(words(&list(&query("123")).unwrap()), ["20", "123", "done"]);
    for odd in ["-1", "1.5", "inf", "x", "1234567890123456"] {
        assert_eq!(list(&query(odd)), None, "{odd}");
    }
}

#[test]
fn entries_of_the_stream_are_read_but_for_those_that_were_taken_off_it() {
    let answer = [text("{ounce}:jobs"), text("1-0"), text("id"), text(ID), text("2-0"), Part::Nil];
    assert_eq!(read(answer.to_vec()), Some(vec![(b"1-0".to_vec(), ID.as_bytes().to_vec())]));
    assert_eq!(read(vec![Part::Nil]), Some(vec![]), "the wait is over");
    assert_eq!(read(answer[..3].to_vec()), None);
    assert_eq!(read(vec![text("{ounce}:jobs"), Part::Int(1)]), None);
}

#[test]
fn jobs_that_were_begun_are_read() {
    let taken = started(parts(&[ID, "2", "uppercase", "x", "-7"])).unwrap();
    assert_eq!(taken[0].hold, Hold { id: id(), attempt: 2 });
    // Redis' clock went back.
    assert_eq!((taken[0].text.as_str(), taken[0].waited), ("x", Duration::ZERO));
    assert_eq!(started(parts(&[ID, "2", "uppercase", "x"])), None);
    let entries = vec![(b"1-0".to_vec(), ID.into()), (b"2-0".to_vec(), ID.into())];
    let call = start("me", entries);
    assert_eq!(words(&call), ["me", "2", "0", "5", GIVEN_UP, "1-0", ID, "2-0", ID]);
}

#[test]
fn counts_and_cancellations_are_read() {
    let numbers = Parts::new(vec![Part::Int(3), Part::Int(4)]);
    assert_eq!(deep(numbers), Some(Depth { queued: 3, processing: 4 }));
    assert_eq!(count(Parts::new(vec![Part::Int(2)])), Some(2));
    assert_eq!(count(Parts::new(vec![Part::Int(-2)])), None);
    assert_eq!(cancelled(parts(&["-"])), Some(Cancelled::Unknown));
    assert_eq!(cancelled(parts(&["failed"])), Some(Cancelled::Gone));
    assert_eq!(cancelled(parts(&["processing"])), Some(Cancelled::Late(Status::Processing)));
    assert_eq!(cancelled(parts(&[])), None);
}

#[test]
fn calls_say_what_the_scripts_ask_for() {
    let new = New { id: id(), kind: Kind::named("sleep").unwrap(), text: "1s".into(), key: None };
    let keyed = New { key: Some("k".into()), ..new.clone() };
    assert_eq!(words(&submit(9, vec![new, keyed])), ["9", ID, "sleep", "", "1s", ID, "sleep", "k", "1s"]);
    let hold = Hold { id: id(), attempt: 3 };
    let ended = [(hold, End::Done("1".into())), (hold, End::Failed("why".into())), (hold, End::Returned)];
    let call = end(Duration::from_secs(1), &ended);
    let said = ["1000", ID, "3", "done", "1", ID, "3", "failed", "why", ID, "3", "returned", ""];
    assert_eq!(words(&call), said);
    assert_eq!(words(&renew("me", &[hold])), ["me", ID, "3"]);
}
