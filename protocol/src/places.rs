//! Where the laboratory's files are when no flag says so.
//!
//! The programs are started from the laboratory's folder (`cargo run`), but also from a folder in it (`cd client`).
//! So they look upward, as git does for its repository: the first folder from here up that holds `servers.json` or
//! `database.json` is the laboratory's *root*, and everything has its place below it. Where there is no root, the
//! folder they were started in is taken for one.
//!
//! Example: started in `lab/client/`, where `lab/servers.json` exists, files arrive in `lab/received/`.
//!
//! A path given by a flag is taken as it is; none of this applies to it.

use crate::runs::RUNS;
use std::{
    fs, io,
    path::{Path, PathBuf, absolute},
};

/// Name of the registry of servers.
pub const REGISTRY: &str = "servers.json";
/// Name of the file that says which database the servers share.
pub const DATABASE: &str = "database.json";
/// Name of the folder in which a client's files arrive.
pub const RECEIVED: &str = "received";
/// The folder of the files that servers give away.
pub const FILES: &str = "server/files";

/// Longest file of settings that is read, in bytes; one of ten thousand servers has 2 MiB. A longer one is refused:
/// it is certainly something else.
pub const MAX_SETTINGS: u64 = 16 * 1024 * 1024;

/// The laboratory's root, and from it the default place of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The laboratory's root, or the starting folder where there is none; absolute.
    pub root: PathBuf,
    /// Whether a root was found.
    pub found: bool,
}

impl Places {
    /// Looks for the root upward from this folder.
    ///
    /// # Errors
    /// When `start` is empty, or relative in a current folder that no longer exists.
    pub fn from(start: &Path) -> io::Result<Self> {
        let is_root = |folder: &Path| folder.join(REGISTRY).is_file() || folder.join(DATABASE).is_file();
        Ok(Self::upward(absolute(start)?, is_root))
    }

    /// Looks for the root upward from the current folder.
    ///
    /// # Errors
    /// A full sentence when the current folder no longer exists or may not be read.
    pub fn here() -> io::Result<Self> {
        let unknown = |error: io::Error| {
            let why = format!("Cannot tell the current folder ({error}): go to one that exists and start again.");
            io::Error::new(error.kind(), why)
        };
        std::env::current_dir().and_then(|folder| Self::from(&folder)).map_err(unknown)
    }

    fn upward(start: PathBuf, is_root: impl Fn(&Path) -> bool) -> Self {
        let root = start.ancestors().find(|folder| is_root(folder)).map(Path::to_path_buf);
        Self { found: root.is_some(), root: root.unwrap_or(start) }
    }

    /// `servers.json`.
    #[must_use]
    pub fn registry(&self) -> PathBuf {
        self.root.join(REGISTRY)
    }

    /// What is to be said where the registry is looked for and no root was found; `None` where one was.
    #[must_use]
    pub fn no_registry(&self) -> Option<String> {
        let path = self.registry();
        let said = || {
            format!(
                "No {REGISTRY} here or in a folder above: {} is used, and made by the first server.",
                path.display()
            )
        };
        (!self.found).then(said)
    }

    /// `database.json`.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join(DATABASE)
    }

    /// `runs/`.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.root.join(RUNS)
    }

    /// `received/`.
    #[must_use]
    pub fn received(&self) -> PathBuf {
        self.root.join(RECEIVED)
    }

    /// `server/files/`.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.root.join(FILES)
    }
}

/// Reads a file of settings whole. A named pipe or a device would block or never end, and a file of gigabytes would
/// fill the memory, so neither is begun.
pub(crate) fn read_settings(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_SETTINGS + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SETTINGS {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 16 MiB"));
    }
    Ok(bytes)
}

/// What an editor may put in front of a text (a byte order mark) does not belong to its content.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_inside_finds_the_root_above_it() {
        let lab = tempfile::tempdir().unwrap();
        let client = lab.path().join("client/deep");
        fs::create_dir_all(&client).unwrap();
        fs::write(lab.path().join(DATABASE), "{}").unwrap();
        let places = Places::from(&client).unwrap();
        assert_eq!(places, Places { root: lab.path().to_path_buf(), found: true });
        assert_eq!(places.registry(), lab.path().join("servers.json"));
        assert_eq!(places.received(), lab.path().join("received"));
        assert_eq!(places.files(), lab.path().join("server").join("files"));
    }

    #[test]
    fn the_nearest_root_wins_and_a_folder_of_that_name_is_none() {
        let lab = tempfile::tempdir().unwrap();
        let inner = lab.path().join("inner");
        fs::create_dir_all(inner.join("below").join(REGISTRY)).unwrap();
        fs::write(lab.path().join(REGISTRY), "[]").unwrap();
        fs::write(inner.join(REGISTRY), "[]").unwrap();
        assert_eq!(Places::from(&inner.join("below")).unwrap().root, inner);
    }

    #[test]
    fn without_a_root_the_starting_folder_is_taken() {
        let folder = PathBuf::from("/somewhere/deep");
        let places = Places::upward(folder.clone(), |_| false);
        assert_eq!(places, Places { root: folder.clone(), found: false });
        assert_eq!(places.database(), folder.join("database.json"));
        let said = places.no_registry().unwrap();
        assert!(
            said.contains("No servers.json here") && said.contains("/somewhere/deep/servers.json is used"),
            "{said}"
        );
        assert_eq!(Places { found: true, ..places }.no_registry(), None);
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_settings(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(without_mark(b"\xef\xbb\xbf[]"), b"[]");
    }
}
