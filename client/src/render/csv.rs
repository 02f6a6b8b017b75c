//! CSV as in RFC 4180: lines end with CR LF; a field with a comma, a quote or a line break stands in quotes, and a
//! quote in it is doubled.
//!
//! CSV has one kind of value, text. So that NULL and the empty text can be told apart, NULL is nothing at all and
//! the empty text is `""`, as PostgreSQL has it. Bytes are written as `x'00ff'`.

use super::{Render, Told};
use protocol::{message::Failure, value::Value};
use std::io::{self, Write};

/// Writes CSV.
#[derive(Debug)]
pub(super) struct Csv;

impl Render for Csv {
    fn columns(&mut self, out: &mut dyn Write, titles: Vec<String>) -> io::Result<()> {
        line(out, titles.iter(), |out, title| field(out, title))
    }

    fn row(&mut self, out: &mut dyn Write, row: Vec<Value>) -> io::Result<()> {
        // A line of one NULL would be an empty line, which readers of CSV skip: it gets the quotes.
        let lonely = row.len() == 1;
        line(out, row.iter(), |out, value| match value {
            Value::Null if lonely => out.write_all(b"\"\""),
            Value::Null => Ok(()),
            Value::Text(text) => field(out, text),
            other => write!(out, "{other}"),
        })
    }

    fn changed(&mut self, _out: &mut dyn Write, _rows: u64) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _out: &mut dyn Write, _told: Told<'_>) -> io::Result<()> {
        Ok(())
    }

    fn failed(&mut self, _out: &mut dyn Write, _failure: &Failure, _told: Told<'_>) -> io::Result<()> {
        Ok(())
    }
}

fn line<T>(
    out: &mut dyn Write,
    fields: impl Iterator<Item = T>,
    write: impl Fn(&mut dyn Write, T) -> io::Result<()>,
) -> io::Result<()> {
    for (n, field) in fields.enumerate() {
        if n > 0 {
            out.write_all(b",")?;
        }
        write(out, field)?;
    }
    out.write_all(b"\r\n")
}

fn field(out: &mut dyn Write, text: &str) -> io::Result<()> {
    if text.is_empty() || text.contains([',', '"', '\r', '\n']) {
        write!(out, "\"{}\"", text.replace('"', "\"\""))
    } else {
        out.write_all(text.as_bytes())
    }
}
