//! The rows of a writing statement, which are handed on after the commit.

use crate::sql::{Returned, RowSink, SqlError};
use protocol::{limits::MAX_RECORDED, message::push_row, value::Value};

/// Keeps the rows of a writing statement, up to a limit.
#[derive(Default)]
pub(in crate::sql) struct Kept {
    columns: Vec<String>,
    lines: Vec<u8>,
}

impl RowSink for Kept {
    fn columns(&mut self, titles: &[String]) -> Result<(), SqlError> {
        self.columns = titles.to_vec();
        Ok(())
    }

    fn row(&mut self, row: &[Value]) -> Result<(), SqlError> {
        push_row(&mut self.lines, row);
        if self.lines.len() > MAX_RECORDED {
            return Err(SqlError::TooLarge(format!(
                "A statement that writes may return {MAX_RECORDED} bytes at most, and this one returns more. It was rolled back."
            )));
        }
        Ok(())
    }
}

impl Kept {
    /// As an outcome of so many rows.
    pub(in crate::sql) fn returned(self, rows: u64) -> Result<Returned, SqlError> {
        let lines = String::from_utf8(self.lines).map_err(|_| SqlError::Unreadable)?;
        Ok(Returned { columns: self.columns, rows, lines, recorded: true })
    }
}
