//! A note for whoever wants to administer this load balancer, in the folder of its run: where it listens, and where its
//! token is.
//!
//! `admin.json` is for everybody; `admin.token`, if one was drawn, for its owner only. Both go when the load balancer ends.
//! After a `kill -9` they stay behind; so [`find`] believes a note only when who answers at its address is the process it
//! names. That also keeps a token from being sent to a stranger who has got that port.

use super::door::text_of;
use protocol::{
    http::client::{Ask, ask},
    runs::latest,
    token::{Token, draw_nonce},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The note.
const NOTE: &str = "admin.json";
/// The token, if one was drawn.
const TOKEN: &str = "admin.token";
/// Longest note that is read, in bytes.
const MAX_NOTE: u64 = 4 * 1024;
/// How long somebody named by a note may take to say who he is.
const CALL_TIME: Duration = Duration::from_secs(1);

/// Where a load balancer is administered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// The file with its token; none, if nothing can be changed.
    pub token_file: Option<PathBuf>,
}

/// A note that was left, and the token that goes with it. Dropping this takes both away.
#[derive(Debug)]
pub struct Notice {
    folder: PathBuf,
    /// Where the token is.
    pub token_file: Option<PathBuf>,
    /// Whether it was drawn here, and is to be removed again.
    drawn: bool,
}

impl Notice {
    /// Draws a token, unless there is one already, and writes it into this folder, which is made if it is not there.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub fn prepare(folder: &Path, given: Option<(Token, PathBuf)>) -> io::Result<(Self, Token)> {
        fs::create_dir_all(folder)?;
        let folder = std::path::absolute(folder)?;
        if let Some((token, file)) = given {
            let token_file = Some(std::path::absolute(&file)?);
            return Ok((Self { folder, token_file, drawn: false }, token));
        }
        let text = draw_nonce()?;
        let token = Token::new(text.as_bytes()).map_err(|_| io::Error::other("a drawn token is too short"))?;
        let path = folder.join(TOKEN);
        write_secret(&path, &text)?;
        Ok((Self { folder, token_file: Some(path), drawn: true }, token))
    }

    /// Leaves the note.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn leave(&self, address: SocketAddr) -> io::Result<()> {
        let note = Note { address, pid: std::process::id(), token_file: self.token_file.clone() };
        let mut text = serde_json::to_vec(&note)?;
        text.push(b'\n');
        let (path, new) = (self.folder.join(NOTE), self.folder.join(format!(".{NOTE}.{}", note.pid)));
        fs::write(&new, text)?;
        fs::rename(new, path)
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        let _was_there = fs::remove_file(self.folder.join(NOTE));
        if let Some(token) = self.token_file.as_ref().filter(|_| self.drawn) {
            let _was_there = fs::remove_file(token);
        }
        // A folder that was made for these two alone has nothing in it now; any other one stays.
        let _not_empty = fs::remove_dir(&self.folder);
    }
}

/// Writes a file that nobody but its owner can read, not even for a moment.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let _of_an_earlier_run = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(format!("{text}\n").as_bytes())
}

/// The notes below a folder of runs of load balancers that live: the one of the latest run first, then the others, newest
/// first.
#[must_use]
pub fn find(runs: &Path) -> Vec<Note> {
    let latest = fs::canonicalize(latest(runs)).ok();
    let read_dir = fs::read_dir(runs).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = read_dir.filter_map(|entry| fs::canonicalize(entry.path()).ok()).collect();
    folders.sort();
    folders.dedup();
    let age = |folder: &PathBuf| fs::metadata(folder.join(NOTE)).and_then(|it| it.modified()).ok();
    let mut found: Vec<(bool, SystemTime, Note)> = folders
        .into_iter()
        .filter_map(|folder| Some((Some(&folder) == latest.as_ref(), age(&folder)?, read(&folder)?)))
        .collect();
    found.sort_by_key(|(latest, written, _)| std::cmp::Reverse((*latest, *written)));
    found.into_iter().map(|(.., note)| note).filter(lives).collect()
}

/// The note in this folder.
fn read(folder: &Path) -> Option<Note> {
    let path = folder.join(NOTE);
    // A pipe of this name would be waited for.
    fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let mut text = Vec::new();
    File::open(path).ok()?.take(MAX_NOTE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Whether the process of this note answers at its address.
fn lives(note: &Note) -> bool {
    let health = ask(note.address, &Ask::get("/health"), CALL_TIME).and_then(|reply| reply.json::<serde_json::Value>());
    health.is_ok_and(|health| health["pid"] == note.pid)
}

/// The token in this file, as it is sent.
///
/// # Errors
/// A sentence, if there is none.
pub fn token_in(file: &Path) -> Result<String, String> {
    let token = Token::read(file).map_err(|error| error.to_string())?;
    text_of(&token).map(str::to_owned).map_err(|why| format!("{}: {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_drawn_for_its_owner_alone_and_goes_with_the_notice() {
        let runs = tempfile::tempdir().unwrap();
        let folder = runs.path().join("loadbalancer-1");
        let (notice, token) = Notice::prepare(&folder, None).unwrap();
        let file = notice.token_file.clone().unwrap();
        assert_eq!(token_in(&file).unwrap().as_bytes(), token.reveal());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        notice.leave("127.0.0.1:9".parse().unwrap()).unwrap();
        assert_eq!(read(&folder).unwrap().token_file, Some(file));
        let (again, other) = Notice::prepare(&folder, None).unwrap();
        assert!(other.reveal() != token.reveal(), "each run has its own");
        drop((notice, again));
        assert!(!folder.exists());
    }

    #[test]
    fn a_given_token_stays_where_it_is() {
        let runs = tempfile::tempdir().unwrap();
        let given = runs.path().join("token");
        write_secret(&given, "0123456789abcdef").unwrap();
        let token = Token::read(&given).unwrap();
        let (notice, _) = Notice::prepare(&runs.path().join("run"), Some((token, given.clone()))).unwrap();
        drop(notice);
        assert_eq!(token_in(&given).unwrap(), "0123456789abcdef");
    }

    #[test]
    fn nobody_is_found_where_nobody_answers() {
        let runs = tempfile::tempdir().unwrap();
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (notice, _) = Notice::prepare(&runs.path().join("run"), None).unwrap();
        notice.leave(dead).unwrap();
        fs::create_dir(runs.path().join("other")).unwrap();
        fs::write(runs.path().join("other").join(NOTE), "{").unwrap();
        assert_eq!(find(runs.path()), []);
        assert_eq!(find(&runs.path().join("nowhere")), []);
    }
}
