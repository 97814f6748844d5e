//! Who has a job, and for how long; and who waits for one.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

#[test]
fn whoever_lost_a_lease_cannot_end_the_job() {
    let scene = Scene::new("fence");
    run(async {
        let (one, other) = (scene.open(), scene.open());
        let id = submit(&one, "x").await;
        let [first] = take(&one).await[..] else { panic!() };
        scene.later(LEASE - Duration::from_millis(1));
        assert_eq!(take(&other).await, []);
        scene.later(Duration::from_millis(1));
        let [second] = take(&other).await[..] else { panic!() };
        assert_eq!((second.id, second.attempt), (id, 2));
        for end in [End::Done("1".into()), End::Failed("no".into()), End::Returned] {
            assert_eq!(one.end(vec![(first, end)]).await, Ok(vec![false]));
        }
        assert_eq!(one.renew(vec![first]).await, Ok(()));
        assert_eq!(other.end(done(&second)).await, Ok(vec![true]));
        assert_eq!(other.end(done(&second)).await, Ok(vec![false]), "it has ended already");
        assert_eq!(one.end(done(&first)).await, Ok(vec![false]));
        assert_eq!(one.get(id).await.unwrap().unwrap().result.as_deref(), Some("\"X\""));
    });
}

#[test]
fn a_lease_is_kept_by_renewing_it_whatever_is_done_to_the_time_of_day() {
    let scene = Scene::new("renew");
    run(async {
        let (one, other) = (scene.open(), scene.open());
        submit(&one, "x").await;
        let held = take(&one).await;
        scene.later(LEASE * 2 / 3);
        one.renew(held.clone()).await.unwrap();
        scene.later(LEASE * 2 / 3);
        scene.wall.fetch_add(1_000_000_000, SeqCst);
        assert_eq!(take(&other).await, []);
        scene.wall.fetch_sub(9_000_000_000, SeqCst);
        scene.later(LEASE / 3);
        assert_eq!(take(&other).await.len(), 1);
    });
}

#[test]
fn what_no_worker_ends_is_given_up() {
    let scene = Scene::new("dead");
    run(async {
        let store = scene.open();
        let id = submit(&store, "x").await;
        for attempt in 1..=MOST_ATTEMPTS {
            assert_eq!(take(&store).await, [Hold { id, attempt }]);
            scene.later(LEASE);
        }
        assert_eq!(take(&store).await, []);
        let job = store.get(id).await.unwrap().unwrap();
        assert_eq!((job.status, job.error.as_deref()), (Status::Failed, Some(GIVEN_UP)));
        assert!(job.finished.is_some());
        scene.later(KEEP * 1000);
        assert_eq!(take(&store).await, []);
        assert_eq!(store.cancel(id).await, Ok(Cancelled::Gone), "it is kept until somebody deletes it");
    });
}

#[test]
fn a_machine_that_started_anew_has_no_leases() {
    let scene = Scene::new("boot");
    run(async {
        let one = scene.open();
        let id = submit(&one, "x").await;
        take(&one).await;
        assert_eq!(take(&scene.open()).await, [], "the same machine");
        let connection = Connection::open(scene.file()).unwrap();
        connection.execute("UPDATE meta SET value = 'another' WHERE name = 'boot'", []).unwrap();
        assert_eq!(take(&scene.open()).await, [Hold { id, attempt: 2 }]);
    });
}

#[test]
fn a_taker_who_is_gone_leaves_the_jobs_in_the_queue() {
    let scene = Scene::new("gone");
    run(async {
        let store = scene.open();
        let id = submit(&store, "x").await;
        let mut context = Context::from_waker(Waker::noop());
        for number in 0..50 {
            let mut taking = pin!(store.take(1));
            if let Poll::Ready(taken) = taking.as_mut().poll(&mut context) {
                let held = taken.unwrap().into_iter().map(|taken| (taken.hold, End::Returned)).collect();
                store.end(held).await.unwrap();
            } else if number % 2 == 0 {
                // Dropped when the answer has come; otherwise mostly before.
                store.renew(Vec::new()).await.unwrap();
            }
        }
        assert_eq!(store.take(1).await.unwrap()[0].hold, Hold { id, attempt: 1 });
    });
}

#[test]
fn a_taker_waits_for_the_jobs_of_this_process_and_of_others() {
    let scene = Scene::new("wait");
    run(async {
        let (one, other) = (scene.open(), scene.open());
        for store in [&one, &other, &one, &other] {
            let mut taking = pin!(one.take(1));
            let looked = async {
                // What is asked later is answered later: by the second time it has found nothing.
                one.renew(Vec::new()).await.unwrap();
                one.renew(Vec::new()).await.unwrap();
            };
            tokio::select! {
                biased;
                taken = &mut taking => panic!("{taken:?}"),
                () = looked => {}
            }
            submit(store, "x").await;
            assert_eq!(taking.await.unwrap().len(), 1);
        }
    });
}
