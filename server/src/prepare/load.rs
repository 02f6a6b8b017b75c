//! `server load-csv`: a real data set, in a table of its own.
//!
//! All of it or nothing: the whole file is read and checked before the table is made, and a table that cannot be filled to its end
//! is dropped again. Between the two others may see a part of it: the rows come in transactions of some hundred.

use super::{AdminFlags, config, csv::Lines};
use crate::sql::{self, Database, Outcome, define, plainly};
use clap::Parser;
use protocol::{
    database::DatabaseConfig,
    flags::{DatabaseFlag, QuietFlag},
    output::say,
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// Loads a CSV file (UTF-8, comma, quotes as in RFC 4180, titles in the first line) into a new table, whose columns are all
/// text; all of it or nothing
#[derive(Parser, Debug)]
#[command(name = "load-csv")]
pub(crate) struct LoadCsv {
    /// The file
    file: PathBuf,
    /// The name of the new table
    #[arg(long, value_name = "NAME")]
    table: String,
    #[command(flatten)]
    database: DatabaseFlag,
    /// For MySQL and MariaDB, where a table is made by an administrator
    #[command(flatten)]
    admin: AdminFlags,
    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}

/// Most bytes of one INSERT: a quarter of the longest statement.
const BATCH: usize = 256 * 1024;

impl LoadCsv {
    /// Makes the table and adds the rows.
    pub(super) fn run(&self) -> Result<(), String> {
        let (shown, asked) = (self.file.display(), &self.table);
        let text = read(&self.file)?;
        let titles = check(&text).map_err(|why| format!("{shown}: {why} Nothing was loaded."))?;
        let config = config(&self.database)?;
        let db = sql::open(&config).map_err(|error| error.to_string())?;
        let table = name(&config, asked);
        let columns: Vec<String> = titles.iter().map(|title| format!("{} TEXT", name(&config, title))).collect();
        let define = |sql: String| define(&config, &*db, &self.admin.account(), &sql);
        let made = define(format!("CREATE TABLE {table} ({})", columns.join(", ")));
        made.map_err(|why| format!("The table {asked} cannot be made: {why} Nothing was loaded."))?;
        let Err(why) = fill(&*db, &table, &text).map(|rows| say!("{rows} rows are in the table {asked}.")) else {
            return Ok(());
        };
        Err(match define(format!("DROP TABLE {table}")) {
            Ok(_) => format!("{shown}: {why} The table was dropped again; nothing is loaded."),
            Err(still) => {
                format!("{shown}: {why} The table {asked} is there with a part of the rows; drop it by hand ({still})")
            }
        })
    }
}

fn read(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let bytes = std::fs::read(file).map_err(|error| format!("{shown} cannot be read: {error}."))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{shown}: Line {line} is not UTF-8. Save the file as UTF-8. Nothing was loaded.")
    })
}

/// Reads all of it once. Returns the titles.
fn check(text: &str) -> Result<Vec<String>, String> {
    if let Some(before) = text.find('\0') {
        let line = text[..before].matches('\n').count() + 1;
        return Err(format!("Line {line} has a NUL in it, and no engine keeps that in a text."));
    }
    let mut lines = Lines::of(text);
    let titles = lines.next().ok_or("There is no line of titles.")??;
    let mut known = HashSet::new();
    for (number, title) in titles.iter().enumerate() {
        if title.trim().is_empty() {
            return Err(format!("Title {} is empty.", number + 1));
        }
        if !known.insert(title.to_lowercase()) {
            return Err(format!("The title {title} is there twice."));
        }
    }
    for (number, line) in lines.enumerate() {
        let fields = line?.len();
        if fields != titles.len() {
            let (row, titles) = (number + 1, titles.len());
            return Err(format!("Row {row} has {fields} fields, and there are {titles} titles."));
        }
    }
    Ok(titles)
}

/// Adds all rows of a text that was checked.
fn fill(db: &dyn Database, table: &str, text: &str) -> Result<u64, String> {
    let (mut added, mut batch) = (0, String::new());
    let insert = |batch: &mut String| run(db, &format!("INSERT INTO {table} VALUES {}", std::mem::take(batch)));
    for line in Lines::of(text).skip(1) {
        let literals: Vec<String> = line?.iter().map(|value| literal(value)).collect();
        batch += if batch.is_empty() { "" } else { "," };
        batch += &format!("({})", literals.join(","));
        if batch.len() > BATCH {
            added += insert(&mut batch)?;
        }
    }
    Ok(if batch.is_empty() { added } else { added + insert(&mut batch)? })
}

/// A name, in quotes. PostgreSQL takes a name without quotes for one in small letters: so that a statement finds what it calls
/// `Results`, a plain name is made one there.
fn name(config: &DatabaseConfig, name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let folded = matches!(config, DatabaseConfig::Postgres(_)) && plain;
    let name = if folded { name.to_ascii_lowercase() } else { name.to_owned() };
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it is written in SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn run(db: &dyn Database, sql: &str) -> Result<u64, String> {
    match plainly(db, sql) {
        Ok(Outcome::Changed { rows }) => Ok(rows),
        Ok(_) => Ok(0),
        Err(error) => Err(error.failure().message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_checked_whole_before_anything_is_made() {
        for (text, expected) in [
            ("", "There is no line of titles."),
            ("a,b\n1,2\n3\n", "Row 2 has 1 fields, and there are 2 titles."),
            ("a,b\n1,2\n3,\"4\n", "Line 3 has a quotation mark that is not closed."),
            ("a,b\n1,2,3\n", "Row 1 has 3 fields"),
            ("a,A\n", "The title A is there twice."),
            ("a,,c\n", "Title 2 is empty."),
            ("a\n1\n\0\n", "Line 3 has a NUL in it"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
        assert_eq!(check("a,b\n").unwrap(), ["a", "b"]);
    }
}
