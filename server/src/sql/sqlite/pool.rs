//! Kept connections: opening one costs twenty times a simple read.

use super::connection::{Conn, Mode};
use crate::sql::SqlError;
use parking_lot::Mutex;
use std::{
    io,
    ops::Deref,
    path::{Path, PathBuf},
};

/// Reading connections that are kept while nobody uses them. More are opened when needed and closed after.
const KEPT: usize = 16;

/// The database's file, and which file that was at the start.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    id: FileId,
}

/// What tells a file from another of the same name.
type FileId = Option<(u64, u64)>;

impl Place {
    pub(super) fn new(path: PathBuf) -> io::Result<Self> {
        let id = file_id(&path)?;
        Ok(Self { path, id })
    }

    /// A kept connection reads the file it has opened, also when that was deleted or replaced since: then this server
    /// would answer from a database that no other server has.
    pub(super) fn check(&self) -> Result<(), SqlError> {
        match file_id(&self.path) {
            Ok(id) if id == self.id => Ok(()),
            _ => Err(SqlError::Unavailable(
                "its file was removed or replaced while this server was running, and the server must be started again"
                    .into(),
            )),
        }
    }

    pub(super) fn open(&self, mode: Mode) -> Result<Conn, SqlError> {
        self.check()?;
        Conn::open(&self.path, mode).map_err(|e| SqlError::translate(e, None, None))
    }
}

#[cfg(unix)]
fn file_id(path: &Path) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|data| Some((data.dev(), data.ino())))
}

#[cfg(not(unix))]
fn file_id(path: &Path) -> io::Result<FileId> {
    std::fs::metadata(path).map(|_| None)
}

/// The reading connections.
#[derive(Default)]
pub(super) struct Readers {
    /// Those that nobody uses. Held for the time of a push or a pop.
    kept: Mutex<Vec<Conn>>,
}

impl Readers {
    /// A connection for one statement; it goes back when the value is dropped.
    pub(super) fn take(&self, place: &Place) -> Result<Reader<'_>, SqlError> {
        let kept = self.kept.lock().pop();
        let conn = match kept {
            Some(conn) => place.check().map(|()| conn),
            None => place.open(Mode::Reads),
        }?;
        Ok(Reader { conn: Some(conn), readers: self })
    }
}

/// A reading connection on loan.
pub(super) struct Reader<'a> {
    /// Always there until the value is dropped or the connection is given up.
    conn: Option<Conn>,
    readers: &'a Readers,
}

impl Reader<'_> {
    /// Closes the connection instead of keeping it.
    pub(super) fn give_up(mut self) {
        self.conn = None;
    }
}

impl Deref for Reader<'_> {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.conn.as_ref().expect("a reader on loan has its connection")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        // What a panic left behind is not worth finding out.
        let mut kept = self.readers.kept.lock();
        if !std::thread::panicking() && kept.len() < KEPT {
            kept.push(conn);
        }
    }
}
