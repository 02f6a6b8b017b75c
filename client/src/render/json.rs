//! One JSON object a line for each request, for scripts.
//!
//! ```text
//! {"request":"SELECT …","id":"…","columns":[…],"rows":[[…],…],"server":"2","seconds":0.1}
//! {"request":"INSERT …","id":"…","changed":1,"server":"2","seconds":0.1}
//! {"request":"file a b","id":"…","file":"a b","path":"received/a b","size":3,"sha256":"…","server":"2","seconds":0.1}
//! {"request":"SELEC","id":"…","error":{"code":"sql-error","message":"…","definite":true,"attempts":1},"seconds":0.1}
//! ```
//!
//! Rows are written as they come, so an answer that breaks off in the middle has rows *and* an error: whoever reads
//! it looks for `error` first. Values are those of the protocol: `{"hex":"00ff"}` for bytes, `{"real":"inf"}` for a
//! number that JSON does not have.

use super::{Render, Told};
use crate::received::Arrived;
use protocol::{id::RequestId, message::Failure, value::Value};
use serde::Serialize;
use std::io::{self, Write};

/// Writes one object.
#[derive(Debug)]
pub(super) struct Json {
    request: String,
    id: Option<RequestId>,
    begun: bool,
    /// Within the array of rows: how many it has.
    rows: Option<u64>,
}

impl Json {
    pub(super) fn new(request: &str, id: Option<RequestId>) -> Self {
        Self { request: request.to_owned(), id, begun: false, rows: None }
    }

    /// What every object begins with, or the end of the rows before what follows them.
    fn go_on(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            out.write_all(b"{\"request\":")?;
            json(out, &self.request)?;
            if let Some(id) = self.id {
                member(out, "id", &id)?;
            }
        }
        if self.rows.take().is_some() {
            out.write_all(b"]")?;
        }
        Ok(())
    }

    fn close(out: &mut dyn Write, told: Told<'_>) -> io::Result<()> {
        // Microseconds are as fine as it gets; more digits would only look like more.
        member(out, "seconds", &((told.seconds * 1e6).round() / 1e6))?;
        out.write_all(b"}\n")
    }
}

impl Render for Json {
    fn columns(&mut self, out: &mut dyn Write, titles: Vec<String>) -> io::Result<()> {
        self.go_on(out)?;
        member(out, "columns", &titles)?;
        self.rows = Some(0);
        out.write_all(b",\"rows\":[")
    }

    fn row(&mut self, out: &mut dyn Write, row: Vec<Value>) -> io::Result<()> {
        let rows = self.rows.get_or_insert(0);
        if *rows > 0 {
            out.write_all(b",")?;
        }
        *rows += 1;
        json(out, &row)
    }

    fn changed(&mut self, out: &mut dyn Write, rows: u64) -> io::Result<()> {
        self.go_on(out)?;
        member(out, "changed", &rows)
    }

    fn file(&mut self, out: &mut dyn Write, arrived: &Arrived) -> io::Result<()> {
        self.go_on(out)?;
        member(out, "file", &arrived.name)?;
        member(out, "path", &arrived.path.to_string_lossy())?;
        member(out, "size", &arrived.size)?;
        member(out, "sha256", &arrived.sha256)
    }

    fn end(&mut self, out: &mut dyn Write, told: Told<'_>) -> io::Result<()> {
        self.go_on(out)?;
        if !told.server.is_empty() {
            member(out, "server", &told.server)?;
        }
        Self::close(out, told)
    }

    fn failed(&mut self, out: &mut dyn Write, failure: &Failure, told: Told<'_>) -> io::Result<()> {
        self.go_on(out)?;
        member(out, "error", failure)?;
        Self::close(out, told)
    }
}

fn member<T: Serialize + ?Sized>(out: &mut dyn Write, key: &str, value: &T) -> io::Result<()> {
    write!(out, ",\"{key}\":")?;
    json(out, value)
}

fn json<T: Serialize + ?Sized>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(out, value).map_err(io::Error::from)
}
