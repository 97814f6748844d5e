//! The peers of `bench/peers/`: each answers what the service answers, wherever what it needs is installed.

mod common;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use common::{Answer, Client, Server, skip_absent};
use ounce_bench::cell;
use ounce_bench::interrupt::Interrupt;
use ounce_bench::launch::{self, Context};
use ounce_bench::placement::Placement;
use ounce_bench::target::{self, Target};

const PATH: &str = "/api/light";
/// Compilers that may want a network, and minutes.
const SLOW_BUILDS: [&str; 2] = ["cargo", "go"];

fn peers() -> Vec<Target> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/peers");
    target::read_dir(&dir).unwrap_or_else(|error| panic!("{error:#}"))
}

fn is_slow(target: &Target) -> bool {
    target.build.iter().any(|word| SLOW_BUILDS.contains(&word.as_str()))
}

/// Builds, launches and asks a peer; nothing when what it needs is not installed.
fn answer_of(target: &Target, values: &[(&str, &str)]) -> Option<Answer> {
    if let Some(lack) = launch::missing(target).first() {
        skip_absent(&format!("the peer {}", target.name), &format!("it needs {} ({})", lack.what, lack.hint));
        return None;
    }
    // A program that another test builds at this moment cannot be started.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (placement, interrupt) = (Placement::here(None).expect("CPUs"), Interrupt::new());
    cell::build(target, &interrupt).unwrap_or_else(|error| panic!("{}: {error:#}", target.name));
    let values = values.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let context = Context { values, ..Context::new(&placement, &interrupt) };
    let instance = launch::launch(target, &context);
    let mut instance = instance.unwrap_or_else(|error| panic!("{error}"));
    let mut client = Client::connect(instance.address());
    client.get(PATH); // the connection must live on
    let answer = client.get(PATH);
    instance.stop().unwrap_or_else(|error| panic!("{error}"));
    Some(answer)
}

/// What takes part in throughput: the status, the body, and what tells the client how to read it.
fn core(answer: &Answer) -> (u16, &str, Option<&str>, Option<&str>) {
    (answer.status, answer.text(), answer.header("content-type"), answer.header("content-length"))
}

fn compare(peers: impl Iterator<Item = Target>) {
    let ours = Server::start(&[]).get(PATH);
    for peer in peers {
        if let Some(answer) = answer_of(&peer, &[]) {
            assert_eq!(core(&answer), core(&ours), "{}", peer.name);
        }
    }
}

#[test]
fn peers_are_told_what_the_service_answers() {
    let ours = Server::start(&[]).get(PATH);
    for peer in peers() {
        let value = |name: &str| peer.values.get(name).map(String::as_str);
        let told = (value("body"), value("content_type"));
        assert_eq!(told, (Some(ours.text()), ours.header("content-type")), "{}", peer.name);
        assert!(peer.peer && peer.serves("light") && !peer.serves("heavy"), "{}", peer.name);
        assert!(!peer.requires.is_empty() && peer.requires.iter().all(|need| need.program.is_some()));
    }
}

#[test]
fn peers_that_need_no_long_build_answer_the_same() {
    compare(peers().into_iter().filter(|peer| !is_slow(peer)));
}

#[test]
fn a_launch_may_tell_a_peer_something_else() {
    let Some(epoll) = peers().into_iter().find(|peer| peer.name == "epoll") else { panic!("no peer epoll") };
    if let Some(answer) = answer_of(&epoll, &[("body", "other")]) {
        assert_eq!((answer.text(), answer.header("content-type")), ("other", Some("application/json")));
    }
}

#[test]
#[ignore = "compiles for minutes: make test-long"]
fn peers_that_need_a_long_build_answer_the_same() {
    compare(peers().into_iter().filter(is_slow));
}
