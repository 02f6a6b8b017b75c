//! What an engine must be able to do, so that a replica keeps its shards in it.
//!
//! The SQL of a replica is written once, in words that all engines know; what they do not share is in a [`Dialect`]. Values are
//! bound: `$1`, `$2` … stand in a statement once each and in this order, so that an engine that only counts them has the same.

use protocol::{
    shard::{KEY, Row, Schema},
    value::Value,
};
use std::ops::ControlFlow;

/// The engine could not; in its own words. The transaction is undone, unless the commit was under way.
#[derive(Debug)]
pub(super) struct Broken(pub(super) String);

/// What comes of asking an engine.
pub(super) type Done<T> = Result<T, Broken>;

/// What is done in a transaction; whether it is to be kept.
pub(super) type Act<'a> = dyn FnMut(&mut dyn Session) -> Done<bool> + 'a;

/// Where a replica keeps its shards.
pub(super) trait Engine: Send + Sync {
    /// How its SQL differs from that of others.
    fn dialect(&self) -> &'static Dialect;

    /// Does this in a transaction, alone: whoever else wants to write waits. Kept durably if the act says so, else undone.
    fn write(&self, act: &mut Act<'_>) -> Done<()>;

    /// A session that sees one moment, which begins with its first question and lasts until it is dropped.
    fn read(&self) -> Done<Box<dyn Session + Send>>;
}

/// A session of an engine, in a transaction.
pub(super) trait Session {
    /// Runs a statement with these values: how many rows it has changed.
    fn run(&mut self, sql: &str, values: &[Value]) -> Done<u64>;

    /// The same with each of these rows of values. What comes of it may be told only at the commit.
    fn run_each(&mut self, sql: &str, rows: &[&[Value]]) -> Done<()>;

    /// Asks, and hands on row by row, until there are no more or nobody wants more.
    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>) -> Done<()>;
}

impl dyn Session + '_ {
    /// The first row of an answer.
    pub(super) fn first(&mut self, sql: &str, values: &[Value]) -> Done<Option<Vec<Value>>> {
        let mut first = None;
        self.query(sql, values, &mut |row| {
            first.get_or_insert(row);
            ControlFlow::Continue(())
        })?;
        Ok(first)
    }

    /// A statement whose number of rows nobody asks for.
    pub(super) fn note(&mut self, sql: &str, values: &[Value]) -> Done<()> {
        self.run_each(sql, &[values])
    }
}

/// How an engine's SQL differs from that of others.
#[derive(Debug)]
pub(super) struct Dialect {
    /// What follows the name of the key in a CREATE TABLE.
    pub(super) key: &'static str,
    /// What follows the names of the other columns.
    pub(super) value: &'static str,
    /// Whether a column holds numbers beside text. Where it does not, it holds JSON.
    pub(super) any_value: bool,
    /// Whether dropping a table takes as long as it has rows.
    pub(super) drops_rows: bool,
    /// What is said in a transaction that drops a table, before it does.
    pub(super) before_drop: &'static [&'static str],
    /// Longest name of a column, in bytes.
    pub(super) longest_name: usize,
    /// Names that no column may have.
    pub(super) reserved: &'static [&'static str],
}

impl Dialect {
    /// A column's name in SQL. Names of a schema are checked: letters, digits, `_`, `.` and `-`; so another one cannot be `:3`.
    pub(super) fn column(&self, schema: &Schema, name: &str) -> String {
        if name.len() <= self.longest_name && !self.reserved.contains(&name) {
            return format!("\"{name}\"");
        }
        let at = schema.columns().iter().position(|column| column == name).unwrap_or_default();
        format!("\":{at}\"")
    }

    /// All columns, with commas.
    pub(super) fn columns(&self, schema: &Schema) -> String {
        let names: Vec<String> = schema.columns().iter().map(|name| self.column(schema, name)).collect();
        names.join(", ")
    }

    /// Makes a table of rows.
    pub(super) fn create(&self, number: i64, schema: &Schema) -> String {
        let column = |name: &String| {
            let kind = if name == KEY { self.key } else { self.value };
            format!("{} {kind}", self.column(schema, name))
        };
        let columns: Vec<String> = schema.columns().iter().map(column).collect();
        format!("CREATE TABLE shard_{number} ({})", columns.join(", "))
    }

    /// A value of this column, as it is stored.
    pub(super) fn stored(&self, column: &str, value: &Value) -> Value {
        if self.any_value || column == KEY {
            return value.clone();
        }
        Value::Text(serde_json::json!(value).to_string())
    }

    /// A row as it was before it was stored.
    pub(super) fn loaded(&self, schema: &Schema, row: Vec<Value>) -> Done<Row> {
        let load = |(name, value): (&String, Value)| match value {
            Value::Text(json) if !self.any_value && name != KEY => {
                serde_json::from_str(&json).map_err(|error| Broken(format!("a value is not what was stored ({error})")))
            }
            other => Ok(other),
        };
        schema.columns().iter().zip(row).map(load).collect()
    }
}
