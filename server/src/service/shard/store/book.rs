//! What a replica knows about its shards: the columns, the tables, the numbers.

use super::engine::{Broken, Dialect, Done, Session};
use crate::service::shard::calls::Position;
use protocol::{
    shard::{KEY, Schema, check_name},
    value::Value,
};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::atomic::{AtomicI64, Ordering},
};

/// Rows that are removed at once from a table that is to be dropped: some milliseconds.
const PIECE: u64 = 1_000;

/// A shard: its table, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// The number of its table.
    pub(super) number: i64,
    /// Where it is.
    pub(super) at: Position,
}

/// A text as a value.
pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A count as a value.
pub(super) fn count(count: u64) -> Value {
    Value::Integer(count.cast_signed())
}

/// The columns, if the replica was told.
pub(super) fn schema(session: &mut dyn Session) -> Done<Option<Schema>> {
    match session.first("SELECT columns FROM replica_schema", &[])?.as_deref() {
        Some([Value::Text(columns)]) => {
            let wrong = |error| Broken(format!("the columns of the table cannot be read ({error})"));
            serde_json::from_str(columns).map(Some).map_err(wrong)
        }
        Some(_) => Err(strange()),
        None => Ok(None),
    }
}

/// Keeps the columns.
pub(super) fn set_schema(session: &mut dyn Session, schema: &Schema) -> Done<()> {
    session.note("INSERT INTO replica_schema VALUES ($1)", &[text(&serde_json::json!(schema).to_string())])
}

/// The shard of this name.
pub(super) fn find(session: &mut dyn Session, name: &str) -> Done<Option<Shard>> {
    // Some engines take no NUL.
    if check_name("shard", name).is_err() {
        return Ok(None);
    }
    let sql = "SELECT number, seq, \"rows\" FROM replica_shards WHERE name = $1";
    session.first(sql, &[text(name)])?.map(|row| shard(&row)).transpose()
}

/// All shards, by name.
pub(super) fn shards(session: &mut dyn Session) -> Done<BTreeMap<String, Shard>> {
    let mut found = Ok(BTreeMap::new());
    session.query("SELECT number, seq, \"rows\", name FROM replica_shards", &[], &mut |row| {
        match (&mut found, shard(&row), row.get(3)) {
            (Ok(found), Ok(shard), Some(Value::Text(name))) => drop(found.insert(name.clone(), shard)),
            (_, Err(error), _) => found = Err(error),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    found
}

fn shard(row: &[Value]) -> Done<Shard> {
    let [Value::Integer(number), Value::Integer(seq), Value::Integer(rows), ..] = row else { return Err(strange()) };
    Ok(Shard { number: *number, at: Position { seq: seq.cast_unsigned(), rows: rows.cast_unsigned() } })
}

fn strange() -> Broken {
    Broken("a table of the replica has other columns than it was made with".to_owned())
}

/// Makes a shard without rows.
pub(super) fn add_shard(
    session: &mut dyn Session,
    dialect: &Dialect,
    last: &AtomicI64,
    name: &str,
    schema: &Schema,
) -> Done<()> {
    let number = next_number(session, last)?;
    session.note(&dialect.create(number, schema), &[])?;
    session.note("INSERT INTO replica_shards VALUES ($1, $2, 0, 0)", &[Value::Integer(number), text(name)])
}

/// Says where a shard is now.
pub(super) fn advance(session: &mut dyn Session, shard: &Shard, seq: u64, rows: u64) -> Done<()> {
    let sql = "UPDATE replica_shards SET seq = $1, \"rows\" = $2 WHERE number = $3";
    session.note(sql, &[count(seq), count(rows), Value::Integer(shard.number)])
}

// ------------------------------------------------------------------------------------------------------ scratch tables

/// Makes a table that is no shard's: its number.
pub(super) fn add_scratch(
    session: &mut dyn Session,
    dialect: &Dialect,
    last: &AtomicI64,
    schema: &Schema,
) -> Done<i64> {
    let number = next_number(session, last)?;
    session.note("INSERT INTO replica_scratch VALUES ($1)", &[Value::Integer(number)])?;
    session.note(&dialect.create(number, schema), &[]).map(|()| number)
}

/// Gives a shard the table of this number, and leaves the one that it had.
pub(super) fn swap(session: &mut dyn Session, shard: &Shard, number: i64, at: Position) -> Done<()> {
    let (old, new) = (Value::Integer(shard.number), Value::Integer(number));
    session.note("DELETE FROM replica_answers WHERE shard = $1", std::slice::from_ref(&old))?;
    session.note("DELETE FROM replica_scratch WHERE number = $1", std::slice::from_ref(&new))?;
    session.note("INSERT INTO replica_scratch VALUES ($1)", std::slice::from_ref(&old))?;
    let sql = "UPDATE replica_shards SET number = $1, seq = $2, \"rows\" = $3 WHERE number = $4";
    session.note(sql, &[new, count(at.seq), count(at.rows), old])
}

/// The numbers of the tables that are no shard's.
pub(super) fn scratch(session: &mut dyn Session) -> Done<Vec<i64>> {
    let mut found = Vec::new();
    session.query("SELECT number FROM replica_scratch", &[], &mut |row| {
        if let [Value::Integer(number)] = row[..] {
            found.push(number);
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Whether the table of this number is no shard's.
pub(super) fn is_scratch(session: &mut dyn Session, number: i64) -> Done<bool> {
    let sql = "SELECT number FROM replica_scratch WHERE number = $1";
    Ok(session.first(sql, &[Value::Integer(number)])?.is_some())
}

/// Removes some rows of a table that is no shard's: how many.
pub(super) fn thin_scratch(session: &mut dyn Session, number: i64) -> Done<u64> {
    let some = format!("SELECT \"{KEY}\" FROM shard_{number} LIMIT {PIECE}");
    session.run(&format!("DELETE FROM shard_{number} WHERE \"{KEY}\" IN ({some})"), &[])
}

/// Drops a table that is no shard's.
pub(super) fn drop_scratch(session: &mut dyn Session, dialect: &Dialect, number: i64) -> Done<()> {
    dialect.before_drop.iter().try_for_each(|sql| session.note(sql, &[]))?;
    session.run(&format!("DROP TABLE IF EXISTS shard_{number}"), &[])?;
    session.note("DELETE FROM replica_scratch WHERE number = $1", &[Value::Integer(number)])
}

/// A number that no table has, and none had since this process has opened the store, in which `last` was given last.
fn next_number(session: &mut dyn Session, last: &AtomicI64) -> Done<i64> {
    let sql = "SELECT max(number) FROM \
               (SELECT number FROM replica_shards UNION ALL SELECT number FROM replica_scratch) AS taken";
    let there = match session.first(sql, &[])?.as_deref() {
        Some([Value::Integer(there)]) => *there,
        _ => 0,
    };
    // Nobody else is here: only one transaction writes at a time.
    let number = last.load(Ordering::SeqCst).max(there) + 1;
    last.store(number, Ordering::SeqCst);
    Ok(number)
}
