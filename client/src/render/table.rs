//! Tables, for people.
//!
//! **The problem.** A table's first line already needs the width of its widest cell, and the widest may be the last
//! of a million rows.
//!
//! **The idea.** Hold back the first rows, as many as a screen could ever show and some more; take the widths from
//! those, and go on with them. When later rows turn out to be wider, and there is room for them, the table ends and
//! a wider one begins.
//!
//! On a terminal the columns share its width: the narrow ones get what they need, the wide ones what is left, and
//! their content is wrapped. Where not even [`LEAST`] characters a column would fit, lines that break in the
//! middle of everything would be unreadable: then each row becomes a block.
//!
//! The drawing is done by comfy-table; which widths, and how much at once, is decided here.

use super::{Look, Render, Told, blocks::Blocks, no_output};
use comfy_table::{Cell, CellAlignment, ColumnConstraint, TableStyle, Width, presets};
use protocol::{message::Failure, output::Plain, value::Value};
use std::io::{self, Write};

/// Rows that are held back before the first line, and drawn at once after that.
pub const HELD_ROWS: usize = 1_000;

/// Text that is held back at most, in bytes, so that rows of long values do not add up.
pub const HELD_BYTES: usize = 1024 * 1024;

/// Longest text of a cell, in characters; the rest is replaced by a note of how much there is. The other formats
/// print all of it.
pub const LONGEST_CELL: usize = 2_000;

/// Narrowest column whose content is still readable when it is wrapped, in characters.
pub const LEAST: usize = 6;

/// What stands around the content of a column: a space on either side, and a line.
const AROUND: usize = 3;

/// Writes a table.
#[derive(Debug)]
pub struct Table {
    look: Look,
    titles: Vec<String>,
    rows: Vec<Vec<Value>>,
    held_bytes: usize,
    /// How it is drawn, once the first rows have decided it.
    drawn: Option<Drawn>,
    changed: bool,
}

#[derive(Debug)]
enum Drawn {
    /// As a table with these widths and alignments; the lower border is still missing.
    Table {
        widths: Vec<u16>,
        numbers: Vec<bool>,
        border: String,
    },
    Blocks(Blocks),
}

impl Table {
    /// A table for this terminal.
    #[must_use]
    pub fn new(look: Look) -> Self {
        Self { look, titles: Vec::new(), rows: Vec::new(), held_bytes: 0, drawn: None, changed: false }
    }

    /// Draws the rows that are held back.
    fn draw(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        self.held_bytes = 0;
        match self.drawn.take() {
            Some(Drawn::Blocks(blocks)) => self.draw_blocks(out, blocks, rows),
            Some(Drawn::Table { widths, numbers, border }) => self.draw_more(out, widths, numbers, border, &rows),
            None => {
                let numbers = number_columns(self.titles.len(), &rows);
                let natural = drawing(self.look, Some(&self.titles), &rows, &[], &numbers).column_max_content_widths();
                match share(&natural, self.look.width) {
                    Some(widths) => self.draw_from_the_top(out, widths, numbers, &rows),
                    None => {
                        let mut blocks = Blocks::default();
                        blocks.columns(out, self.titles.clone())?;
                        self.draw_blocks(out, blocks, rows)
                    }
                }
            }
        }
    }

    fn draw_blocks(&mut self, out: &mut dyn Write, mut blocks: Blocks, rows: Vec<Vec<Value>>) -> io::Result<()> {
        rows.into_iter().try_for_each(|row| blocks.row(out, row))?;
        self.drawn = Some(Drawn::Blocks(blocks));
        Ok(())
    }

    fn draw_from_the_top(
        &mut self,
        out: &mut dyn Write,
        widths: Vec<u16>,
        numbers: Vec<bool>,
        rows: &[Vec<Value>],
    ) -> io::Result<()> {
        let table = drawing(self.look, Some(&self.titles), rows, &widths, &numbers);
        let border = print_but_last(out, table.lines())?;
        self.drawn = Some(Drawn::Table { widths, numbers, border });
        Ok(())
    }

    /// Goes on with the table above, or with a wider one.
    fn draw_more(
        &mut self,
        out: &mut dyn Write,
        widths: Vec<u16>,
        numbers: Vec<bool>,
        border: String,
        rows: &[Vec<Value>],
    ) -> io::Result<()> {
        let mut natural = drawing(self.look, None, rows, &[], &numbers).column_max_content_widths();
        natural.iter_mut().zip(&widths).for_each(|(natural, width)| *natural = (*natural).max(*width));
        match share(&natural, self.look.width) {
            Some(wider) if wider != widths => {
                writeln!(out, "{border}")?;
                self.draw_from_the_top(out, wider, numbers, rows)
            }
            _ => {
                let table = drawing(self.look, None, rows, &widths, &numbers);
                // Without its upper border it continues the one above.
                let border = print_but_last(out, table.lines().skip(1))?;
                self.drawn = Some(Drawn::Table { widths, numbers, border });
                Ok(())
            }
        }
    }

    /// Draws what is left, and the lower border.
    fn close(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !self.rows.is_empty() {
            self.draw(out)?;
        }
        match &self.drawn {
            Some(Drawn::Table { border, .. }) => writeln!(out, "{border}"),
            _ => Ok(()),
        }
    }
}

impl Render for Table {
    fn columns(&mut self, _out: &mut dyn Write, titles: Vec<String>) -> io::Result<()> {
        self.titles = titles;
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, row: Vec<Value>) -> io::Result<()> {
        self.held_bytes += row.iter().map(size).sum::<usize>();
        self.rows.push(row);
        if self.rows.len() >= HELD_ROWS || self.held_bytes >= HELD_BYTES {
            self.draw(out)?;
        }
        Ok(())
    }

    fn changed(&mut self, out: &mut dyn Write, rows: u64) -> io::Result<()> {
        self.changed = true;
        writeln!(out, "{}", no_output(rows))
    }

    fn end(&mut self, out: &mut dyn Write, _told: Told<'_>) -> io::Result<()> {
        let nothing = self.rows.is_empty() && self.drawn.is_none() && !self.changed;
        if nothing && !self.titles.is_empty() {
            return writeln!(out, "{}", no_output(0));
        }
        self.close(out)
    }

    fn failed(&mut self, out: &mut dyn Write, _failure: &Failure, _told: Told<'_>) -> io::Result<()> {
        self.close(out)
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => 2 * bytes.len(),
        Value::Null | Value::Integer(_) | Value::Real(_) => 8,
    }
}

/// Prints all lines but the last, which is given back.
fn print_but_last(out: &mut dyn Write, lines: impl Iterator<Item = String>) -> io::Result<String> {
    let mut last: Option<String> = None;
    for line in lines {
        if let Some(before) = last.replace(line) {
            writeln!(out, "{before}")?;
        }
    }
    Ok(last.unwrap_or_default())
}

/// The rows as a drawing of these widths, or of their own where there are none.
fn drawing(
    look: Look,
    titles: Option<&[String]>,
    rows: &[Vec<Value>],
    widths: &[u16],
    numbers: &[bool],
) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(if look.utf8 { presets::UTF8_FULL_CONDENSED } else { ASCII });
    if let Some(titles) = titles {
        table.set_header(titles.iter().map(|title| Cell::new(cell(title))));
    }
    for row in rows {
        table.add_row(row.iter().zip(numbers).map(|(value, number)| {
            let alignment = if *number { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(cell(&value.to_string())).set_alignment(alignment)
        }));
    }
    if !widths.is_empty() {
        let fixed = |width: &u16| ColumnConstraint::Absolute(Width::Fixed(width.saturating_add(AROUND as u16 - 1)));
        table.set_constraints(widths.iter().map(fixed));
    }
    table
}

const ASCII: TableStyle = presets::ASCII_FULL_CONDENSED;

/// The text of a cell: harmless, and not longer than anybody reads.
fn cell(text: &str) -> String {
    let length = text.chars().count();
    let shown = match text.char_indices().nth(LONGEST_CELL) {
        Some((at, _)) => format!("{} … ({length} characters)", &text[..at]),
        None => text.to_owned(),
    };
    Plain(&shown).to_string().replace('\t', "    ")
}

/// Which columns hold numbers alone, and so are aligned to the right.
fn number_columns(columns: usize, rows: &[Vec<Value>]) -> Vec<bool> {
    let is_number = |value: &Value| matches!(value, Value::Integer(_) | Value::Real(_));
    let all_numbers = |column: usize| {
        let mut values =
            rows.iter().filter_map(|row| row.get(column)).filter(|value| **value != Value::Null).peekable();
        values.peek().is_some() && values.all(is_number)
    };
    (0..columns).map(all_numbers).collect()
}

/// Shares the terminal's width among columns of these natural widths: none gets more than it needs, and the wide
/// ones get equal parts of what the narrow ones leave. Nothing, if not even the least would fit.
///
/// Example: 4, 10 and 90 characters on 60 columns. 10 go to what stands around, so 50 are left: 4, 10 and 36.
fn share(natural: &[u16], width: Option<usize>) -> Option<Vec<u16>> {
    let Some(width) = width else { return Some(natural.to_vec()) };
    let mut left = width.checked_sub(AROUND * natural.len() + 1)?;
    let least: usize = natural.iter().map(|n| usize::from(*n).min(LEAST)).sum();
    if least > left {
        return None;
    }
    let mut narrow_first: Vec<usize> = (0..natural.len()).collect();
    narrow_first.sort_by_key(|column| natural[*column]);
    let mut widths = natural.to_vec();
    for (done, column) in narrow_first.into_iter().enumerate() {
        let part = left / (natural.len() - done);
        let got = usize::from(natural[column]).min(part);
        widths[column] = got as u16;
        left -= got;
    }
    Some(widths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_is_shared_fairly() {
        assert_eq!(share(&[4, 10, 90], None), Some(vec![4, 10, 90]));
        assert_eq!(share(&[4, 10, 90], Some(200)), Some(vec![4, 10, 90]));
        assert_eq!(share(&[4, 10, 90], Some(60)), Some(vec![4, 10, 36]));
        assert_eq!(share(&[90, 4, 90], Some(60)), Some(vec![23, 4, 23]));
        assert_eq!(share(&[90, 90, 90], Some(20)), None);
        assert_eq!(share(&[1; 30], Some(80)), None);
        assert_eq!(share(&[1; 20], Some(81)), Some(vec![1; 20]));
    }

    #[test]
    fn shares_never_exceed_the_terminal_nor_fall_below_the_least() {
        for width in 10..200 {
            for natural in [[1_u16, 50, 3, 7], [100, 100, 100, 100], [6, 6, 6, 200], [5, 7, 8, 9]] {
                if let Some(widths) = share(&natural, Some(width)) {
                    let total: usize = widths.iter().map(|w| usize::from(*w) + AROUND).sum::<usize>() + 1;
                    assert!(total <= width, "{natural:?} {width} {widths:?}");
                    assert!(widths.iter().zip(&natural).all(|(w, n)| usize::from(*w) >= usize::from(*n).min(LEAST)));
                }
            }
        }
    }

    #[test]
    fn a_cell_is_cut_where_nobody_reads_on() {
        let long = "ä".repeat(LONGEST_CELL + 1);
        assert!(cell(&long).ends_with("ä … (2001 characters)"));
        assert_eq!(cell(&"ä".repeat(LONGEST_CELL)).chars().count(), LONGEST_CELL);
        assert_eq!(cell("a\tb\u{1b}[2J\r"), "a    b\\u{1b}[2J\\r");
    }
}
