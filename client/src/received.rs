//! Files that arrive: all of it under its name, or nothing.
//!
//! **The problem.** A transfer can end in the middle: the network, the disk, Ctrl-C, `kill -9`. A file with the
//! right name and half of the content is worse than none, because nobody looks twice. And a new file must not
//! destroy another one that happened to have the same name.
//!
//! **The idea.** The bytes go into a temporary file in the same folder, and through SHA-256 on the way. Only when
//! size and digest are what the server said does the file get its name, by a rename that refuses to replace
//! anything. If the name is taken, the two are compared: the same content is kept once, and another one gets
//! the next number.
//!
//! ```text
//! received/.incoming-Xk3f9A      while it arrives, locked by its writer
//! received/colors.csv            the first of that name
//! received/colors.2.csv          another content of that name
//! ```
//!
//! **Simplified.** Nothing is forced to the disk (`fsync`): after a power failure a file may be lost that was
//! reported. It can be asked for again, unlike a row of a database.

mod leftovers;
mod name;

pub use leftovers::clear;
pub use name::safe_name;

use protocol::value::to_hex;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// How the name of an unfinished file begins. No file that was asked for gets such a name.
pub const TEMPORARY: &str = ".incoming-";

/// Most different files of one name. Past that somebody is filling the disk in a loop; the next one is refused.
pub const MAX_OF_ONE_NAME: u32 = 10_000;

/// Why a file did not arrive. After each of them nothing is left of it under any name.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The folder cannot be made or written to.
    #[error("Files cannot be received in {}: {source}. Name another folder with --received.", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The disk is full, or a quota is used up.
    #[error("The disk is full: {} takes no more after {written} bytes of the file. What had arrived is removed.", folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
        /// How many bytes had been written.
        written: u64,
    },
    /// The file cannot be written or named.
    #[error("The file cannot be written in {}: {source}. What had arrived is removed.", folder.display())]
    Write {
        /// The folder.
        folder: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// More or fewer bytes came than were announced.
    #[error("The file was announced with {announced} bytes, but {came} came. What had arrived is removed.")]
    Size {
        /// What the head said.
        announced: u64,
        /// How many bytes came, as far as they were taken.
        came: u64,
    },
    /// The content is not what the server read.
    #[error(
        "The file is damaged: its SHA-256 is {found}, and the server sent {announced}. What had arrived is removed."
    )]
    Digest {
        /// What the server said.
        announced: String,
        /// What came.
        found: String,
    },
    /// The content is not what the server read, and that is known before its end.
    #[error(
        "The file is damaged: the SHA-256 of its first {came} bytes is {found}, and the server sent {announced}. What had arrived is removed."
    )]
    Chunk {
        /// How many bytes had come.
        came: u64,
        /// What the server said.
        announced: String,
        /// What came.
        found: String,
    },
    /// Too many different files of that name.
    #[error("There are {MAX_OF_ONE_NAME} different files named {0} already. Remove some of them.")]
    TooMany(String),
}

/// The folder in which files arrive.
#[derive(Clone, Debug)]
pub struct Inbox {
    folder: PathBuf,
}

/// A file on its way. Dropping it removes what has arrived.
#[derive(Debug)]
pub struct Incoming {
    folder: PathBuf,
    name: String,
    file: NamedTempFile,
    digest: Sha256,
    announced: u64,
    came: u64,
}

/// A file that has arrived, whole and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Where it is now.
    pub path: PathBuf,
    /// Its name there.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// How it came to that name.
    pub how: Naming,
}

/// How a file came to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The name was free.
    New,
    /// Other files of that name were there and are kept; this one got a number.
    Numbered,
    /// The same content was there already and is kept.
    AlreadyThere,
}

impl Inbox {
    /// The folder, which is made when the first file arrives.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Begins a file of this requested name and announced size.
    ///
    /// # Errors
    /// [`ReceiveError::Folder`] when nothing can be written there.
    pub fn begin(&self, requested: &str, size: u64) -> Result<Incoming, ReceiveError> {
        let unusable = |source| ReceiveError::Folder { folder: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(unusable)?;
        clear(&self.folder);
        let file = temporary_in(&self.folder).map_err(unusable)?;
        // Where the file system knows no locks, nobody clears anything away either.
        let _unlockable = file.as_file().try_lock();
        Ok(Incoming {
            folder: self.folder.clone(),
            name: safe_name(requested),
            file,
            digest: Sha256::new(),
            announced: size,
            came: 0,
        })
    }
}

/// A new file, readable as any other that the user makes.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

impl Incoming {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they are more than was announced, or cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ReceiveError> {
        let came = self.came.saturating_add(bytes.len() as u64);
        if came > self.announced {
            return Err(ReceiveError::Size { announced: self.announced, came });
        }
        self.file.as_file_mut().write_all(bytes).map_err(|source| self.cannot_write(source))?;
        self.digest.update(bytes);
        self.came = came;
        Ok(())
    }

    /// Compares what has come so far with what the server says of it, so that damage is known after a chunk of it and
    /// not after the last.
    ///
    /// # Errors
    /// When the digests differ.
    pub fn check(&self, sha256: &str) -> Result<(), ReceiveError> {
        check(&self.digest, self.came, sha256)
    }

    fn cannot_write(&self, source: io::Error) -> ReceiveError {
        let folder = self.folder.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ReceiveError::Full { folder, written: self.came }
            }
            _ => ReceiveError::Write { folder, source },
        }
    }

    /// Gives the file its name, if it is what the server sent.
    ///
    /// # Errors
    /// When size or digest differ, or no name can be had. Then nothing is left of it.
    pub fn finish(mut self, sha256: &str) -> Result<Arrived, ReceiveError> {
        if self.came != self.announced {
            return Err(ReceiveError::Size { announced: self.announced, came: self.came });
        }
        let found = to_hex(&std::mem::take(&mut self.digest).finalize());
        if !found.eq_ignore_ascii_case(sha256) {
            return Err(ReceiveError::Digest { announced: sha256.to_owned(), found });
        }
        self.settle(found)
    }

    fn settle(self, sha256: String) -> Result<Arrived, ReceiveError> {
        let Self { folder, name: wanted, mut file, came: size, .. } = self;
        for n in 1..=MAX_OF_ONE_NAME {
            let name = name::numbered(&wanted, n);
            let path = folder.join(&name);
            let how = if n == 1 { Naming::New } else { Naming::Numbered };
            match file.persist_noclobber(&path) {
                Ok(_) => return Ok(Arrived { path, name, size, sha256, how }),
                Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
                    if holds(&path, size, &sha256) {
                        return Ok(Arrived { path, name, size, sha256, how: Naming::AlreadyThere });
                    }
                    file = refused.file;
                }
                Err(refused) => return Err(ReceiveError::Write { folder, source: refused.error }),
            }
        }
        Err(ReceiveError::TooMany(wanted))
    }
}

/// Compares the digest of the bytes that came with what was announced of them.
pub(crate) fn check(digest: &Sha256, came: u64, announced: &str) -> Result<(), ReceiveError> {
    let found = to_hex(&digest.clone().finalize());
    if found.eq_ignore_ascii_case(announced) {
        return Ok(());
    }
    // Whoever sends it could send 16 KiB of it.
    let announced = announced.chars().take(found.len()).collect();
    Err(ReceiveError::Chunk { came, announced, found })
}

/// Whether this is a plain file of that content. What cannot be read is taken for something else and kept.
fn holds(path: &Path, size: u64, sha256: &str) -> bool {
    let plain = fs::symlink_metadata(path).is_ok_and(|about| about.is_file() && about.len() == size);
    plain && digest_of(path).is_ok_and(|found| found == sha256)
}

fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 256 * 1024];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(to_hex(&digest.finalize())),
            n => digest.update(&block[..n]),
        }
    }
}

#[cfg(test)]
mod tests;
