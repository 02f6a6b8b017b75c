//! How answers look: a table or blocks for people, JSON or CSV for programs.
//!
//! ```text
//! table    +-------+---------+      blocks   Name: White
//!          | Name  | HEX     |               HEX: #FFFFFF
//!          +=================+
//!          | White | #FFFFFF |               Name: Silver
//!          +-------+---------+               HEX: #C0C0C0
//!
//! json     {"request":"SELECT …","id":"5f…-01","columns":["Name","HEX"],"rows":[["White","#FFFFFF"]],"server":"2","seconds":0.1}
//! csv      Name,HEX
//!          White,#FFFFFF
//! ```
//!
//! Rows are written as they come: an answer of a million rows needs no more memory than one of a thousand. A table
//! must know its widths before its first line, so it holds back at most [`table::HELD_ROWS`] rows.
//!
//! What people look at is made harmless first: a value that holds control characters could move the cursor, rename
//! the window, or pretend to be another line. Programs get every value as it is.

mod blocks;
mod csv;
mod json;
pub mod table;

use crate::received::Arrived;
use protocol::{id::RequestId, message::Failure, output::Plain, value::Value};
use std::io::{self, Write};

/// The form in which answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table (blocks, where a table would be wider than the terminal)
    #[default]
    Table,
    /// A block of lines for each row: `Name: White`
    Blocks,
    /// One JSON object a line for each request, with columns, rows, server and seconds, or the error
    Json,
    /// CSV as in RFC 4180, with a line of titles
    Csv,
}

impl Format {
    /// Whether a program reads it, so that nothing but data may be printed among it.
    #[must_use]
    pub fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Csv)
    }
}

/// What is known of the place that answers are printed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// How many columns the terminal has, if it is one.
    pub width: Option<usize>,
    /// Whether it shows more than ASCII.
    pub utf8: bool,
}

/// What is told at the end of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The server that answered; empty when the load balancer did itself.
    pub server: &'a str,
    /// How long it took, from the sending of the request.
    pub seconds: f64,
}

/// Writes one answer. The calls come in this order: columns and rows, or changed, or file; then end or failed.
/// `failed` may come at any time.
pub trait Render {
    /// Rows under these titles begin.
    ///
    /// # Errors
    /// When nobody reads any more; so in all of these.
    fn columns(&mut self, out: &mut dyn Write, titles: Vec<String>) -> io::Result<()>;

    /// The next row.
    ///
    /// # Errors
    /// See above.
    fn row(&mut self, out: &mut dyn Write, row: Vec<Value>) -> io::Result<()>;

    /// A statement touched this many rows.
    ///
    /// # Errors
    /// See above.
    fn changed(&mut self, out: &mut dyn Write, rows: u64) -> io::Result<()>;

    /// A file arrived. People are told so in the walkthrough, so only programs get something here.
    ///
    /// # Errors
    /// See above.
    fn file(&mut self, _out: &mut dyn Write, _arrived: &Arrived) -> io::Result<()> {
        Ok(())
    }

    /// The answer is complete.
    ///
    /// # Errors
    /// See above.
    fn end(&mut self, out: &mut dyn Write, told: Told<'_>) -> io::Result<()>;

    /// The request failed, perhaps in the middle. What was begun is closed; people are told why on stderr.
    ///
    /// # Errors
    /// See above.
    fn failed(&mut self, out: &mut dyn Write, failure: &Failure, told: Told<'_>) -> io::Result<()>;
}

/// Makes the renderer of each answer.
#[derive(Clone, Debug)]
pub struct Style {
    /// The form.
    pub format: Format,
    /// Where it is printed.
    pub look: Look,
}

impl Style {
    /// The renderer of the answer to this request, which is named as it was typed.
    #[must_use]
    pub fn begin(&self, request: &str, id: Option<RequestId>) -> Box<dyn Render> {
        match self.format {
            Format::Table => Box::new(table::Table::new(self.look)),
            Format::Blocks => Box::new(blocks::Blocks::default()),
            Format::Json => Box::new(json::Json::new(request, id)),
            Format::Csv => Box::new(csv::Csv),
        }
    }
}

/// What people read where there are no rows.
fn no_output(changed: u64) -> String {
    match changed {
        0 => "No output".to_owned(),
        1 => "No output (1 row changed)".to_owned(),
        n => format!("No output ({n} rows changed)"),
    }
}

/// A value on one line, harmless.
fn one_line(text: &str) -> String {
    let text = Plain(text).to_string();
    if text.contains(['\n', '\t']) { text.replace('\n', "\\n").replace('\t', "\\t") } else { text }
}

#[cfg(test)]
mod tests;
