//! Changing rows: the next number, all servers that are in step, and who has missed it is known before anybody is told.

use super::{
    answers,
    asked::{Asked, Held, now_if_wanted},
    group::{Change, Group},
    map::Map,
    server::Server,
    table::{Layout, Table, nobody},
};
use crate::event::Event;
use protocol::{
    http::{Method, Status},
    shard::{
        KEY,
        told::{Told, bad, refused},
    },
};
use serde_json::{Map as Object, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// A change before it has its shard: method, path and body.
type Plain = (Method, &'static str, Value);

impl Table {
    /// Changes the row of this key.
    pub(super) fn change(
        &self,
        layout: &Layout,
        id: i64,
        (method, path, mut body): Plain,
        asked: &Asked,
    ) -> Result<(), Told> {
        let shard = layout.map.of(id).map_err(|why| bad(&why))?.id.clone();
        body["shard"] = json!(shard);
        let lock = layout.group(&shard)?;
        let since = now_if_wanted(&self.events);
        let mut held = (shard, lock.alone());
        asked.tell_locked(&self.events, std::iter::once(&held.0), true, since);
        self.order(&mut held, Change { method, path, body, call: asked.id }, asked)
    }

    /// All rows, or none: of several shards all are locked, and each is looked at before any is changed.
    pub(super) fn write(&self, layout: &Layout, rows: Vec<Object<String, Value>>, asked: &Asked) -> Result<Told, Told> {
        let count = rows.len();
        let portions = portions(&layout.map, rows)?;
        let locks = portions.iter().map(|portion| layout.group(&portion.shard)).collect::<Result<Vec<_>, _>>()?;
        let since = now_if_wanted(&self.events);
        let names = portions.iter().map(|portion| portion.shard.clone());
        let mut held: Vec<Held<'_>> = names.zip(locks.into_iter().map(|lock| lock.alone())).collect();
        asked.tell_locked(&self.events, held.iter().map(|(shard, _)| shard), true, since);
        if portions.len() > 1 {
            let mut both = portions.iter().zip(&held);
            both.try_for_each(|(portion, (_, group))| self.check_free(layout, portion, group, asked))?;
        }
        let mut begun = false;
        for (Portion { shard, rows, .. }, held) in portions.into_iter().zip(&mut held) {
            let body = json!({ "shard": shard, "data": rows });
            let change = Change { method: Method::Post, path: "/write", body, call: asked.id };
            self.order(held, change, asked).map_err(|told| if begun { partly(&shard) } else { told })?;
            begun = true;
        }
        Ok(answers::written(count))
    }

    /// Whether none of these keys is there, nor twice among them.
    fn check_free(&self, layout: &Layout, portion: &Portion, group: &Group, asked: &Asked) -> Result<(), Told> {
        let mut ids = portion.ids.clone();
        ids.sort_unstable();
        let taken = |id: i64| Err(refused(Status::CONFLICT, &format!("{KEY} {id} is there already")));
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return taken(pair[0]);
        }
        let (Some(low), Some(high)) = (ids.first(), ids.last()) else { return Ok(()) };
        let there = self.part(layout, &(portion.shard.clone(), *low, *high), group, asked)?;
        let there: Vec<Value> = serde_json::from_str(&format!("[{there}]")).map_err(|_| nobody(&portion.shard))?;
        let there = there.iter().filter_map(|row| row[KEY].as_i64()).find(|id| ids.binary_search(id).is_ok());
        there.map_or(Ok(()), taken)
    }

    /// Lets the servers of a shard carry out a change. Who has failed is out of step, durably, before anything is told; and ended,
    /// so that it is filled anew.
    pub(super) fn order(&self, (shard, group): &mut Held<'_>, change: Change, asked: &Asked) -> Result<(), Told> {
        let servers = self.alive(&group.in_step);
        let Some(seq) = group.seq.map(|seq| seq + 1).filter(|_| !servers.is_empty()) else { return Err(nobody(shard)) };
        let absent = absent(group, &servers);
        let told = Telling { table: self, asked, shard, seq };
        told.ordered(&servers, &absent);
        let outcome = group.order(change, &servers);
        let Some(answer) = outcome.told else {
            servers.iter().for_each(|server| server.kill());
            told.unknown(
                &outcome
                    .failed
                    .iter()
                    .map(|(server, why)| format!("{}: {why}", server.name))
                    .collect::<Vec<_>>()
                    .join("; "),
            );
            return Err(unknown(shard));
        };
        group.in_step.retain(|name| !absent.contains(name));
        if !(absent.is_empty() && outcome.failed.is_empty()) {
            let in_step = group.in_step.clone();
            let recorded = self.record(|state| drop(state.in_step.insert(shard.clone(), in_step)));
            outcome.failed.iter().for_each(|(server, _)| server.kill());
            if recorded.is_err() {
                // What is durable still has those in step that are not: nothing may be acknowledged before that is settled.
                group.unsettle();
                told.unknown("the state of the shards cannot be written, and some servers have missed it");
                return Err(unknown(shard));
            }
            told.out_of_step(&absent, &outcome.failed);
        }
        told.done(&group.in_step, &answer);
        if answer.status == Status::OK { Ok(()) } else { Err(answer) }
    }
}

/// Those in step that do not live: they miss the change.
fn absent(group: &Group, servers: &[Arc<Server>]) -> Vec<String> {
    let lives = |name: &String| servers.iter().any(|server| server.name == *name);
    group.in_step.iter().filter(|name| !lives(name)).cloned().collect()
}

/// Tells of one change of one shard.
struct Telling<'a> {
    table: &'a Table,
    asked: &'a Asked,
    shard: &'a str,
    seq: u64,
}

impl Telling<'_> {
    fn ordered(&self, servers: &[Arc<Server>], absent: &[String]) {
        self.table.events.step(|| Event::ChangeOrdered {
            request: self.asked.id,
            shard: self.shard.to_owned(),
            seq: self.seq,
            servers: servers.iter().map(|server| server.name.clone()).collect(),
            absent: absent.to_vec(),
        });
    }

    fn out_of_step(&self, absent: &[String], failed: &[(Arc<Server>, String)]) {
        let absent = absent.iter().map(|name| (name, "it was not there"));
        for (server, why) in absent.chain(failed.iter().map(|(server, why)| (&server.name, &**why))) {
            self.table.events.emit(|| Event::ReplicaOutOfStep {
                request: self.asked.id,
                shard: self.shard.to_owned(),
                server: server.clone(),
                seq: self.seq,
                why: why.to_owned(),
            });
        }
    }

    fn done<'n>(&self, servers: impl IntoIterator<Item = &'n String>, answer: &Told) {
        self.table.events.step(|| Event::ChangeDone {
            request: self.asked.id,
            shard: self.shard.to_owned(),
            seq: self.seq,
            servers: servers.into_iter().cloned().collect(),
            refused: (answer.status != Status::OK).then(|| answer.says()),
        });
    }

    fn unknown(&self, why: &str) {
        self.table.events.emit(|| Event::ChangeUnknown {
            request: self.asked.id,
            shard: self.shard.to_owned(),
            seq: self.seq,
            why: why.to_owned(),
        });
    }
}

/// What one call writes into one shard.
struct Portion {
    shard: String,
    ids: Vec<i64>,
    rows: Vec<Object<String, Value>>,
}

/// Rows by their shards, in the order of the shards' keys: that is the order in which all lock them.
fn portions(map: &Map, rows: Vec<Object<String, Value>>) -> Result<Vec<Portion>, Told> {
    let mut portions: BTreeMap<i64, Portion> = BTreeMap::new();
    for row in rows {
        map.schema.row(&row).map_err(|why| bad(&why))?;
        let Some(id) = row.get(KEY).and_then(Value::as_i64) else { return Err(bad("A row has no key")) };
        let shard = map.of(id).map_err(|why| bad(&why))?;
        let none = || Portion { shard: shard.id.clone(), ids: Vec::new(), rows: Vec::new() };
        let portion = portions.entry(shard.low).or_insert_with(none);
        portion.ids.push(id);
        portion.rows.push(row);
    }
    Ok(portions.into_values().collect())
}

fn unknown(shard: &str) -> Told {
    let why = format!(
        "Nobody knows whether the change of shard '{shard}' is done: its servers, or what is kept of them, failed in it"
    );
    refused(Status::GATEWAY_TIMEOUT, &why)
}

fn partly(shard: &str) -> Told {
    let why = format!("The rows of other shards were added, those of shard '{shard}' may be, or not");
    refused(Status::GATEWAY_TIMEOUT, &why)
}
