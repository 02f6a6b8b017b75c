//! Looks on while the clients ask: what each server has answered so far, by the agents' count, and when it went down and came up by
//! election, by its own words.

use super::ring::SERVERS;
use crate::process::Pool;
use anyhow::Context;
use serde::Serialize;
use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    net::SocketAddr,
    path::PathBuf,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often the logs are looked at: as exact are the times of what stands there.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a server says when it goes down, and when it is up again.
const DOWN: &str = "This server is down for";
const UP: &str = "this server is up again";

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// When, and what each server had answered until then.
    pub answered: Vec<(Instant, [u64; SERVERS])>,
    /// Who went down and up, and when; in order.
    pub turns: Vec<Turn>,
}

/// A server goes down by election, or comes up.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// When it was seen.
    pub at: Instant,
    /// Which one, from 0.
    pub server: usize,
    /// Whether it went down.
    pub down: bool,
}

/// From when to when a server was down, in seconds of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outage {
    /// Which one, from 1.
    pub server: usize,
    /// The beginning.
    pub from: f64,
    /// The end.
    pub to: f64,
}

/// A thread that looks on until it is asked what it saw.
#[derive(Debug)]
pub struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<anyhow::Result<Seen>>,
}

impl Watch {
    /// Begins to look at these agents and logs.
    ///
    /// # Errors
    /// If there is no thread.
    pub fn begin(admins: Vec<SocketAddr>, logs: Vec<PathBuf>, every: Duration) -> anyhow::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let look = move || {
            let (mut seen, mut read, mut due) = (Seen::default(), vec![0; logs.len()], Instant::now());
            loop {
                let over = stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout);
                for (server, (log, read)) in logs.iter().zip(&mut read).enumerate() {
                    let news = news(log, read).unwrap_or_default();
                    seen.turns.extend(turns(&news).map(|down| Turn { at: Instant::now(), server, down }));
                }
                if over || Instant::now() >= due {
                    due += every;
                    seen.answered.push((Instant::now(), answered(&admins)?));
                }
                if over {
                    return Ok(seen);
                }
            }
        };
        let thread = thread::Builder::new().name("watch".into()).spawn(look).context("No thread to look on")?;
        Ok(Self { stop, thread })
    }

    /// What it saw.
    ///
    /// # Errors
    /// If an agent did not answer.
    pub fn end(self) -> anyhow::Result<Seen> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("Who looks on has panicked"))?
    }
}

/// What each server has answered, as all agents together count. One that is no member at the moment has no figure of its own.
fn answered(admins: &[SocketAddr]) -> anyhow::Result<[u64; SERVERS]> {
    let mut sums = [0; SERVERS];
    for admin in admins {
        for member in Pool::ask(*admin, Some("udp"))?.servers {
            let at = member.id.parse::<usize>().unwrap_or(0).wrapping_sub(1);
            if let Some(sum) = sums.get_mut(at) {
                *sum += member.answered;
            }
        }
    }
    Ok(sums)
}

/// The whole lines of a log that were not read yet.
fn news(log: &PathBuf, read: &mut u64) -> std::io::Result<String> {
    let mut file = fs::File::open(log)?;
    file.seek(SeekFrom::Start(*read))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    *read += bytes.len() as u64;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Going down (true) and coming up in these lines.
fn turns(lines: &str) -> impl Iterator<Item = bool> {
    lines.lines().filter_map(|line| match line {
        _ if line.contains(DOWN) => Some(true),
        _ if line.contains(UP) => Some(false),
        _ => None,
    })
}

/// The outages that these turns are, and how many servers were down together at most.
#[must_use]
pub fn outages(turns: &[Turn], start: Instant, end: f64) -> (Vec<Outage>, usize) {
    let mut since: [Option<f64>; SERVERS] = [None; SERVERS];
    let (mut outages, mut most) = (Vec::new(), 0);
    for turn in turns {
        let at = turn.at.saturating_duration_since(start).as_secs_f64();
        if turn.down {
            since[turn.server] = Some(at);
        } else if let Some(from) = since[turn.server].take() {
            outages.push(Outage { server: turn.server + 1, from, to: at });
        }
        most = most.max(since.iter().flatten().count());
    }
    let open =
        since.iter().enumerate().filter_map(|(at, from)| Some(Outage { server: at + 1, from: (*from)?, to: end }));
    outages.extend(open);
    (outages, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_are_turns() {
        let lines = "Election 1: everybody knows. This server is down for 1.5s.\nElection 1: 127.0.0.1:7 is down.\n\
                     Election 1 is over: this server is up again.\nElection 2 is over: 127.0.0.1:7 is up.\n";
        assert!(turns(lines).eq([true, false]));
    }

    #[test]
    fn outages_follow_each_other_or_overlap() {
        let start = Instant::now();
        let turn = |ms, server, down| Turn { at: start + Duration::from_millis(ms), server, down };
        let one_after_the_other = [turn(1_000, 0, true), turn(2_000, 0, false), turn(2_000, 2, true)];
        let (found, most) = outages(&one_after_the_other, start, 9.0);
        let outage = |server, from, to| Outage { server, from, to };
        assert_eq!((found, most), (vec![outage(1, 1.0, 2.0), outage(3, 2.0, 9.0)], 1));
        let together = [turn(0, 0, true), turn(10, 1, true), turn(20, 0, false), turn(30, 1, false)];
        assert_eq!(outages(&together, start, 9.0).1, 2);
    }

    #[test]
    fn only_whole_lines_are_news() {
        let folder = tempfile::tempdir().unwrap();
        let (log, mut read) = (folder.path().join("log"), 0);
        fs::write(&log, "one\ntw").unwrap();
        assert_eq!(news(&log, &mut read).unwrap(), "one\n");
        fs::write(&log, "one\ntwo\n").unwrap();
        assert_eq!(news(&log, &mut read).unwrap(), "two\n");
        assert_eq!(news(&log, &mut read).unwrap(), "");
    }
}
