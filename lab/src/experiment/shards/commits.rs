//! The limit: how many durable commits a second a SQLite file takes, and several at once.

use anyhow::{Context, anyhow};
use rusqlite::Connection;
use serde::Serialize;
use std::{
    path::Path,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// Durable commits a second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Commits {
    /// Of one file.
    pub one: f64,
    /// How many files were written at once.
    pub files: usize,
    /// Of all of them together.
    pub all: f64,
}

/// Writes rows of the table, one a transaction, as a server does: into one file, then into as many at once as there are servers.
///
/// # Errors
/// If SQLite cannot.
pub fn measure(folder: &Path, files: usize, time: Duration) -> anyhow::Result<Commits> {
    Ok(Commits { one: at_once(folder, 1, time)?, files, all: at_once(folder, files, time)? })
}

fn at_once(folder: &Path, files: usize, time: Duration) -> anyhow::Result<f64> {
    let begin = Barrier::new(files);
    let write = |n: usize| {
        let path = folder.join(format!("commits-{n}.sqlite"));
        let opened = open(&path);
        // Who cannot open must not leave the others waiting.
        begin.wait();
        commit(&opened?, time)
    };
    let rates = thread::scope(|scope| {
        let write = &write;
        let writers: Vec<_> = (0..files).map(|n| scope.spawn(move || write(n))).collect();
        let ended = writers.into_iter().map(|writer| writer.join().map_err(|_| anyhow!("A writer has panicked"))?);
        ended.collect::<anyhow::Result<Vec<f64>>>()
    });
    Ok(rates.context("Durable commits cannot be measured")?.iter().sum())
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS shard_1 (Stud_id INTEGER PRIMARY KEY, Stud_name NOT NULL, Stud_marks NOT NULL)",
    )?;
    Ok(db)
}

fn commit(db: &Connection, time: Duration) -> anyhow::Result<f64> {
    let (since, mut commits) = (Instant::now(), 0_u32);
    while since.elapsed() < time {
        db.prepare_cached("INSERT INTO shard_1 (Stud_name, Stud_marks) VALUES (?1, ?2)")?.execute(("a name", 27))?;
        commits += 1;
    }
    Ok(f64::from(commits) / since.elapsed().as_secs_f64())
}
