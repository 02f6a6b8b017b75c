//! Blocks: a line for each value, an empty line between rows. For any number of columns, and for long values.

use super::{Render, Told, no_output, one_line};
use protocol::{message::Failure, value::Value};
use std::io::{self, Write};

/// Writes blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    titles: Vec<String>,
    rows: u64,
}

impl Render for Blocks {
    fn columns(&mut self, _out: &mut dyn Write, titles: Vec<String>) -> io::Result<()> {
        self.titles = titles.iter().map(|title| one_line(title)).collect();
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, row: Vec<Value>) -> io::Result<()> {
        if self.rows > 0 {
            writeln!(out)?;
        }
        self.rows += 1;
        for (title, value) in self.titles.iter().zip(&row) {
            writeln!(out, "{title}: {}", one_line(&value.to_string()))?;
        }
        Ok(())
    }

    fn changed(&mut self, out: &mut dyn Write, rows: u64) -> io::Result<()> {
        self.rows += 1;
        writeln!(out, "{}", no_output(rows))
    }

    fn end(&mut self, out: &mut dyn Write, _told: Told<'_>) -> io::Result<()> {
        if self.rows == 0 && !self.titles.is_empty() {
            writeln!(out, "{}", no_output(0))?;
        }
        Ok(())
    }

    fn failed(&mut self, _out: &mut dyn Write, _failure: &Failure, _told: Told<'_>) -> io::Result<()> {
        Ok(())
    }
}
