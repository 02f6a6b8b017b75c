//! The clients: what each asks, and what it has seen.

use super::{
    Scene,
    ground::Ground,
    history::{Call, Deed, Row},
};
use anyhow::{Context, ensure};
use fastrand::Rng;
use protocol::{
    deadline::Deadline,
    http::{
        Method, Status,
        client::{Ask, Client, Reply},
    },
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, thread, time::Duration};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it waits before it asks again, when nobody can answer.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
/// Rows that are asked for most.
const HOT: i64 = 48;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of each row.
    pub(super) histories: BTreeMap<i64, Vec<Call>>,
    /// Changes that were answered.
    pub(super) changes: u64,
    /// Reads that were.
    pub(super) reads: u64,
    /// Calls that surely were not carried out.
    pub(super) refused: u64,
    /// Changes that may have been.
    pub(super) unknown: u64,
}

impl Seen {
    /// What another client has seen, too.
    pub(super) fn add(&mut self, other: Self) {
        for (id, calls) in other.histories {
            self.histories.entry(id).or_default().extend(calls);
        }
        self.changes += other.changes;
        self.reads += other.reads;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }

    fn note(&mut self, id: i64, call: Call) {
        self.histories.entry(id).or_default().push(call);
    }
}

/// What a call has come to.
pub(super) enum Outcome {
    /// This was answered.
    Done(Reply),
    /// It was not carried out, and will not be.
    Not,
    /// Nobody knows.
    Unknown,
}

/// One client's work: until enough of its changes were answered, and all harm was done.
pub(super) fn work(number: usize, scene: &Scene, ground: &Ground, mut dice: Rng) -> Seen {
    let (mut seen, mut line, mut turn) = (Seen::default(), None, 0);
    let mut is_ready = false;
    while !ground.is_over() {
        turn += 1;
        if !is_ready && seen.changes >= scene.changes {
            is_ready = true;
            ground.say_ready();
        }
        let all = ground.keys() / scene.step();
        // Half of the calls are about a few rows that everybody wants. They are in all shards of the beginning.
        let (rows, apart) = if dice.bool() { (scene.rows.min(HOT), (scene.rows / HOT).max(1)) } else { (all, 1) };
        let id = dice.i64(0..rows) * apart * scene.step();
        // A value of nobody else's.
        let value = (number as i64) << 32 | turn;
        one(ground, &mut line, &mut seen, (id, value, dice.u8(..8)));
    }
    seen
}

/// One call, about this row, with this value.
fn one(ground: &Ground, line: &mut Option<Client>, seen: &mut Seen, (id, value, what): (i64, i64, u8)) {
    let row = json!({ "Stud_id": id, "Stud_name": "N", "Stud_marks": value });
    let (method, path, body, deed) = match what {
        0 | 1 => (Method::Post, "/read", json!({ "Stud_id": { "low": id, "high": id } }), None),
        2 => (Method::Delete, "/del", json!({ "Stud_id": id }), Some(Deed::Remove)),
        3 | 4 => (Method::Put, "/update", json!({ "Stud_id": id, "data": row }), Some(Deed::Set(value))),
        _ => (Method::Post, "/write", json!({ "data": [row] }), Some(Deed::Add(value))),
    };
    let asked = ground.now();
    match exchange(ground.at, line, method, path, &body) {
        Outcome::Done(reply) => match deed_of(&reply, deed) {
            Some(found) => {
                *(if deed.is_some() { &mut seen.changes } else { &mut seen.reads }) += 1;
                seen.note(id, Call { asked, answered: Some(ground.now()), deed: found });
            }
            None => {
                seen.refused += 1;
                thread::park_timeout(PAUSE);
            }
        },
        Outcome::Unknown if deed.is_some() => {
            seen.unknown += 1;
            seen.histories.entry(id).or_default().extend(deed.map(|deed| Call { asked, answered: None, deed }));
            thread::park_timeout(PAUSE);
        }
        Outcome::Not | Outcome::Unknown => {
            seen.refused += 1;
            thread::park_timeout(PAUSE);
        }
    }
}

/// What an answer says of what was asked; none if it was not carried out.
fn deed_of(reply: &Reply, wanted: Option<Deed>) -> Option<Deed> {
    match (wanted, reply.status) {
        (None, Status::OK) => Some(Deed::Read(rows_in(reply)?.first().map(|(_, marks)| *marks))),
        (Some(deed), Status::OK) => Some(deed),
        (Some(Deed::Add(_)), Status::CONFLICT) => Some(Deed::Taken),
        (Some(Deed::Set(_) | Deed::Remove), Status::NOT_FOUND) => Some(Deed::Missing),
        _ => None,
    }
}

/// Keys and values of an answer to `/read`.
pub(super) fn rows_in(reply: &Reply) -> Option<Vec<(i64, i64)>> {
    let told: Value = reply.json().ok()?;
    let row = |row: &Value| Some((row["Stud_id"].as_i64()?, row["Stud_marks"].as_i64()?));
    told["data"].as_array()?.iter().map(row).collect()
}

/// Asks on a connection that is kept as long as it can be.
pub(super) fn exchange(at: SocketAddr, line: &mut Option<Client>, method: Method, path: &str, body: &Value) -> Outcome {
    let client = line.take().filter(Client::is_kept).map_or_else(|| Client::connect(at, PATIENCE), Ok);
    let Ok(mut client) = client else { return Outcome::Not };
    let Ok(ask) = Ask::new(method, path).json(body) else { return Outcome::Not };
    match client.ask(&ask, PATIENCE) {
        Ok(reply) if reply.status == Status::GATEWAY_TIMEOUT => Outcome::Unknown,
        Ok(reply) => {
            *line = Some(client);
            Outcome::Done(reply)
        }
        Err(_) => Outcome::Unknown,
    }
}

/// At the end, everything is read once, as the last call of each history. Returns the rows.
pub(super) fn look_at_everything(
    ground: &Ground,
    scene: &Scene,
    seen: &mut Seen,
) -> anyhow::Result<BTreeMap<i64, i64>> {
    let (asked, there, answered) = (ground.now(), all_rows(ground)?, Some(ground.now()));
    for id in (0..ground.keys()).step_by(usize::try_from(scene.step())?) {
        let found: Row = there.get(&id).copied();
        seen.note(id, Call { asked, answered, deed: Deed::Read(found) });
    }
    // The others are those of the pairs.
    let stray = there.keys().find(|id| **id % scene.step() == 0 && !seen.histories.contains_key(id));
    ensure!(stray.is_none(), "There is a row of nobody: {stray:?}");
    Ok(there)
}

/// All keys and values of the table, in one read.
pub(super) fn all_rows(ground: &Ground) -> anyhow::Result<BTreeMap<i64, i64>> {
    let range = json!({ "Stud_id": { "low": 0, "high": ground.keys() - 1 } });
    let deadline = Deadline::after(PATIENCE);
    let rows = loop {
        let outcome = exchange(ground.at, &mut None, Method::Post, "/read", &range);
        match outcome {
            Outcome::Done(reply) if reply.status == Status::OK => {
                break rows_in(&reply).with_context(|| format!("These are no rows: {}", reply.text()))?;
            }
            Outcome::Done(reply) => ensure!(!deadline.has_passed(), "The table cannot be read: {}", reply.text()),
            Outcome::Not | Outcome::Unknown => ensure!(!deadline.has_passed(), "The table cannot be read"),
        }
        thread::park_timeout(PAUSE);
    };
    let there: BTreeMap<i64, i64> = rows.iter().copied().collect();
    ensure!(there.len() == rows.len(), "A row is there twice");
    Ok(there)
}
