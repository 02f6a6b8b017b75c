//! The pool under threads.

use super::*;
use crate::policy::Name;
use crossbeam_channel::bounded;
use protocol::deadline::Deadline;
use std::{collections::HashMap, thread};

/// What a server with this id and processing time says of itself.
fn identity(id: &str, processing_time: f64, capacity: u32) -> Identity {
    Identity {
        nonce: String::new(),
        id: id.to_owned(),
        incarnation: fastrand::u64(..),
        service: "lab".into(),
        address: ([127, 0, 0, 1], 1).into(),
        processing_time,
        capacity,
        database: None,
        min_version: 1,
        max_version: 1,
        pid: 1,
    }
}

fn pool() -> Arc<Pool> {
    Pool::new(Settings::of(Name::Power, 1_000), Events::default())
}

fn join(pool: &Pool, id: &str, time: f64, capacity: u32) -> Arc<Server> {
    pool.join(&identity(id, time, capacity), 0, bounded(1).0)
}

/// Takes a server, waiting until the deadline.
fn take_until(pool: &Arc<Pool>, deadline: Deadline) -> Result<Found, Refused> {
    match pool.take(&Wanted::default())? {
        Taking::Server(found) => Ok(found),
        Taking::Turn(turn) => turn.wait(deadline, || true),
    }
}

fn take(pool: &Arc<Pool>) -> Found {
    take_until(pool, soon()).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

#[test]
fn a_lease_that_is_dropped_unfinished_leaves_doubt() {
    let pool = pool();
    let server = join(&pool, "1", 0.1, 1);
    let found = take(&pool);
    drop(found);
    assert_eq!(pool.state(&server), Some(State::Doubtful));
    assert!(!pool.settle(&server, 0, pool.doubts(&server)));
    assert_eq!(pool.state(&server), Some(State::Up));
}

#[test]
fn who_waits_gets_the_server_that_becomes_free() {
    let pool = pool();
    join(&pool, "1", 0.1, 1);
    let first = take(&pool);
    thread::scope(|scope| {
        let (told, tells) = bounded(1);
        let pool = &pool;
        let waiter = scope.spawn(move || {
            let Taking::Turn(turn) = pool.take(&Wanted::default()).unwrap() else { panic!("the server is taken") };
            told.send(turn.ahead()).unwrap();
            turn.wait(soon(), || true).unwrap()
        });
        assert_eq!(tells.recv().unwrap(), 0);
        first.lease.finish(Ended::Answered);
        let found = waiter.join().unwrap();
        assert_eq!(found.lease.server().id, "1");
        found.lease.finish(Ended::Answered);
    });
}

#[test]
fn whoever_waits_too_long_is_told_why() {
    let pool = pool();
    let refused = |pool: &Arc<Pool>| take_until(pool, Deadline::after(Duration::from_millis(10))).unwrap_err();
    assert_eq!(refused(&pool), Refused::NoServer);
    join(&pool, "1", 0.1, 1);
    let _held = take(&pool);
    assert_eq!(refused(&pool), Refused::QueueTimeout);
    assert_eq!(pool.waiting(), 0);
}

#[test]
fn whoever_gives_up_leaves_the_queue_and_hands_on_what_had_just_come() {
    let pool = pool();
    join(&pool, "1", 0.1, 1);
    let first = take(&pool);
    let turns: Vec<_> = (0..2).map(|_| pool.take(&Wanted::default()).unwrap()).collect();
    let [Taking::Turn(second), Taking::Turn(third)] = <[Taking; 2]>::try_from(turns).unwrap() else {
        panic!("the server is taken")
    };
    assert_eq!((second.ahead(), third.ahead(), pool.waiting()), (0, 1, 2));
    first.lease.finish(Ended::Answered);
    // The second's turn has come, but it never looks.
    drop(second);
    third.wait(soon(), || true).unwrap().lease.finish(Ended::Answered);
    assert_eq!((pool.waiting(), pool.status()[0].active), (0, 0));
}

#[test]
fn whoever_is_not_wanted_any_more_stops_waiting() {
    let pool = pool();
    join(&pool, "1", 0.1, 1);
    let _held = take(&pool);
    let Taking::Turn(turn) = pool.take(&Wanted::default()).unwrap() else { panic!("the server is taken") };
    assert_eq!(turn.wait(soon(), || false).unwrap_err(), Refused::Withdrawn);
    assert_eq!(pool.waiting(), 0);
}

#[test]
fn many_threads_never_share_a_server_of_capacity_one() {
    let pool = pool();
    let servers: Vec<_> = (1..=3).map(|n| join(&pool, &n.to_string(), f64::from(n), 1)).collect();
    let holders: HashMap<_, _> = servers.iter().map(|server| (server.id.clone(), Mutex::new(()))).collect();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let found = take(&pool);
                    let alone = holders[&found.lease.server().id].try_lock();
                    assert!(alone.is_some(), "two requests on server {}", found.lease.server().id);
                    drop(alone);
                    found.lease.finish(Ended::Answered);
                }
            });
        }
    });
    assert!(pool.status().iter().all(|server| server.active == 0 && server.state == "idle"));
    assert_eq!(pool.status().iter().map(|server| server.answered).sum::<u64>(), 8_000);
}

/// How the only server is shown: its word, and why.
fn shown(pool: &Pool) -> (&'static str, Option<String>) {
    let server = pool.snapshot().servers.remove(0);
    (server.status, server.reason)
}

#[test]
fn what_a_person_has_decided_holds_for_the_next_process_of_the_same_id() {
    let pool = pool();
    let old = join(&pool, "1", 0.1, 4);
    pool.decide_on("1", Admin::Maintenance).unwrap();
    pool.weigh("1", Some(7)).unwrap();
    pool.resize("1", 2).unwrap();
    pool.leave(&old);
    let new = join(&pool, "1", 0.1, 4);
    let standing = pool.look(&new).unwrap();
    assert_eq!((standing.admin, standing.weight, standing.capacity), (Admin::Maintenance, Some(7), 2));
    assert_eq!(shown(&pool), ("maintenance", Some("a person has decided so.".to_owned())));
    pool.decide_on("1", Admin::Ready).unwrap();
    assert_eq!(shown(&pool), ("idle", None));
    pool.leave(&new);
    let weaker = join(&pool, "1", 0.1, 1);
    let standing = pool.look(&weaker).unwrap();
    assert_eq!((standing.admin, standing.weight, standing.capacity), (Admin::Ready, Some(7), 1));
    pool.leave(&weaker);
    pool.forget("1");
    let stranger = join(&pool, "1", 0.1, 4);
    let standing = pool.look(&stranger).unwrap();
    assert_eq!((standing.admin, standing.weight, standing.capacity), (Admin::Ready, None, 4));
}

#[test]
fn each_cause_keeps_its_own_reason() {
    let pool = pool();
    let server = join(&pool, "1", 0.1, 1);
    let because = |why: &str| Some(why.to_owned());
    pool.down(&server, "it is silent.");
    pool.decide_on("1", Admin::Drain).unwrap();
    assert_eq!(shown(&pool), ("down", because("it is silent.")));
    pool.settle(&server, 0, pool.doubts(&server));
    assert_eq!(shown(&pool), ("drain", because("a person has decided so.")));
    pool.decide_on("1", Admin::Ready).unwrap();
    assert_eq!(shown(&pool), ("idle", None));
    // A second one, or the first could not be ejected.
    join(&pool, "2", 0.2, 1);
    (0..5).for_each(|_| pool.give_back(server.key, Ended::Failed, Duration::ZERO, Instant::now()));
    let ejected = ("ejected", because("5 requests to it failed in a row."));
    assert_eq!(shown(&pool), ejected);
    pool.down(&server, "it is silent.");
    assert_eq!(shown(&pool), ("down", because("it is silent.")));
    pool.settle(&server, 0, pool.doubts(&server));
    assert_eq!(shown(&pool), ejected, "it answers again, and is still left out");
}
