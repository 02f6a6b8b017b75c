//! How a replica that was removed ends: it gets nothing new, finishes what it has, leaves the pool, and its process is asked to end.
//!
//! Whom a person has taken out of the pool has left it already, and nobody here knows any more what it has in hand. It does:
//! asked to end, a server finishes that first.

use super::process::Process;
use crate::{
    membership::Members,
    pool::{Admin, Pool},
};
use protocol::deadline::Deadline;
use std::{sync::Arc, thread, time::Duration};

/// How long requests in hand may take, as when the load balancer itself ends.
const DRAIN_TIME: Duration = Duration::from_secs(30);
/// How long the process may take to end when it has nothing in hand.
const END_TIME: Duration = Duration::from_secs(5);
/// How often it is looked whether there are any. Only who removes a replica that is at work pays for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Does so in a thread of its own (`retire-ID`), of which there are at most as many as replicas. It gets nothing new when this
/// returns.
pub fn retire(process: Process, members: &Arc<Members>) {
    if let Some(pool) = members.shared().pools.of(super::SERVICE) {
        // Not there: it has been lost or removed meanwhile.
        let _not_there = pool.decide_on(process.id(), Admin::Drain);
    }
    let (own, members) = (process.clone(), Arc::clone(members));
    let name = format!("retire-{}", process.id());
    if thread::Builder::new().name(name).spawn(move || drain(&own, &members)).is_err() {
        process.kill();
    }
}

fn drain(process: &Process, members: &Members) {
    let mut end_time = END_TIME;
    let pool = members.shared().pools.of(super::SERVICE).map(Arc::clone);
    if let Some(pool) = pool {
        let deadline = Deadline::after(DRAIN_TIME);
        while is_at_work(&pool, process.id()) && !deadline.has_passed() {
            thread::park_timeout(LOOK_EVERY);
        }
        if pool.find(process.id()).is_err() {
            end_time = DRAIN_TIME;
        }
        process.leave(members);
        pool.forget(process.id());
    }
    process.ask_to_end();
    let deadline = Deadline::after(end_time);
    while !process.has_ended() {
        if deadline.has_passed() {
            return process.kill();
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

fn is_at_work(pool: &Pool, id: &str) -> bool {
    let standing = pool.find(id).ok().and_then(|server| pool.look(&server));
    standing.is_some_and(|standing| standing.active > 0)
}
