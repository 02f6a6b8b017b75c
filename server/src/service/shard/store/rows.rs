//! The rows of some shards at one moment, written as they are read.

use super::{
    book::Shard,
    engine::{Broken, Dialect, Session},
    table::Table,
};
use crate::service::shard::stream::write_row;
use protocol::shard::Schema;
use std::{
    io::{self, Write},
    ops::ControlFlow,
};

/// The rows of some shards at one moment.
pub struct Rows {
    pub(super) session: Box<dyn Session + Send>,
    pub(super) dialect: &'static Dialect,
    pub(super) schema: Schema,
    pub(super) shards: Vec<(String, Shard)>,
}

impl Rows {
    /// The number of this shard's last change.
    #[must_use]
    pub fn at(&self, shard: &str) -> u64 {
        self.shards.iter().find(|(name, _)| name == shard).map_or(0, |(_, shard)| shard.at.seq)
    }

    /// Writes the answer to `/copy`: everything, and the numbers.
    ///
    /// # Errors
    /// If the engine or the receiver fails.
    pub fn write_all(mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"{")?;
        for (name, shard) in self.shards.clone() {
            write!(out, "{}:", serde_json::json!(name))?;
            self.write(shard, (i64::MIN, i64::MAX), out)?;
            out.write_all(b",")?;
        }
        let seq: serde_json::Map<_, _> =
            self.shards.iter().map(|(name, shard)| (name.clone(), shard.at.seq.into())).collect();
        write!(out, "\"seq\":{},\"status\":\"success\"}}", serde_json::Value::Object(seq))
    }

    /// Writes the answer to `/read`: the rows with keys from `low` to `high`.
    ///
    /// # Errors
    /// If the engine or the receiver fails.
    pub fn write_range(mut self, low: i64, high: i64, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"{\"data\":")?;
        self.shards.clone().into_iter().try_for_each(|(_, shard)| self.write(shard, (low, high), out))?;
        out.write_all(b",\"status\":\"success\"}")
    }

    fn write(&mut self, shard: Shard, range: (i64, i64), out: &mut dyn Write) -> io::Result<()> {
        let table = Table { dialect: self.dialect, schema: &self.schema, number: shard.number };
        let (mut before, mut written): (&[u8], _) = (b"[", Ok(()));
        let read = table.each(&mut *self.session, range, &mut |row| {
            written = out.write_all(before).and_then(|()| write_row(self.schema.columns(), &row, out));
            before = b",";
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        written?;
        read.map_err(|Broken(why)| io::Error::other(why))?;
        out.write_all(if before == b"[" { b"[]" } else { b"]" })
    }
}
