//! The journal of a run: every event as a line of JSON, in a file of limited size.
//!
//! The file is `journal.jsonl`; when it has grown to [`MAX_BYTES`] it becomes `journal.1.jsonl` (replacing the one
//! before) and a new one begins, so a run keeps between one and two times that much of its latest past. A journal
//! that cannot be written (a full disk) is said once and given up: the load balancer goes on.

use super::Record;
use crossbeam_channel::Receiver;
use protocol::output::warn;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of a journal in the folder of its run.
pub const FILE: &str = "journal.jsonl";

/// Size at which the journal begins anew, in bytes.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The journal's file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
    written: u64,
    max_bytes: u64,
}

impl Journal {
    /// Begins a journal at this path, in a folder that is made if it is not there. An older journal is kept as the
    /// previous part.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path, max_bytes: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        keep_as_previous(path)?;
        let file = BufWriter::new(File::create(path)?);
        Ok(Self { path: path.to_owned(), file, written: 0, max_bytes })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes events until the stream ends (thread `journal`). What is written reaches the file whenever no further
    /// event is waiting.
    pub fn write_all(mut self, events: &Receiver<Arc<Record>>) {
        while let Ok(record) = events.recv() {
            if let Err(error) = self.write_burst(&record, events) {
                warn!("The journal {} cannot be written and ends here: {error}.", self.path.display());
                return;
            }
        }
    }

    fn write_burst(&mut self, first: &Record, events: &Receiver<Arc<Record>>) -> io::Result<()> {
        self.write(first)?;
        for record in events.try_iter() {
            self.write(&record)?;
        }
        self.file.flush()
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if self.written + line.len() as u64 > self.max_bytes {
            self.file.flush()?;
            keep_as_previous(&self.path)?;
            self.file = BufWriter::new(File::create(&self.path)?);
            self.written = 0;
        }
        self.written += line.len() as u64;
        self.file.write_all(&line)
    }
}

/// The part before this one: of `journal.jsonl` it is `journal.1.jsonl`.
#[must_use]
pub fn previous(path: &Path) -> PathBuf {
    path.with_extension("1.jsonl")
}

/// Renames `journal.jsonl` to `journal.1.jsonl`.
fn keep_as_previous(path: &Path) -> io::Result<()> {
    match fs::rename(path, previous(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    #[test]
    fn a_journal_is_json_lines_of_limited_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs/latest/journal.jsonl");
        let (events, receivers) = Events::with_listeners(1);
        for count in 0..100 {
            events.emit(|| Event::EventsLost { count });
        }
        drop(events);
        Journal::create(&path, 2_000).unwrap().write_all(&receivers[0]);
        let (new, old) =
            (fs::read_to_string(&path).unwrap(), fs::read_to_string(path.with_extension("1.jsonl")).unwrap());
        assert!(new.len() <= 2_000 && old.len() <= 2_000, "{} and {}", new.len(), old.len());
        let last: serde_json::Value = serde_json::from_str(new.lines().last().unwrap()).unwrap();
        assert_eq!((&last["event"], &last["count"]), (&"events-lost".into(), &99.into()));
        assert!(old.lines().chain(new.lines()).all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }
}
