//! Taking in a copy of another replica's shards.
//!
//! **The problem.** A copy takes as long as it takes to come. Whoever takes it in within one transaction holds the one writer of the
//! store for so long, and the changes of all other shards wait.
//!
//! **The idea.** The rows go into a *scratch table*, some hundred in each transaction, and between two of them others write. When the copy
//! is whole, one short transaction gives the shard the new table with its number; the old one is dropped after it, and after the answer ([`Store::tidy`]), again in small pieces where dropping takes as long as there are rows. A copy
//! that is cut off leaves the shard as it was. Scratch tables are listed (`replica_scratch`) in the transaction that makes them, so that
//! those that a killed server has left are found, and dropped, when the store is opened.
//!
//! ```text
//! sh1 at 3: shard_1     sh2 at 9: shard_2
//! fill sh1              scratch: shard_3      1,000 rows   1,000 rows   [sh2: change 10]   700 rows
//! end of the copy       sh1 at 57: shard_3    scratch: shard_1
//!                       scratch: –
//! ```
//!
//! **A change of the same shard meanwhile** is carried out and answered; then the fill is refused, and the shard keeps what it has. Of
//! two fills of a shard the one that ends first counts. Whoever numbers does neither.

use super::{
    Store,
    book::{self, Shard},
    table::{Table, keys},
};
use crate::service::shard::{
    calls::{Position, State, Told, refused},
    stream::read_copy,
};
use protocol::{
    http::Status,
    shard::{KEY, Row, Schema},
    value::Value,
};
use serde_json::Map;
use std::{collections::BTreeMap, io::Read};

/// Most rows of one transaction: some milliseconds.
const ROWS: usize = 1_000;
/// About how many bytes of rows are enough for one.
const BYTES: usize = 256 * 1024;

/// A copy that is being taken in.
pub(super) struct Filling<'a> {
    store: &'a Store,
    schema: Schema,
    /// What has come so far, by shard.
    tables: BTreeMap<String, Scratch>,
    /// Rows of one shard that are not stored yet.
    batch: Vec<Row>,
    /// Their size, in bytes.
    bytes: usize,
    /// What is told if it is not the copy's fault that it cannot be taken.
    failed: Option<Told>,
}

/// The table into which a shard is filled.
struct Scratch {
    number: i64,
    rows: u64,
    /// The last key.
    last: Option<i64>,
    /// Where the shard was when it began.
    was: Shard,
}

impl<'a> Filling<'a> {
    pub(super) fn new(store: &'a Store, schema: Schema) -> Self {
        Self { store, schema, tables: BTreeMap::new(), batch: Vec::new(), bytes: 0, failed: None }
    }

    /// Takes all of it, or nothing.
    pub(super) fn take(mut self, copy: impl Read) -> Result<State, Told> {
        let mut current = String::new();
        let read = read_copy(copy, &mut |name, object| {
            if name != current {
                self.store_batch(&current)?;
                name.clone_into(&mut current);
            }
            self.add(name, &object)
        });
        let read = read.and_then(|seq| self.store_batch(&current).map(|()| seq));
        let seq = read.map_err(|why| self.failed.take().unwrap_or_else(|| refused(Status::BAD_REQUEST, &why)))?;
        for name in seq.keys() {
            // Without a row, nobody has asked for its table yet.
            let made = self.scratch(name).map(drop);
            made.map_err(|why| self.failed.take().unwrap_or_else(|| refused(Status::BAD_REQUEST, &why)))?;
        }
        self.swap(&seq)
    }

    fn add(&mut self, name: &str, object: &Map<String, serde_json::Value>) -> Result<(), String> {
        let row = self.schema.row(object)?;
        let key = keys(&self.schema, std::slice::from_ref(&row)).first().copied();
        let scratch = self.scratch(name)?;
        if scratch.last >= key {
            return Err(format!("the rows of shard '{name}' are not in the order of {KEY}"));
        }
        (scratch.last, scratch.rows) = (key, scratch.rows + 1);
        self.bytes += row.iter().map(size).sum::<usize>();
        self.batch.push(row);
        if self.batch.len() < ROWS && self.bytes < BYTES { Ok(()) } else { self.store_batch(name) }
    }

    /// The table into which this shard is filled.
    fn scratch(&mut self, name: &str) -> Result<&mut Scratch, String> {
        if !self.tables.contains_key(name) {
            let (store, schema) = (self.store, &self.schema);
            let made = store.change(|session| {
                let Some(was) = book::find(session, name)? else { return Ok(Ok(None)) };
                let number = book::add_scratch(session, store.engine.dialect(), &store.last, schema)?;
                store.filling.lock().insert(number);
                Ok(Ok(Some(Scratch { number, rows: 0, last: None, was })))
            });
            let made = made.map_err(|told| self.fail(told))?;
            let scratch = made.ok_or_else(|| format!("Shard '{name}' is not configured here"))?;
            self.tables.insert(name.to_owned(), scratch);
        }
        self.tables.get_mut(name).ok_or_else(String::new)
    }

    fn store_batch(&mut self, name: &str) -> Result<(), String> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        let Some(scratch) = self.tables.get(name).filter(|_| !batch.is_empty()) else { return Ok(()) };
        let table = Table { dialect: self.store.engine.dialect(), schema: &self.schema, number: scratch.number };
        let stored = self.store.change(|session| table.insert(session, &batch).map(Ok));
        stored.map_err(|told| self.fail(told))
    }

    fn fail(&mut self, told: Told) -> String {
        self.failed = Some(told);
        "the store has failed".to_owned()
    }

    fn swap(&self, seq: &BTreeMap<String, u64>) -> Result<State, Told> {
        self.store.change(|session| {
            let mut state = State::default();
            for (name, seq) in seq {
                let Some(scratch) = self.tables.get(name) else { continue };
                if book::find(session, name)? != Some(scratch.was) {
                    let why = format!("Shard '{name}' was changed while it was filled, and stays as it is");
                    return Ok(Err(refused(Status::CONFLICT, &why)));
                }
                let at = Position { seq: *seq, rows: scratch.rows };
                book::swap(session, &scratch.was, scratch.number, at)?;
                state.shards.insert(name.clone(), at);
            }
            Ok(Ok(state))
        })
    }
}

impl Drop for Filling<'_> {
    /// What was swapped out, or not in, may be dropped.
    fn drop(&mut self) {
        for scratch in self.tables.values() {
            self.store.filling.lock().remove(&scratch.number);
        }
    }
}

fn size(value: &Value) -> usize {
    if let Value::Text(text) = value { text.len() } else { size_of::<i64>() }
}
