//! Reading a journal back: also one that is being written, was rotated, ended in the middle of a line, or comes from
//! another version.
//!
//! The part before (`journal.1.jsonl`) is read first, then the one that is being written. A line that cannot be
//! understood is passed over and counted, never a failure: who reads a journal wants what is in it. What was passed over
//! is told ([`Unread`]), because it may have been just what was looked for.

use super::{Record, journal::previous};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek},
    path::Path,
};

/// How often both parts are opened anew because the journal was just rotated. A rotation takes 16 MiB of events; two in
/// a row between two lines of code mean that something else is going on.
const TRIES: usize = 5;

/// How much of a file's beginning tells it from another one, in bytes: its first event has a time of its own.
const BEGINNING: u64 = 256;

/// What of a journal could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Events that this version does not know, or not in this form.
    pub unknown: u64,
    /// Lines that are no events; the last one, if it is being written just now, is not counted.
    pub damaged: u64,
    /// Why reading ended before the end, if it did.
    pub broken_off: Option<String>,
}

/// The events of a journal, in the order in which they were written.
#[derive(Debug)]
pub struct JournalReader {
    parts: VecDeque<BufReader<File>>,
    line: Vec<u8>,
    unread: Unread,
}

impl JournalReader {
    /// Opens a journal and the part before, if it is still there.
    ///
    /// # Errors
    /// If it cannot be opened, or is no file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut parts = both_parts(path)?;
        for _ in 1..TRIES {
            let before = parts.0.as_mut().map(beginning).transpose()?;
            let again = open_if_there(&previous(path))?.as_mut().map(beginning).transpose()?;
            if before == again {
                break;
            }
            parts = both_parts(path)?;
        }
        let parts = parts.0.into_iter().chain([parts.1]).map(BufReader::new).collect();
        Ok(Self { parts, line: Vec::new(), unread: Unread::default() })
    }

    /// What could not be read so far.
    #[must_use]
    pub fn unread(&self) -> &Unread {
        &self.unread
    }

    /// The next line, without its end, and whether it had one. `None` at the end of the last part.
    fn next_line(&mut self) -> io::Result<Option<bool>> {
        loop {
            let Some(part) = self.parts.front_mut() else { return Ok(None) };
            self.line.clear();
            if part.read_until(b'\n', &mut self.line)? > 0 {
                let whole = self.line.pop_if(|last| *last == b'\n').is_some();
                return Ok(Some(whole));
            }
            self.parts.pop_front();
        }
    }

    fn understand(&mut self, whole: bool) -> Option<Record> {
        match serde_json::from_slice(&self.line) {
            Ok(record) => return Some(record),
            Err(_) if serde_json::from_slice::<AnyRecord>(&self.line).is_ok() => self.unread.unknown += 1,
            Err(_) if whole || self.parts.len() > 1 => self.unread.damaged += 1,
            Err(_) => {}
        }
        None
    }
}

/// What every version's records have.
#[derive(Deserialize)]
struct AnyRecord {
    #[serde(rename = "at_us")]
    _at_us: u64,
    #[serde(rename = "event")]
    _event: String,
}

impl Iterator for JournalReader {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            match self.next_line() {
                Ok(Some(whole)) => {
                    if let Some(record) = self.understand(whole) {
                        return Some(record);
                    }
                }
                Ok(None) => return None,
                Err(error) => {
                    self.parts.clear();
                    self.unread.broken_off = Some(error.to_string());
                    return None;
                }
            }
        }
    }
}

/// The part before, and the one that is being written. Between the two calls the journal may be rotated.
fn both_parts(path: &Path) -> io::Result<(Option<File>, File)> {
    let before = open_if_there(&previous(path))?;
    let now = open_if_there(path)?;
    // In the middle of a rotation there is only the part before for a moment.
    match (before, now) {
        (before, Some(now)) => Ok((before, now)),
        (Some(before), None) => Ok((None, before)),
        (None, None) => Err(io::ErrorKind::NotFound.into()),
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The beginning of a file, which is left where it was.
fn beginning(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.by_ref().take(BEGINNING).read_to_end(&mut bytes)?;
    file.rewind()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Events, journal::Journal};
    use protocol::id::RequestId;
    use std::{fs, path::PathBuf};

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        (folder, path)
    }

    fn waits(ahead: usize) -> Event {
        Event::RequestWaits { request: RequestId::NONE, ahead }
    }

    fn aheads(reader: &mut JournalReader) -> Vec<usize> {
        let ahead =
            |record: Record| if let Event::RequestWaits { ahead, .. } = record.event { Some(ahead) } else { None };
        reader.filter_map(ahead).collect()
    }

    #[test]
    fn what_was_written_is_read_over_both_parts() {
        let (_folder, path) = folder();
        let (events, receivers) = Events::with_listeners(1);
        (0..100).for_each(|ahead| events.emit(|| waits(ahead)));
        drop(events);
        Journal::create(&path, 6_000).unwrap().write_all(&receivers[0]);
        let mut reader = JournalReader::open(&path).unwrap();
        let seen = aheads(&mut reader);
        assert_eq!((seen.last(), reader.unread()), (Some(&99), &Unread::default()));
        assert!(seen.windows(2).all(|two| two[0] + 1 == two[1]), "{seen:?}");
        let last = fs::read_to_string(&path).unwrap().lines().count();
        assert!(seen.len() > last, "the part before is read, too");
    }

    #[test]
    fn a_torn_line_is_passed_over_and_counted_unless_it_is_still_being_written() {
        let (_folder, path) = folder();
        let line = |ahead| serde_json::to_string(&Record { at_us: 1, event: waits(ahead) }).unwrap();
        for cut in 1..line(2).len() {
            fs::write(previous(&path), format!("{}\n{}", line(1), &line(2)[..cut])).unwrap();
            fs::write(&path, format!("{}\n\u{0}\n{}\n{}", line(3), line(4), &line(5)[..cut])).unwrap();
            let mut reader = JournalReader::open(&path).unwrap();
            assert_eq!(aheads(&mut reader), [1, 3, 4], "cut at {cut}");
            assert_eq!(reader.unread(), &Unread { damaged: 2, ..Unread::default() });
        }
    }

    #[test]
    fn events_and_keys_of_a_later_version_are_passed_over() {
        let (_folder, path) = folder();
        let known = r#"{"at_us":1,"event":"request-waits","mood":"good","request":"0000000000000000-0000000000000000","ahead":7}"#;
        fs::write(&path, format!("{{\"at_us\":1,\"event\":\"moon-rises\"}}\n{known}\n{{\"at_us\":1}}\n")).unwrap();
        let mut reader = JournalReader::open(&path).unwrap();
        assert_eq!(aheads(&mut reader), [7]);
        assert_eq!((reader.unread().unknown, reader.unread().damaged), (1, 1));
    }

    #[test]
    fn a_journal_that_is_none_is_an_error() {
        let (folder, path) = folder();
        assert_eq!(JournalReader::open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(JournalReader::open(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
