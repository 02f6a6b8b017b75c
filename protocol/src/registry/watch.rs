//! Noticing that the registry changed.
//!
//! The file is looked at, four times a second, instead of asking the system to tell: inotify says nothing about
//! changes made on another machine (home folders on NFS) or on the other side of a WSL2 mount. A look costs one
//! system call as long as time, length and number of the file are what they were. But times have grains (4 ms, on
//! some file systems 2 s), so two changes of equal length within one grain look alike: a file that was changed
//! [`RECENT`]ly is read, whatever its time says.

use super::{Reading, Registry, RegistryError};
use crate::places::read_settings;
use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

/// How often a caller should ask [`Watcher::changed`]: fast enough for a person, and nearly free.
pub const POLL_EVERY: Duration = Duration::from_millis(250);

/// A change this young may hide another one of the same time; the coarsest file system counts in steps of 2 s.
const RECENT: Duration = Duration::from_secs(3);

/// Watches one registry. Waits for nothing: the caller asks every [`POLL_EVERY`].
#[derive(Debug)]
pub struct Watcher {
    registry: Registry,
    stamp: Option<Stamp>,
    /// What the last answer was about.
    told: Option<Seen>,
    /// What looks like somebody is just writing, seen once.
    doubted: Option<Seen>,
    /// Whether the last answer was a reading.
    was_good: bool,
    last_good: Reading,
}

/// What a system call tells about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    number: u64,
}

/// What was found in the place of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Content(Vec<u8>),
    Missing,
    Unreadable(io::ErrorKind),
}

impl Watcher {
    /// Watches this registry.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry, stamp: None, told: None, doubted: None, was_good: false, last_good: Reading::default() }
    }

    /// The last list that could be understood; empty before the first.
    #[must_use]
    pub fn last_good(&self) -> &Reading {
        &self.last_good
    }

    /// What is new since the last call: a list, or an error; each told once. The first call always tells.
    ///
    /// A file that is suddenly missing, empty or not understood may be one that somebody is just saving, so that is
    /// told only when the next call finds the same. After an error the list is told again, even if it is the one
    /// from before.
    pub fn changed(&mut self) -> Option<Result<Reading, RegistryError>> {
        let stamp = Stamp::of(self.registry.path());
        if stamp.is_some() && stamp == self.stamp && self.doubted.is_none() {
            return None;
        }
        let content = read_settings(self.registry.path());
        self.stamp = stamp.filter(|stamp| !stamp.is_recent());
        let seen = Seen::of(&content);
        if self.told.as_ref() == Some(&seen) {
            self.doubted = None;
            return None;
        }
        let reading = self.registry.understood(content);
        let doubtful = reading.as_ref().map_or(true, |reading| reading.note.is_some());
        if doubtful && self.told.is_some() && self.doubted.as_ref() != Some(&seen) {
            self.doubted = Some(seen);
            return None;
        }
        self.tell(seen, reading)
    }

    fn tell(&mut self, seen: Seen, reading: Result<Reading, RegistryError>) -> Option<Result<Reading, RegistryError>> {
        self.doubted = None;
        let first = self.told.replace(seen).is_none();
        let was_good = std::mem::replace(&mut self.was_good, reading.is_ok());
        let Ok(reading) = reading else { return Some(reading) };
        // Only blanks or keys we do not know have changed.
        if !first && was_good && reading == self.last_good {
            return None;
        }
        self.last_good = reading.clone();
        Some(Ok(reading))
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&found);
        #[cfg(not(unix))]
        let number = 0;
        Some(Self { modified: found.modified().ok()?, length: found.len(), number })
    }

    /// A time in the future, from another machine's clock, is recent too.
    fn is_recent(&self) -> bool {
        self.modified.elapsed().map_or(true, |age| age < RECENT)
    }
}

impl Seen {
    fn of(content: &io::Result<Vec<u8>>) -> Self {
        match content {
            Ok(bytes) => Self::Content(bytes.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}
