//! A server gets what it has missed: a copy of each shard from one that is in step, then the changes behind it, while others go on reading and changing.
//!
//! ```text
//! copy of sh1 from Server0      at 1000      nobody waits; changes go on, and are remembered
//! changes 1001 … 1812           at 1812      the same; again, until few are missing
//! copy of sh2 …                              and what has come for sh1 meanwhile, as above
//! locked: changes 1813 … 1815   at 1815      everybody waits for these; in step, durably
//! ```
//!
//! **How long everybody waits:** as long as the server takes for the changes that are still missing. If these are many, because they come fast,
//! or large, the lock is given back, and the server catches up without it; the next time twice as many may be missing, so that this ends.
//!
//! Numbers are those of one generation: when the shard was settled anew meanwhile, a number that was never acknowledged may have been given
//! again to another change, and the copy counts for nothing.

use super::{
    copy::copy,
    group::{Group, Numbered, catch_up},
    lock::Lock,
    server::Server,
    table::Table,
};
use crate::event::Event;
use std::{sync::Arc, time::Instant};

/// So many missing changes are few: the rest can wait for the lock.
const FEW: usize = 16;
/// How many may be missing when the shard is locked for the first time: some come while it is waited for.
const MOST: usize = 4 * FEW;
/// Bytes that each of them may have, taken together: [`MOST`] are no more than a small call.
const BYTES_EACH: usize = 1024;

/// A shard by name, with its lock.
pub type Named = (String, Arc<Lock>);

/// A copy: whose it is, the generation of the shard's numbers that it is of, the number of the copy, and the number that the server has
/// reached.
#[derive(Debug)]
pub(super) struct Copied {
    from: String,
    generation: u64,
    copied: u64,
    at: u64,
    began: Instant,
}

/// Fills shards of a server, and then puts it in step, in all of them: what comes for one must not wait for the copy of another.
/// Whether that has worked.
pub fn fill(table: &Table, groups: &[Named], server: &Arc<Server>) -> bool {
    let failed = |shard: &String, why: String| {
        let server = server.name.clone();
        table.events.emit(|| Event::ReplicaNotFilled { server, shard: shard.clone(), why });
    };
    let mut filled = Vec::new();
    for group in groups {
        match copied(table, group, server) {
            Ok(copied) => filled.push((group, copied)),
            Err(why) => {
                failed(&group.0, why);
                return false;
            }
        }
    }
    filled
        .into_iter()
        .all(|(group, copied)| finished(table, group, server, copied).map_err(|why| failed(&group.0, why)).is_ok())
}

/// Copies a shard, and catches up until few changes are missing. Nobody waits for this part.
pub(super) fn copied(table: &Table, (shard, lock): &Named, server: &Server) -> Result<Copied, String> {
    let began = Instant::now();
    let (source, generation) = {
        let group = lock.read();
        (table.alive(&group.in_step).into_iter().next(), group.generation())
    };
    let source = source.ok_or("nobody has a copy at the moment")?;
    let number = copy(&source, server, shard)?;
    let mut copied = Copied { from: source.name.clone(), generation, copied: number, at: number, began };
    nearly(lock, server, &mut copied)?;
    Ok(copied)
}

/// Catches up until few changes are missing. Nobody waits for it. Each time twice as many are few, so that this ends.
fn nearly(lock: &Lock, server: &Server, copied: &mut Copied) -> Result<(), String> {
    let mut most = FEW;
    loop {
        let missing = missing(&lock.read(), copied)?;
        caught_up(server, &missing, copied)?;
        if are_few(&missing, most) {
            return Ok(());
        }
        most *= 2;
    }
}

/// Whether they are at most so many, and as few bytes as so many may have.
fn are_few(missing: &[Numbered], most: usize) -> bool {
    missing.len() <= most && missing.iter().map(Numbered::bytes).sum::<usize>() <= most * BYTES_EACH
}

/// The rest: what has come while other shards were copied, then the last changes with the shard locked.
fn finished(table: &Table, group: &Named, server: &Arc<Server>, mut copied: Copied) -> Result<(), String> {
    let mut most = MOST;
    loop {
        nearly(&group.1, server, &mut copied)?;
        if put_in_step(table, group, server, &mut copied, most)? {
            return Ok(());
        }
        most *= 2;
    }
}

/// What is missing since.
fn missing(group: &Group, copied: &Copied) -> Result<Vec<Numbered>, String> {
    if group.generation() != copied.generation {
        return Err("the shard was settled anew meanwhile".to_owned());
    }
    group.missing(copied.at).ok_or_else(|| "more was changed meanwhile than is remembered".to_owned())
}

fn caught_up(server: &Server, missing: &[Numbered], copied: &mut Copied) -> Result<(), String> {
    if !catch_up(server, missing) {
        return Err("it does not take the changes behind the copy".to_owned());
    }
    copied.at += missing.len() as u64;
    Ok(())
}

/// With the shard locked: the last changes, and the server is in step. False, and nothing is done, if more than `most` are missing, or as many bytes.
pub(super) fn put_in_step(
    table: &Table,
    (shard, lock): &Named,
    server: &Arc<Server>,
    copied: &mut Copied,
    most: usize,
) -> Result<bool, String> {
    let mut group = lock.alone();
    let missing = missing(&group, copied)?;
    if !are_few(&missing, most) {
        return Ok(false);
    }
    // Who is out of step by now may have been so when it was copied.
    if !group.in_step.contains(&copied.from) {
        return Err(format!("server {}, whose copy it has, is out of step", copied.from));
    }
    caught_up(server, &missing, copied)?;
    if !table.has(server) {
        return Err("it was lost, or removed".to_owned());
    }
    let mut in_step = group.in_step.clone();
    in_step.insert(server.name.clone());
    let recorded = table.record(|state| drop(state.in_step.insert(shard.clone(), in_step.clone())));
    recorded.map_err(|told| told.says())?;
    group.in_step = in_step;
    table.events.emit(|| Event::ReplicaFilled {
        server: server.name.clone(),
        shard: shard.clone(),
        from: copied.from.clone(),
        copied: copied.copied,
        seq: copied.at,
        after_ms: u64::try_from(copied.began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(true)
}
