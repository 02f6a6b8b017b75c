//! `servers.json`: who the servers are.
//!
//! **The problem.** Servers start and end in any order, several at the same moment, and some of them by `kill -9`
//! in the middle of a write. The load balancer reads all the while, and so do people, who also edit the file.
//!
//! **The idea.**
//!
//! * *Writers take turns.* They lock a file beside it, `servers.json.lock`, for the moment of a change. Not
//!   `servers.json` itself: the next step puts another file in its place, and the lock would stay with the old one.
//!   The system frees the lock of a process that dies; whoever waits for it, waits with a deadline.
//! * *The file is replaced whole.* The new content goes into a temporary file in the same folder, then to the disk
//!   (fsync), then takes the old one's name (rename). A reader finds the old list or the new one, never a half.
//! * *Readers need no lock*, and are patient: one bad entry does not spoil the others, and a file that cannot be
//!   understood leaves the [`Watcher`] with the last list that could.
//! * *A writer changes its own entry only.* Entries of others, those it cannot understand and keys it does not know
//!   included, are written back as they were.
//!
//! ```json
//! [
//!   {"id": "1", "address": "127.0.0.1:6001", "service": "lab", "processing_time": 0.1, "capacity": 1, "control": "127.0.0.1:41234", "pid": 1234},
//!   {"id": "2", "address": "127.0.0.1:6002", "service": "lab", "processing_time": 0.4, "capacity": 1, "control": "127.0.0.1:41250", "pid": 1240}
//! ]
//! ```
//!
//! `"capacity": "unlimited"` stands for a server that takes as many requests as come.
//!
//! **When it is wrong.** An entry says where a server *was*. Whether it still is, only the handshake on its control
//! port tells. An editor that writes into the file in place can lose against a server that writes at that moment.
//! Locks of network file systems are as good as their server; a laboratory on several machines wants registration
//! over the network instead.
//!
//! **What production systems do.** Much the same for one machine (SQLite's journal, git's `index.lock`); for many
//! they keep the list in a store with consensus, such as etcd, with leases that lapse.

mod entry;
mod lock;
mod reading;
mod replace;

pub use replace::replace as replace_file;
mod watch;

pub use entry::{Entry, LAB};
pub use reading::{Reading, Rejected};
pub use watch::{POLL_EVERY, Watcher};

use crate::places::read_settings;
use serde_json::Value;
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a writer waits for its turn, unless told otherwise. A turn takes milliseconds; after this time the
/// writer gives up and says who holds the lock.
pub const LOCK_TIME: Duration = Duration::from_secs(5);

/// What cannot be understood is looked at again after this time before a writer replaces it: an editor may be in
/// the middle of saving.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// Why the registry could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file is there but cannot be read.
    #[error("{path} cannot be read: {source}. Check what it is and who may read it.")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file ends in the middle, or is not JSON at all.
    #[error(
        "{path} {why}. Every server that runs, or starts, mends that within a second or two: it saves the file as {path}.bad-1 (or \
         the next free number) and begins a new list. If none runs, write [] into it yourself."
    )]
    NotUnderstood {
        /// The file.
        path: String,
        /// What is wrong, as the end of a sentence.
        why: String,
    },
    /// Another process does not give the lock back.
    #[error("{path} is held by {holder} for more than {waited:?}. If that hangs, end it, and try again.")]
    Locked {
        /// The lock file.
        path: String,
        /// Who holds it.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The lock file cannot be made or locked.
    #[error(
        "{path} cannot be locked: {source}. Servers write their entry under this lock; \
         the folder must be writable and on a file system that knows locks."
    )]
    LockFile {
        /// The lock file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The new content could not be written; the old one is still there.
    #[error("{path} cannot be written ({step}): {source}. The old content is still there.")]
    Unwritable {
        /// The file.
        path: String,
        /// What failed.
        step: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// What a change of the registry did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Entries that are not in the file any more.
    pub removed: Vec<Entry>,
    /// Where the former content was saved, if it could not be understood.
    pub saved_aside: Option<PathBuf>,
}

/// A registry file. Cheap to clone; holds nothing open.
#[derive(Clone, Debug)]
pub struct Registry {
    path: PathBuf,
    lock_time: Duration,
}

impl Registry {
    /// The registry in this file, which need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), lock_time: LOCK_TIME }
    }

    /// Waits this long for its turn to write, instead of [`LOCK_TIME`].
    #[must_use]
    pub fn with_lock_time(self, lock_time: Duration) -> Self {
        Self { lock_time, ..self }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the list. A missing or empty file is a list of no servers, with a note.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a JSON array as a whole. Single bad entries are in
    /// [`Reading::rejected`].
    pub fn read(&self) -> Result<Reading, RegistryError> {
        self.understood(read_settings(&self.path))
    }

    /// Puts this entry into the list, in the place of any of the same id or the same address. Keys of the former
    /// entry of that id that this program does not know are kept. The entries replaced are returned.
    ///
    /// # Errors
    /// As for [`Self::update`].
    pub fn register(&self, entry: &Entry) -> Result<Change, RegistryError> {
        let (removed, saved_aside) = self.update(|entries| entry::put(entries, entry))?;
        Ok(Change { removed, saved_aside })
    }

    /// Takes the entry of this id out, if it still is of this address and process: another server may have taken
    /// over the id.
    ///
    /// # Errors
    /// As for [`Self::update`].
    pub fn unregister(&self, id: &str, address: SocketAddr, pid: Option<u32>) -> Result<Change, RegistryError> {
        self.remove(|entry| entry.id == id && entry.address == address && entry.pid == pid)
    }

    /// Takes this entry out, if it still is of the same process: same id, addresses and process number.
    ///
    /// # Errors
    /// As for [`Self::update`].
    pub fn remove_if_same(&self, entry: &Entry) -> Result<Change, RegistryError> {
        self.remove(|other| other.is_same_process(entry))
    }

    /// Changes the list under the lock, and says where the former content went if it could not be understood. The
    /// elements are as they stand in the file, so that what is not understood survives. Nothing is written when
    /// nothing changed. What `change` does must be quick: other writers wait.
    ///
    /// # Errors
    /// When the lock is not to be had in time, or the file cannot be read or written; the list is then as it was.
    pub fn update<T>(&self, change: impl FnOnce(&mut Vec<Value>) -> T) -> Result<(T, Option<PathBuf>), RegistryError> {
        let target = replace::target_of(&self.path);
        let _turn = lock::take(&target, self.lock_time)?;
        replace::remove_leftovers(&target);
        let (mut entries, saved_aside) = self.current(&target)?;
        let before = entries.clone();
        let value = change(&mut entries);
        if entries != before || saved_aside.is_some() {
            replace::replace(&target, entry::format(&entries).as_bytes())?;
        }
        Ok((value, saved_aside))
    }

    fn remove(&self, mut unwanted: impl FnMut(&Entry) -> bool) -> Result<Change, RegistryError> {
        let (removed, saved_aside) = self.update(|entries| {
            let mut removed = Vec::new();
            entries.retain(|value| match Entry::from_value(value) {
                Ok(entry) if unwanted(&entry) => {
                    removed.push(entry);
                    false
                }
                _ => true,
            });
            removed
        })?;
        Ok(Change { removed, saved_aside })
    }

    /// The elements now in the file; one that cannot be understood is saved under another name. Under the lock.
    fn current(&self, target: &Path) -> Result<(Vec<Value>, Option<PathBuf>), RegistryError> {
        let mut looked_again = false;
        loop {
            let bytes = match read_settings(target) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), None)),
                Err(source) => return Err(RegistryError::Unreadable { path: self.shown(), source }),
            };
            match reading::elements(&bytes) {
                Ok(Some(elements)) => return Ok((elements, None)),
                Ok(None) if looked_again => return Ok((Vec::new(), None)),
                Err(_) if looked_again => return Ok((Vec::new(), Some(replace::save_aside(target, &bytes)?))),
                Ok(None) | Err(_) => looked_again = true,
            }
            lock::pause(SECOND_LOOK);
        }
    }

    fn understood(&self, content: io::Result<Vec<u8>>) -> Result<Reading, RegistryError> {
        match content {
            Ok(bytes) => Reading::parse(&bytes).map_err(|why| RegistryError::NotUnderstood { path: self.shown(), why }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Reading::missing()),
            Err(source) => Err(RegistryError::Unreadable { path: self.shown(), source }),
        }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

#[cfg(test)]
mod tests;
