//! The drill's clients at a table that makes mistakes on purpose: each kind must be found. One that makes none must pass.

use super::{
    Scene, Watched, clients, ground::Ground, harm::Blows, let_work, pairs::PAIRS, recovery::Recovery, verdict,
};
use crate::drill::fronts::Report;
use protocol::{
    http::{BodyReader, HttpError, HttpService, Request, Respond, Response, Status},
    listener::{Crew, CrewOptions},
    stop::Stop,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What a table does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// Nothing.
    None,
    /// Some changes are answered and not done.
    Lost,
    /// Some reads show a row as it was before its last change.
    Stale,
    /// Some updates are done once more, later.
    Doubled,
    /// A removed row comes back.
    Revived,
    /// A look at two shards shows each at another moment.
    TwoMoments,
    /// Of some writes to two shards one half is there, and they are answered as done.
    Half,
}

/// One of so many calls goes wrong.
const ONE_OF: u64 = 7;
/// After so many others a change comes again.
const LATER: u64 = 150;

#[derive(Default)]
struct Rows {
    calls: u64,
    now: BTreeMap<i64, i64>,
    /// What each row was before its last change.
    before: BTreeMap<i64, Option<i64>>,
    /// Changes that come again: when, and to what.
    again: Vec<(u64, i64, i64)>,
}

impl Rows {
    fn set(&mut self, id: i64, value: Option<i64>) {
        let before = match value {
            Some(value) => self.now.insert(id, value),
            None => self.now.remove(&id),
        };
        self.before.insert(id, before);
    }
}

/// A table of one process.
struct Planted {
    mistake: Mistake,
    rows: Mutex<Rows>,
}

impl Respond for Planted {
    fn respond(&self, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, HttpError> {
        let asked: Value = serde_json::from_slice(&body.whole(1 << 20)?).map_err(HttpError::Json)?;
        let (status, told) = match request.target.path() {
            "/read" => (Status::OK, self.read(asked["Stud_id"]["low"].as_i64(), asked["Stud_id"]["high"].as_i64())),
            path => (self.change(path, &asked), json!({})),
        };
        Ok(Response::json(status, &told))
    }
}

impl Planted {
    fn read(&self, low: Option<i64>, high: Option<i64>) -> Value {
        let (low, high) = (low.unwrap(), high.unwrap());
        let mut rows = self.rows.lock().unwrap();
        rows.calls += 1;
        let mut seen: BTreeMap<i64, i64> = rows.now.range(low..=high).map(|(id, value)| (*id, *value)).collect();
        let is_stale = self.mistake == Mistake::Stale && low == high && rows.calls.is_multiple_of(ONE_OF);
        if let Some(before) = rows.before.get(&low).filter(|_| is_stale) {
            seen.remove(&low);
            seen.extend(before.map(|value| (low, value)));
        }
        if self.mistake == Mistake::TwoMoments && low < high {
            drop(rows);
            // Some changes go by.
            thread::park_timeout(Duration::from_millis(5));
            seen.remove(&high);
            seen.extend(self.rows.lock().unwrap().now.get(&high).map(|value| (high, *value)));
        }
        let row = |(id, value): (&i64, &i64)| json!({ "Stud_id": id, "Stud_marks": value });
        json!({ "data": seen.iter().map(row).collect::<Vec<_>>() })
    }

    fn change(&self, path: &str, asked: &Value) -> Status {
        let mut rows = self.rows.lock().unwrap();
        rows.calls += 1;
        let (calls, wrong) = (rows.calls, rows.calls.is_multiple_of(ONE_OF));
        let (again, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut rows.again).into_iter().partition(|(at, ..)| *at <= calls);
        rows.again = later;
        for (_, id, value) in again {
            let is_there = rows.now.contains_key(&id);
            if is_there || self.mistake == Mistake::Revived {
                rows.set(id, Some(value));
            }
        }
        let is_lost = wrong && self.mistake == Mistake::Lost;
        if path == "/write" {
            let data: Vec<(i64, i64)> = asked["data"].as_array().unwrap().iter().map(row).collect();
            if data.iter().any(|(id, _)| rows.now.contains_key(id)) {
                return Status::CONFLICT;
            }
            let is_half = self.mistake == Mistake::Half && data.len() > 1;
            let count = if is_lost {
                0
            } else if is_half {
                1
            } else {
                data.len()
            };
            data[..count].iter().for_each(|(id, value)| rows.set(*id, Some(*value)));
            return Status::OK;
        }
        let id = asked["Stud_id"].as_i64().unwrap();
        let Some(old) = rows.now.get(&id).copied() else { return Status::NOT_FOUND };
        let value = asked["data"]["Stud_marks"].as_i64();
        if !is_lost {
            rows.set(id, value);
        }
        match (self.mistake, value) {
            (Mistake::Doubled, Some(value)) if wrong => rows.again.push((calls + LATER, id, value)),
            (Mistake::Revived, None) if wrong => rows.again.push((calls + LATER, id, old)),
            _ => {}
        }
        Status::OK
    }
}

fn row(row: &Value) -> (i64, i64) {
    (row["Stud_id"].as_i64().unwrap(), row["Stud_marks"].as_i64().unwrap())
}

/// What the drill says is wrong with such a table.
fn found(mistake: Mistake) -> Vec<String> {
    let (seed, clients) = (fastrand::u64(..), 8);
    let planted = HttpService::new(Planted { mistake, rows: Mutex::default() });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let crew = Crew::start(listener, CrewOptions { name: "planted", max_connections: 64 }, Arc::new(planted)).unwrap();
    let recovery = Recovery { rows: 0, kills: 0, within: None };
    let scene =
        Scene { clients, changes: 150, rows: 16, restarts: 0, grows: 0, shrinks: 0, recovery, ..Scene::default() };
    let ground = Ground::new(crew.address(), Duration::from_secs(60), Stop::new());
    assert!(PAIRS.iter().all(|pair| pair.begin(&ground)));
    let (mut seen, watched): (_, Vec<Watched>) = thread::scope(|scope| {
        scope.spawn(|| {
            while ground.ready() < clients && !ground.is_late() {
                thread::park_timeout(clients::PAUSE);
            }
            ground.end();
        });
        let_work(scope, seed, &scene, &ground).unwrap()
    });
    clients::look_at_everything(&ground, &scene, &mut seen).unwrap();
    let mut report = Report::new("planted", seed);
    verdict::judge(&mut report, &scene, &seen, &Blows { kills: 1, ..Blows::default() });
    verdict::judge_pairs(&mut report, &watched);
    let bad = report.checks.iter().filter(|check| !check.good);
    bad.map(|check| check.what.clone()).collect()
}

const ROWS: &str = "the history of every row is linearizable";
const PAIR: &str = "a look at two shards is of one moment";

#[test]
fn a_table_that_makes_no_mistake_passes() {
    assert_eq!(found(Mistake::None), [""; 0]);
}

#[test]
fn a_lost_write_a_stale_read_a_doubled_write_and_a_row_that_comes_back_are_found() {
    for mistake in [Mistake::Lost, Mistake::Stale, Mistake::Doubled, Mistake::Revived] {
        let found = found(mistake);
        assert!(found.contains(&ROWS.to_owned()), "{mistake:?}: {found:?}");
    }
}

#[test]
fn a_look_of_two_moments_and_half_a_write_are_found() {
    for mistake in [Mistake::TwoMoments, Mistake::Half] {
        assert_eq!(found(mistake), [PAIR], "{mistake:?}");
    }
}
