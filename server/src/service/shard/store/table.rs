//! The rows of one shard, in the table that it has at the moment.

use super::engine::{Broken, Dialect, Done, Session};
use protocol::{
    shard::{KEY, Row, Schema},
    value::Value,
};
use std::{collections::HashSet, ops::ControlFlow};

/// Keys of one question.
const KEYS: usize = 500;

/// A table of rows.
pub(super) struct Table<'a> {
    pub(super) dialect: &'a Dialect,
    pub(super) schema: &'a Schema,
    pub(super) number: i64,
}

impl Table<'_> {
    /// Adds rows, whose keys must be new.
    pub(super) fn insert(&self, session: &mut dyn Session, rows: &[Row]) -> Done<()> {
        let columns = self.schema.columns();
        let places: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
        let stored =
            |row: &Row| columns.iter().zip(row).map(|(name, value)| self.dialect.stored(name, value)).collect();
        let stored: Vec<Row> = rows.iter().map(stored).collect();
        let stored: Vec<&[Value]> = stored.iter().map(Vec::as_slice).collect();
        session.run_each(&format!("INSERT INTO shard_{} VALUES ({})", self.number, places.join(", ")), &stored)
    }

    /// Gives columns of a row new values: 1, or 0 if there is no such row.
    pub(super) fn update(&self, session: &mut dyn Session, id: i64, changes: &[(String, Value)]) -> Done<u64> {
        let set = |(at, (name, _)): (usize, &(String, Value))| {
            format!("{} = ${}", self.dialect.column(self.schema, name), at + 1)
        };
        let sets: Vec<String> = changes.iter().enumerate().map(set).collect();
        let mut values: Row = changes.iter().map(|(name, value)| self.dialect.stored(name, value)).collect();
        values.push(Value::Integer(id));
        let (number, sets, last) = (self.number, sets.join(", "), values.len());
        session.run(&format!("UPDATE shard_{number} SET {sets} WHERE \"{KEY}\" = ${last}"), &values)
    }

    /// Removes a row: 1, or 0 if there is no such row.
    pub(super) fn delete(&self, session: &mut dyn Session, id: i64) -> Done<u64> {
        session.run(&format!("DELETE FROM shard_{} WHERE \"{KEY}\" = $1", self.number), &[Value::Integer(id)])
    }

    /// The first of these keys that is there already, or twice among them.
    pub(super) fn first_taken(&self, session: &mut dyn Session, keys: &[i64]) -> Done<Option<i64>> {
        let mut there = HashSet::new();
        for keys in keys.chunks(KEYS) {
            let places: Vec<String> = (1..=keys.len()).map(|at| format!("${at}")).collect();
            let (number, places) = (self.number, places.join(", "));
            let sql = format!("SELECT \"{KEY}\" FROM shard_{number} WHERE \"{KEY}\" IN ({places})");
            let values: Row = keys.iter().copied().map(Value::Integer).collect();
            session.query(&sql, &values, &mut |row| {
                there.extend(row.iter().filter_map(key));
                ControlFlow::Continue(())
            })?;
        }
        Ok(keys.iter().copied().find(|key| !there.insert(*key)))
    }

    /// Hands on the rows with keys from `low` to `high`, in the order of the keys.
    pub(super) fn each(
        &self,
        session: &mut dyn Session,
        (low, high): (i64, i64),
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Done<()> {
        let (columns, number) = (self.dialect.columns(self.schema), self.number);
        let sql = format!("SELECT {columns} FROM shard_{number} WHERE \"{KEY}\" BETWEEN $1 AND $2 ORDER BY \"{KEY}\"");
        let mut wrong: Option<Broken> = None;
        session.query(&sql, &[Value::Integer(low), Value::Integer(high)], &mut |row| match self
            .dialect
            .loaded(self.schema, row)
        {
            Ok(row) => each(row),
            Err(error) => {
                wrong = Some(error);
                ControlFlow::Break(())
            }
        })?;
        wrong.map_or(Ok(()), Err)
    }
}

fn key(value: &Value) -> Option<i64> {
    if let Value::Integer(key) = value { Some(*key) } else { None }
}

/// The keys of these rows.
pub(super) fn keys(schema: &Schema, rows: &[Row]) -> Vec<i64> {
    let at = schema.columns().iter().position(|name| name == KEY);
    rows.iter().filter_map(|row| row.get(at?).and_then(key)).collect()
}
