//! Files of one directory, whatever the name asked for says.
//!
//! **The problem.** A name comes from a stranger. `../../etc/passwd` climbs out of the directory, `/etc/passwd`
//! never was in it, `notes` may be a link to `/etc/passwd`, `pipe` a named pipe whose `open` waits for ever, and
//! `tty` a device. Cutting `..` out of the text is not enough: a link needs no dots, and between a check of the
//! path and its use somebody may exchange what stands there.
//!
//! **The idea.** Let the kernel do it in the same step as the opening. Linux' `openat2(2)` with `RESOLVE_BENEATH`
//! walks the name and fails as soon as a step would leave the directory, links included. What was opened is then
//! asked what it is (`fstat`), and only a regular file is served; the opening itself does not wait (`O_NONBLOCK`),
//! so that a named pipe cannot hold the thread.
//!
//! **Where `openat2` is missing** (other systems, old kernels, some containers) the path is resolved first and
//! compared with the directory after. That leaves the moment between check and use, in which only somebody who
//! may write into the directory could do harm.
//!
//! **A file that changes while it is sent.** Its size is promised before the first byte. [`OpenFile::unchanged`]
//! compares size and time of change at the end with those at the beginning, so that a mixture of two versions never
//! ends like a success. Production systems serve files that are replaced by `rename` and never written in place.

mod beneath;

use protocol::{
    limits::MAX_FILE_NAME,
    message::{ErrorCode, Failure},
    output::Plain,
};
use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    time::SystemTime,
};

/// The directory from which files are served.
#[derive(Clone, Debug)]
pub struct FileRoom {
    directory: PathBuf,
}

/// Why a file is not served. The sentences name what was asked for and nothing of the machine.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The name cannot be the name of a file here.
    #[error("The name {name} is not served: {why}.")]
    Name {
        /// What was asked for, made printable.
        name: String,
        /// What is wrong with it.
        why: &'static str,
        /// Whether it would have led out of the directory, as opposed to being no name at all.
        forbidden: bool,
    },
    /// Nothing of this name is there.
    #[error("File {0} not found in server!")]
    NotFound(String),
    /// Something of this name is there and is not given out.
    #[error("{name} is not served: {why}.")]
    Refused {
        /// What was asked for.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// The file's size or time of change is another than when it was opened.
    #[error("{0} was changed while it was being sent; what has arrived is a mixture. Ask again.")]
    Changed(String),
    /// The system could not open or read it.
    #[error("The server cannot read {name}: {}.", reason(.source))]
    Unreadable {
        /// What was asked for.
        name: String,
        /// The system's error, of which only the kind is told.
        source: io::Error,
    },
}

fn reason(error: &io::Error) -> String {
    // The kind's name has no path in it; the full text of the system might.
    error.kind().to_string()
}

impl FileError {
    /// The failure to be sent to the client. Nothing was and nothing will be done, so it is always definite.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::Name { forbidden: false, .. } => ErrorCode::BadRequest,
            Self::Name { .. } | Self::Refused { .. } => ErrorCode::Forbidden,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::Changed(_) | Self::Unreadable { .. } => ErrorCode::Damaged,
        };
        Failure::definite(code, self.to_string())
    }
}

impl FileRoom {
    /// The room of this directory. It need not exist yet: it is opened anew for each request, so that a directory
    /// that was exchanged is served as it is now.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Opens the regular file of this name. Folders below the directory are part of the name, joined by `/`.
    ///
    /// # Errors
    /// Why it is not served.
    pub fn open(&self, name: &str) -> Result<OpenFile, FileError> {
        check_name(name)?;
        let file = beneath::open(&self.directory, name).map_err(|e| explain(name, e))?;
        let metadata = file.metadata().map_err(|source| unreadable(name, source))?;
        if !metadata.is_file() {
            return Err(FileError::Refused { name: plain(name), why: "it is not a regular file" });
        }
        let seen = Seen::of(&metadata);
        Ok(OpenFile { file, name: name.to_owned(), seen, metadata })
    }
}

/// A regular file, open for reading, with the size that is promised for it.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    name: String,
    seen: Seen,
    metadata: Metadata,
}

/// What is compared at the end with the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    size: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl OpenFile {
    /// Its size in bytes when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.seen.size
    }

    /// What the system said about it when it was opened.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Goes on reading at this byte.
    ///
    /// # Errors
    /// If the system cannot.
    pub fn go_to(&mut self, offset: u64) -> Result<(), FileError> {
        let went = self.file.seek(SeekFrom::Start(offset));
        went.map(drop).map_err(|source| unreadable(&self.name, source))
    }

    /// Fills `block` with the file's next bytes.
    ///
    /// # Errors
    /// [`FileError::Changed`] if the file ends before: it has shrunk.
    pub fn read_exact(&mut self, block: &mut [u8]) -> Result<(), FileError> {
        self.file.read_exact(block).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => FileError::Changed(plain(&self.name)),
            _ => unreadable(&self.name, source),
        })
    }

    /// Whether the file is still the one that was opened.
    ///
    /// # Errors
    /// [`FileError::Changed`] if it is not.
    pub fn unchanged(&self) -> Result<(), FileError> {
        let now = self.file.metadata().map_err(|source| unreadable(&self.name, source))?;
        if Seen::of(&now) == self.seen { Ok(()) } else { Err(FileError::Changed(plain(&self.name))) }
    }
}

/// Refuses what no system should even be asked about.
fn check_name(name: &str) -> Result<(), FileError> {
    let refuse = |why, forbidden| Err(FileError::Name { name: plain(name), why, forbidden });
    if name.is_empty() {
        return refuse("it is empty; write file and the name of a file", false);
    }
    if name.len() > MAX_FILE_NAME {
        return refuse("it is too long", false);
    }
    if name.contains('\0') {
        return refuse("a name has no NUL in it", true);
    }
    if name.contains('\\') {
        return refuse("folders are joined by /, and a name has no backslash in it", true);
    }
    // `C:\…` and `file.txt:stream` mean something on Windows only.
    if cfg!(windows) && name.contains(':') {
        return refuse("a name has no colon in it", true);
    }
    if name.starts_with('/') {
        return refuse("only files below the servers' directory are, and this begins at the root", true);
    }
    for component in name.split('/') {
        match component {
            "" => return refuse("there is an empty part between two slashes or behind the last", false),
            "." | ".." => return refuse("only files below the servers' directory are, and dots lead elsewhere", true),
            _ => {}
        }
    }
    Ok(())
}

/// What the system's refusal means.
fn explain(name: &str, error: io::Error) -> FileError {
    let refused = |why| FileError::Refused { name: plain(name), why };
    if beneath::leaves_the_directory(&error) {
        return refused("it leads out of the servers' directory");
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::NotFound(plain(name)),
        io::ErrorKind::PermissionDenied => refused("the server may not read it"),
        io::ErrorKind::InvalidFilename => {
            FileError::Name { name: plain(name), why: "it is too long", forbidden: false }
        }
        _ if beneath::is_no_file(&error) => refused("it is not a regular file"),
        _ => unreadable(name, error),
    }
}

/// The name as it may stand on a terminal.
fn plain(name: &str) -> String {
    Plain(name).to_string()
}

fn unreadable(name: &str, source: io::Error) -> FileError {
    FileError::Unreadable { name: plain(name), source }
}

#[cfg(test)]
mod tests;
