//! The queue and the time-outs, with a stand-in for the model that computes when it is told to. `tests/bert.rs` has
//! the models.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Waker};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Says which text it begins with, then waits to be told its probability.
struct StandIn {
    begun: Sender<String>,
    results: Receiver<Result<f32, String>>,
}

impl Classify for StandIn {
    fn probability(&self, text: &str) -> Result<f32, String> {
        self.begun.send(text.to_owned()).expect("the test listens");
        assert_ne!(text, "panic", "as asked for");
        self.results.recv_timeout(PATIENCE).expect("the test says how it ends")
    }

    fn about(&self) -> String {
        "a stand-in".into()
    }
}

struct Stage {
    bert: Bert,
    begun: Receiver<String>,
    results: Sender<Result<f32, String>>,
}

impl Stage {
    /// Whether a text is being computed, and which.
    fn begins(&self) -> String {
        self.begun.recv_timeout(PATIENCE).expect("a text is computed")
    }
}

fn stage(queue: usize, timeout: Duration) -> Stage {
    let (begin, begun) = channel();
    let (results, told) = channel();
    let stand_in = StandIn { begun: begin, results: told };
    let bert = Bert::launch("test".into(), Limits { threads: 1, queue, timeout }, move || Ok(stand_in));
    until(|| bert.state() == State::Ready);
    Stage { bert, begun, results }
}

fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE);
        thread::yield_now();
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

type Request<'a> = Pin<Box<dyn Future<Output = Result<f32, Refusal>> + 'a>>;

/// A request that has come as far as it can, which is into the queue.
fn enqueue<'a>(bert: &'a Bert, text: &str) -> Request<'a> {
    let mut request: Request<'a> = Box::pin(bert.classify(text.into()));
    assert!(request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    request
}

#[test]
fn nothing_is_taken_before_the_model_is_there() {
    let (go, wait) = channel();
    let limits = Limits { threads: 1, queue: 1, timeout: PATIENCE };
    let bert = Bert::launch("test".into(), limits, move || {
        wait.recv_timeout(PATIENCE).expect("the test says when");
        Err::<StandIn, _>("model.safetensors is not there".into())
    });
    assert_eq!((bert.state(), bert.load_seconds()), (State::Loading, None));
    assert_eq!(run(bert.classify("early".into())), Err(Refusal::Loading));
    go.send(()).expect("it waits");
    until(|| bert.state() != State::Loading);
    assert_eq!(bert.state(), State::Failed("model.safetensors is not there".into()));
    assert_eq!(run(bert.classify("late".into())), Err(Refusal::Failed));
    assert_eq!(bert.load_seconds(), None);
}

#[test]
fn a_panic_while_loading_is_a_failure_to_load() {
    let limits = Limits { threads: 1, queue: 1, timeout: PATIENCE };
    let bert = Bert::launch("test".into(), limits, || -> Result<StandIn, String> { panic!("as asked for") });
    until(|| bert.state() != State::Loading);
    assert_eq!(bert.state(), State::Failed("it panicked: as asked for".into()));
}

#[test]
fn a_full_queue_refuses_at_once_and_the_others_are_served() {
    let stage = stage(2, PATIENCE);
    run(async {
        let first = enqueue(&stage.bert, "one");
        // It has left the queue for the model.
        assert_eq!(stage.begins(), "one");
        let requests = [first, enqueue(&stage.bert, "two"), enqueue(&stage.bert, "three")];
        assert_eq!(stage.bert.classify("four".into()).await, Err(Refusal::Busy));
        for (request, probability) in requests.into_iter().zip([0.1, 0.2, 0.3]) {
            stage.results.send(Ok(probability)).expect("it waits");
            assert_eq!(request.await, Ok(probability));
        }
    });
    assert!(stage.bert.load_seconds().is_some());
}

#[test]
fn what_has_waited_too_long_is_refused_and_not_computed() {
    let stage = stage(8, Duration::from_millis(50));
    run(async {
        // The first is being computed when its time is over, the second still waits.
        let first = enqueue(&stage.bert, "first");
        assert_eq!(stage.begins(), "first");
        assert_eq!(stage.bert.classify("second".into()).await, Err(Refusal::TimedOut));
        assert_eq!(first.await, Err(Refusal::TimedOut));
        // It would be refused like the others, were it looked at again.
        let _third = enqueue(&stage.bert, "third");
        stage.results.send(Ok(0.1)).expect("it waits");
        assert_eq!(stage.begins(), "third", "the second is not computed");
        stage.results.send(Ok(0.3)).expect("it waits");
    });
}

#[test]
fn a_request_that_is_given_up_frees_its_place() {
    let stage = stage(1, PATIENCE);
    run(async {
        let first = enqueue(&stage.bert, "first");
        assert_eq!(stage.begins(), "first");
        let second = enqueue(&stage.bert, "second");
        assert_eq!(stage.bert.classify("third".into()).await, Err(Refusal::Busy));
        drop(second);
        let third = enqueue(&stage.bert, "third");
        for probability in [0.1, 0.3] {
            stage.results.send(Ok(probability)).expect("it waits");
        }
        assert_eq!((first.await, third.await), (Ok(0.1), Ok(0.3)));
    });
}

#[test]
fn a_text_that_cannot_be_computed_is_not_the_last_one() {
    let stage = stage(1, PATIENCE);
    assert_eq!(run(stage.bert.classify("panic".into())), Err(Refusal::Broken));
    stage.results.send(Err("NaN".into())).expect("it listens");
    assert_eq!(run(stage.bert.classify("broken".into())), Err(Refusal::Broken));
    stage.results.send(Ok(0.5)).expect("it listens");
    assert_eq!(run(stage.bert.classify("well".into())), Ok(0.5));
}
