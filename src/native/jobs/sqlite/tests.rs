//! Two handles of one file are to each other what two processes are.

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::{env, fs, process};

use super::*;
use crate::jobs::{GIVEN_UP, Kind, MOST_ATTEMPTS, Status, sql};

mod files;
mod leases;

const LEASE: Duration = Duration::from_secs(30);
const KEEP: Duration = Duration::from_secs(600);

/// A directory, removed on drop, and clocks that only move when they are told to.
struct Scene {
    directory: std::path::PathBuf,
    wall: Arc<AtomicI64>,
    steady: Arc<AtomicI64>,
    limits: Limits,
}

impl Scene {
    fn new(name: &str) -> Scene {
        let directory = env::temp_dir().join(format!("ounce-sqlite-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        let limits = Limits { concurrency: 64, lease: LEASE, queue: 100, keep: KEEP };
        let (wall, steady) = (AtomicI64::new(1_700_000_000_000).into(), AtomicI64::new(1000).into());
        Scene { directory, wall, steady, limits }
    }

    fn open(&self) -> Sqlite {
        self.at(Some(&self.directory))
    }

    fn at(&self, directory: Option<&Path>) -> Sqlite {
        let (wall, steady) = (self.wall.clone(), self.steady.clone());
        let clock = Arc::new(move || Now { wall: wall.load(SeqCst), steady: steady.load(SeqCst) });
        Sqlite::with_clock(directory, self.limits, false, clock).unwrap()
    }

    fn later(&self, time: Duration) {
        self.wall.fetch_add(clock::millis(time), SeqCst);
        self.steady.fetch_add(clock::millis(time), SeqCst);
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.join(file::NAME)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    crate::native::runtime().unwrap().block_on(async {
        time::timeout(Duration::from_secs(30), work).await.expect("nothing waits that long")
    })
}

fn new(text: &str) -> New {
    New { id: Uuid::now_v7(), kind: Kind::Uppercase, text: text.into(), key: None }
}

async fn submit(store: &Sqlite, text: &str) -> Uuid {
    let new = new(text);
    let id = new.id;
    assert_eq!(store.submit(new).await, Ok(Submitted::Stored));
    id
}

async fn status(store: &Sqlite, id: Uuid) -> Option<Status> {
    store.get(id).await.unwrap().map(|job| job.status)
}

/// Takes what is there, without waiting for what is not.
async fn take(store: &Sqlite) -> Vec<Hold> {
    store.offer(100).await.unwrap().taken.into_iter().map(|taken| taken.hold).collect()
}

fn done(hold: &Hold) -> Vec<(Hold, End)> {
    vec![(*hold, End::Done("\"X\"".into()))]
}

#[test]
fn a_job_goes_its_way() {
    let scene = Scene::new("way");
    let text = "stra\u{0}ße 😀";
    run(async {
        let (front, back) = (scene.open(), scene.open());
        assert!(!scene.file().exists());
        let id = submit(&front, text).await;
        assert_eq!(front.depth().await, Ok(Depth { queued: 1, processing: 0 }));
        scene.later(Duration::from_millis(1500));
        let taken = back.take(5).await.unwrap();
        let [Taken { hold, kind, text: stored, waited }] = &taken[..] else { panic!("{taken:?}") };
        assert_eq!((hold.id, hold.attempt, &**kind, &**stored), (id, 1, "uppercase", text));
        assert_eq!(*waited, Duration::from_millis(1500));
        assert_eq!(front.depth().await, Ok(Depth { queued: 0, processing: 1 }));
        assert_eq!(back.end(vec![(*hold, End::Done("{\"a\\u0000\":1}".into()))]).await, Ok(vec![true]));
        let job = front.get(id).await.unwrap().unwrap();
        assert_eq!((job.status, job.attempts, job.error), (Status::Done, 1, None));
        assert_eq!(
            (job.created, job.started, job.finished),
            (1_700_000_000_000, Some(1_700_000_001_500), Some(1_700_000_001_500))
        );
        assert_eq!(job.result.as_deref(), Some("{\"a\\u0000\":1}"));
        assert_eq!(front.depth().await, Ok(Depth::default()));
        assert_eq!(front.get(Uuid::nil()).await, Ok(None));
    });
}

#[test]
fn jobs_are_taken_in_the_order_in_which_they_came_also_those_that_come_back() {
    let scene = Scene::new("order");
    run(async {
        let store = scene.open();
        let mut ids = Vec::new();
        for text in ["a", "b", "c", "d"] {
            ids.push(submit(&store, text).await);
        }
        let first = store.take(2).await.unwrap();
        assert_eq!(first.iter().map(|taken| taken.hold.id).collect::<Vec<_>>(), ids[..2]);
        assert_eq!(store.end(vec![(first[0].hold, End::Returned)]).await, Ok(vec![true]));
        let second = take(&store).await;
        assert_eq!(second.iter().map(|hold| hold.id).collect::<Vec<_>>(), [ids[0], ids[2], ids[3]]);
        assert!(second.iter().all(|hold| hold.attempt == 1), "{second:?}");
    });
}

#[test]
fn a_key_names_one_job() {
    let mut scene = Scene::new("key");
    scene.limits.queue = 1;
    run(async {
        let store = scene.open();
        let keyed = |text: &str| New { key: Some("k".into()), ..new(text) };
        let first = keyed("x");
        let id = first.id;
        assert_eq!(store.submit(first).await, Ok(Submitted::Stored));
        let known = |status| Ok(Submitted::Known { id, status });
        assert_eq!(store.submit(keyed("x")).await, known(Status::Queued), "also of a full queue");
        assert_eq!(store.submit(keyed("y")).await, Ok(Submitted::Reused));
        let sleep = New { kind: Kind::Sleep, ..keyed("x") };
        assert_eq!(store.submit(sleep).await, Ok(Submitted::Reused));
        let other = New { key: Some("l".into()), ..new("x") };
        assert_eq!(store.submit(other.clone()).await, Ok(Submitted::Full));
        let [hold] = take(&store).await[..] else { panic!() };
        assert_eq!(store.submit(keyed("x")).await, known(Status::Processing));
        store.end(done(&hold)).await.unwrap();
        assert_eq!(store.submit(keyed("x")).await, known(Status::Done));
        assert_eq!(store.submit(other).await, Ok(Submitted::Stored));
        scene.later(KEEP);
        take(&store).await;
        assert_eq!(store.submit(keyed("y")).await, Ok(Submitted::Stored), "it was forgotten");
    });
}

#[test]
fn a_full_queue_takes_no_more_until_a_job_is_begun() {
    let mut scene = Scene::new("full");
    scene.limits.queue = 3;
    run(async {
        let store = scene.open();
        for _ in 0..3 {
            submit(&store, "x").await;
        }
        assert_eq!(store.submit(new("x")).await, Ok(Submitted::Full));
        store.take(1).await.unwrap();
        submit(&store, "x").await;
        assert_eq!(store.submit(new("x")).await, Ok(Submitted::Full));
    });
}

#[test]
fn what_is_done_is_forgotten_after_its_time() {
    let scene = Scene::new("expiry");
    run(async {
        let store = scene.open();
        let id = submit(&store, "x").await;
        let [hold] = take(&store).await[..] else { panic!() };
        store.end(done(&hold)).await.unwrap();
        scene.later(KEEP - Duration::from_millis(1));
        let again = store.offer(1).await.unwrap().again;
        assert_eq!((again, status(&store, id).await), (Some(Duration::from_millis(1)), Some(Status::Done)));
        scene.later(Duration::from_millis(1));
        let again = store.offer(1).await.unwrap().again;
        assert_eq!((again, status(&store, id).await), (None, None));
    });
}

#[test]
fn jobs_are_forgotten_a_thousand_at_once() {
    let mut scene = Scene::new("sweep");
    scene.limits.queue = 5000;
    run(async {
        let store = scene.open();
        for _ in 0..1100 {
            submit(&store, "x").await;
        }
        let ended: Vec<_> = store.take(2000).await.unwrap().iter().flat_map(|t| done(&t.hold)).collect();
        assert_eq!(store.end(ended).await, Ok(vec![true; 1100]));
        scene.later(KEEP);
        let left = || store.list(Query { status: Some(Status::Done), limit: 2000, cursor: None });
        assert_eq!(store.offer(1).await.unwrap().again, Some(Duration::from_millis(50)));
        assert_eq!(left().await.unwrap().jobs.len(), 100);
        assert_eq!(store.offer(1).await.unwrap().again, Some(Duration::from_millis(50)), "not yet");
        scene.later(Duration::from_millis(50));
        assert_eq!(store.offer(1).await.unwrap().again, None);
        assert_eq!(left().await.unwrap().jobs.len(), 0);
    });
}

#[test]
fn only_what_waits_or_failed_can_be_cancelled() {
    let scene = Scene::new("cancel");
    run(async {
        let store = scene.open();
        assert_eq!(store.cancel(Uuid::nil()).await, Ok(Cancelled::Unknown));
        assert!(!scene.file().exists());
        let id = submit(&store, "x").await;
        assert_eq!(store.cancel(id).await, Ok(Cancelled::Gone));
        assert_eq!(store.cancel(id).await, Ok(Cancelled::Unknown));
        assert_eq!(store.depth().await, Ok(Depth::default()));
        let id = submit(&store, "x").await;
        let [hold] = take(&store).await[..] else { panic!() };
        assert_eq!(store.cancel(id).await, Ok(Cancelled::Late(Status::Processing)));
        store.end(done(&hold)).await.unwrap();
        assert_eq!(store.cancel(id).await, Ok(Cancelled::Late(Status::Done)));
    });
}

#[test]
fn a_list_is_read_page_by_page() {
    let scene = Scene::new("list");
    run(async {
        let store = scene.open();
        let mut ids = Vec::new();
        for _ in 0..7 {
            ids.push(submit(&store, "x").await);
        }
        for taken in store.take(3).await.unwrap() {
            scene.later(Duration::from_millis(1));
            store.end(done(&taken.hold)).await.unwrap();
        }
        ids.reverse();
        let (queued, done) = ids.split_at(4);
        for (status, expected) in [
            (None, &ids[..]),
            (Some(Status::Queued), queued),
            (Some(Status::Done), done),
            (Some(Status::Failed), &[]),
        ] {
            for limit in [1, 2, 3, 4, 7, 20] {
                let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
                loop {
                    let list = store.list(Query { status, limit, cursor }).await.unwrap();
                    seen.extend(list.jobs.iter().map(|job| job.id));
                    assert!(list.jobs.iter().all(|job| job.result.is_none()));
                    (cursor, pages) = (list.next, pages + 1);
                    if cursor.is_none() {
                        break;
                    }
                }
                assert_eq!(seen, expected, "{status:?} by {limit}");
                assert_eq!(pages, expected.len().div_ceil(limit as usize).max(1), "{status:?} by {limit}");
            }
        }
        for cursor in ["x", "", "1", "1-x", "-", "99999999999999999999-1"] {
            let list =
                store.list(Query { status: None, limit: 9, cursor: Some(cursor.into()) }).await.unwrap();
            assert!(list.jobs.is_empty() && list.next.is_none(), "{cursor}");
        }
    });
}

#[test]
fn memory_is_a_store_too() {
    let scene = Scene::new("memory");
    run(async {
        let store = scene.at(None);
        assert_eq!(store.list(Query { status: None, limit: 9, cursor: None }).await.unwrap().jobs, []);
        let id = submit(&store, "x").await;
        let [hold] = take(&store).await[..] else { panic!() };
        assert_eq!(store.end(done(&hold)).await, Ok(vec![true]));
        assert_eq!(status(&store, id).await, Some(Status::Done));
        assert_eq!(fs::read_dir(&scene.directory).unwrap().count(), 0);
    });
}

/// None of the handles looks again by itself.
#[test]
fn no_statement_goes_through_all_jobs() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&sql::SCHEMA.join(";")).unwrap();
    let statements = [
        sql::SUBMIT,
        sql::OF_KEY,
        sql::GET,
        sql::LIST,
        sql::LIST_OF,
        sql::CANCEL,
        sql::STATUS,
        sql::DEPTH,
        sql::NEXT,
        sql::CLAIM,
        sql::VOID,
        sql::VOID_ALL,
        sql::DONE,
        sql::FAILED,
        sql::RETURNED,
        sql::RENEW,
        sql::FORGET,
    ];
    for statement in statements {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let empty = vec![0; explain.parameter_count()];
        let plan = explain.query_map(rusqlite::params_from_iter(empty), |row| row.get(3)).unwrap();
        let plan: Vec<String> = plan.collect::<Result<_, _>>().unwrap();
        let bad = |step: &String| {
            step.contains("SCAN ") && step != "SCAN CONSTANT ROW" || step.contains("TEMP B-TREE")
        };
        assert!(!plan.iter().any(bad), "{statement}: {plan:?}");
        if statement == sql::LIST_OF {
            assert!(plan.iter().any(|step| step.contains("(status=? AND due=? AND rowid<?)")), "{plan:?}");
        }
    }
}
