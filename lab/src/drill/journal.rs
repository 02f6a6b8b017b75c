//! What the load balancer's own journal tells about a drill: when harm was noticed, when what it cost was made good, and
//! when a server was back at work.
//!
//! ```text
//!   blow            noticed: a request is lost    it is answered by another server
//!    │── detection ──│─────────── rescue ──────────│
//!                                              undone                first answer to a new request
//!                                                │────── recovery ──────│
//! ```
//!
//! A blow that is over before anybody noticed it was not noticed: a server that is stopped for half a second is just
//! slow. One that was hit again before it was back counts until then only.

use super::harm::strike::Blow;
use anyhow::Context;
use serde::Deserialize;
use std::{
    collections::{HashMap, HashSet},
    fs,
    net::SocketAddr,
    path::Path,
};

/// Events by which the load balancer shows that it has noticed.
const NOTICES: [&str; 6] =
    ["attempt-failed", "server-doubtful", "server-down", "server-ejected", "server-left", "server-not-believed"];

/// How much later than it was made a choice may be told, in microseconds: the teller may have lost its turn.
const TELLING_US: u64 = 20_000;

/// Events that change how a server stands. A doubt is a question, and mostly over within a millisecond.
const CHANGES: [&str; 5] = ["server-joined", "server-left", "server-down", "server-ejected", "server-readmitted"];

/// One event, as far as it is needed.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Line {
    /// Microseconds since 1970.
    pub at_us: u64,
    /// Its name.
    pub event: String,
    /// The server it is about.
    pub server: Option<String>,
    /// The request it is about.
    pub request: Option<String>,
    /// What a person has decided about it.
    pub admin: Option<String>,
    /// The client's end of a connection.
    pub peer: Option<String>,
    /// How many it speaks of.
    pub count: Option<u64>,
    /// Why, as a sentence.
    pub why: Option<String>,
}

/// The journal, or its last part.
#[derive(Debug, Default)]
pub struct Journal {
    lines: Vec<Line>,
}

impl Journal {
    /// Reads both parts of a journal.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let older = fs::read_to_string(path.with_extension("1.jsonl")).unwrap_or_default();
        let newer = fs::read_to_string(path).context("The load balancer's journal cannot be read")?;
        // The last line may not be whole yet; nothing is looked for there.
        let lines = older.lines().chain(newer.lines()).filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { lines })
    }

    /// Events that the journal has lost because it was too slow.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.of("events-lost").filter_map(|line| line.count).sum()
    }

    /// All events of this name.
    pub fn of<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.event == event)
    }

    /// All events from this moment on.
    fn since(&self, at_us: u64) -> &[Line] {
        // Lines of several threads may be a little out of order; nobody is hit twice within that time.
        &self.lines[self.lines.partition_point(|line| line.at_us < at_us)..]
    }

    /// Of each blow to a server that was noticed: how long that took, in milliseconds.
    #[must_use]
    pub fn detections_ms(&self, blows: &[Blow]) -> Vec<u64> {
        let noticed = hits(blows).filter_map(|hit| Some(self.noticed(&hit)?.saturating_sub(hit.blow.from_us)));
        noticed.map(|us| us / 1000).collect()
    }

    /// How many blows lasted longer than this and were not noticed, in milliseconds.
    #[must_use]
    pub fn unnoticed(&self, blows: &[Blow], longer_than_ms: u64) -> usize {
        let long = |hit: &Hit<'_>| hit.blow.until_us.saturating_sub(hit.blow.from_us) > longer_than_ms * 1000;
        hits(blows).filter(|hit| long(hit) && self.noticed(hit).is_none()).count()
    }

    /// Of each blow that cost requests their server: how long after that loss the slowest of them was answered all the same,
    /// in milliseconds.
    #[must_use]
    pub fn rescues_ms(&self, blows: &[Blow]) -> Vec<u64> {
        let rescue = |hit: Hit<'_>| {
            let lines = self.since(hit.blow.from_us);
            let during = lines.iter().take_while(|line| line.at_us < hit.until_us);
            let lost =
                during.filter(|line| line.event == "attempt-failed" && line.server.as_deref() == Some(hit.server));
            let lost: HashMap<&str, u64> =
                lost.filter_map(|line| Some((line.request.as_deref()?, line.at_us))).collect();
            let answered = lines.iter().filter(|line| line.event == "response-sent");
            let took =
                answered.filter_map(|line| Some(line.at_us.saturating_sub(*lost.get(line.request.as_deref()?)?)));
            Some(took.max()? / 1000)
        };
        hits(blows).filter_map(rescue).collect()
    }

    /// How long each server that was away took to answer a new request after it was there again, and how long it had been
    /// away, in milliseconds.
    #[must_use]
    pub fn recoveries_ms(&self, blows: &[Blow]) -> Vec<(u64, u64)> {
        let back = hits(blows).filter(|hit| hit.blow.returned);
        let recovery = |hit: Hit<'_>| {
            let mut new = HashSet::new();
            let lines = self.since(hit.blow.until_us).iter().take_while(|line| line.at_us < hit.until_us);
            for line in lines.filter(|line| line.server.as_deref() == Some(hit.server)) {
                match line.event.as_str() {
                    "server-chosen" => drop(new.insert(line.request.as_deref())),
                    "answer-begun" if new.contains(&line.request.as_deref()) => {
                        let away = hit.blow.until_us.saturating_sub(hit.blow.from_us);
                        return Some((line.at_us.saturating_sub(hit.blow.until_us) / 1000, away / 1000));
                    }
                    _ => {}
                }
            }
            None
        };
        back.filter_map(recovery).collect()
    }

    /// When the load balancer ended the connection of this client's end, in that time.
    #[must_use]
    pub fn cut_off_us(&self, end: SocketAddr, during_us: std::ops::Range<u64>) -> Option<u64> {
        let end = end.to_string();
        let mut ended = self.of("client-failed").filter(|line| line.peer.as_deref() == Some(end.as_str()));
        ended.find(|line| during_us.contains(&line.at_us)).map(|line| line.at_us)
    }

    /// How many requests were given to servers that a person had drained, before these were ready again; and how many of
    /// them when the server had been seen empty already. A choice is told before its request is sent, so that one of the
    /// latter was surely made too late; one of the others may only have been told late, by a thread that had lost its turn.
    #[must_use]
    pub fn given_while_drained(&self, blows: &[Blow]) -> (usize, usize) {
        let mut since: HashMap<&str, (u64, u64)> = HashMap::new();
        let (mut given, mut given_after_empty) = (0, 0);
        for line in &self.lines {
            let Some(server) = line.server.as_deref() else { continue };
            match (line.event.as_str(), line.admin.as_deref()) {
                ("server-administered", Some("drain")) => {
                    let told_us = line.at_us + TELLING_US;
                    since.insert(server, (told_us, empty_us(blows, server, line.at_us).unwrap_or(u64::MAX)));
                }
                ("server-administered" | "server-left", _) => drop(since.remove(server)),
                ("server-chosen", _) => {
                    let (told_us, empty_us) = since.get(server).copied().unwrap_or((u64::MAX, u64::MAX));
                    given += usize::from(line.at_us > told_us.min(empty_us));
                    given_after_empty += usize::from(line.at_us > empty_us);
                }
                _ => {}
            }
        }
        (given, given_after_empty)
    }

    /// How many requests were taken, and how many of them have neither been answered nor failed.
    #[must_use]
    pub fn unfinished(&self) -> (usize, usize) {
        let ids = |events: &[&str]| -> HashSet<&str> {
            let lines = self.lines.iter().filter(|line| events.contains(&line.event.as_str()));
            lines.filter_map(|line| line.request.as_deref()).collect()
        };
        let (taken, over) = (ids(&["request-received"]), ids(&["response-sent", "request-failed"]));
        (taken.len(), taken.difference(&over).count())
    }

    /// How often the state of the servers of this blow changed, from its beginning to the next.
    #[must_use]
    pub fn changes(&self, blows: &[Blow], number: usize) -> usize {
        let of_this = hits(blows).filter(|hit| hit.number == number);
        let count = |hit: Hit<'_>| {
            let lines = self.since(hit.blow.from_us).iter().take_while(|line| line.at_us < hit.until_us);
            let of_server = lines.filter(|line| line.server.as_deref() == Some(hit.server));
            let mut down = false;
            let changes = of_server.filter(|line| {
                let was_down = down;
                match line.event.as_str() {
                    "server-down" => down = true,
                    "server-up" => down = false,
                    _ => {}
                }
                CHANGES.contains(&line.event.as_str()) || (was_down && !down)
            });
            changes.count()
        };
        of_this.map(count).sum()
    }

    fn noticed(&self, hit: &Hit<'_>) -> Option<u64> {
        let mut during = self.since(hit.blow.from_us).iter().take_while(|line| line.at_us < hit.until_us);
        let of_server = |line: &&Line| line.server.as_deref() == Some(hit.server);
        let noticed = during.find(|line| of_server(line) && NOTICES.contains(&line.event.as_str()))?.at_us;
        Some(noticed)
    }
}

/// When the server that was drained at this moment had been seen empty.
fn empty_us(blows: &[Blow], server: &str, drained_us: u64) -> Option<u64> {
    let this = |blow: &&Blow| blow.servers.iter().any(|hit| hit == server);
    let mut of_server = blows.iter().filter(this);
    let blow = of_server.find(|blow| (blow.from_us..=blow.until_us).contains(&drained_us))?;
    Some(blow.from_us + (blow.empty_ms? + 1) * 1000)
}

/// A server that was hit by a blow.
struct Hit<'a> {
    blow: &'a Blow,
    number: usize,
    server: &'a str,
    /// When it was hit again, or the end of time.
    until_us: u64,
}

/// Every server that was hit, by blow.
fn hits(blows: &[Blow]) -> impl Iterator<Item = Hit<'_>> {
    let mut next: HashMap<&str, u64> = HashMap::new();
    let mut hits = Vec::new();
    for (number, blow) in blows.iter().enumerate().rev() {
        for server in &blow.servers {
            let until_us = next.insert(server, blow.from_us).unwrap_or(u64::MAX);
            hits.push(Hit { blow, number, server, until_us });
        }
    }
    hits.into_iter().rev()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `at event server request`, times in milliseconds.
    fn journal(text: &str) -> Journal {
        let line = |words: &str| {
            let words: Vec<&str> = words.split_whitespace().collect();
            let word = |at: usize| words.get(at).map(|word| (*word).to_owned());
            let at_us = words[0].parse::<u64>().unwrap() * 1000;
            Line { at_us, event: words[1].to_owned(), server: word(2), request: word(3), ..Line::default() }
        };
        Journal { lines: text.lines().map(str::trim).filter(|text| !text.is_empty()).map(line).collect() }
    }

    fn blow(server: &str, from_ms: u64, until_ms: u64) -> Blow {
        let (from_us, until_us) = (from_ms * 1000, until_ms * 1000);
        Blow { from_us, until_us, ..Blow::away("hit".to_owned(), vec![server.to_owned()]) }
    }

    #[test]
    fn a_blow_is_noticed_its_requests_are_saved_and_its_server_comes_back() {
        let journal = journal(
            "5 server-doubtful A
             100 server-chosen A r1
             130 attempt-failed A r1
             135 attempt-failed B r2
             160 response-sent B r1
             170 response-sent A r2
             410 answer-begun A r0
             420 server-chosen A r3
             450 answer-begun A r3",
        );
        let blows = [blow("A", 110, 400)];
        assert_eq!(journal.detections_ms(&blows), [20]);
        assert_eq!(journal.rescues_ms(&blows), [30]);
        assert_eq!(journal.recoveries_ms(&blows), [(50, 290)], "an answer to an old request does not count");
    }

    #[test]
    fn a_doubt_is_no_change_and_a_return_is_one_only_after_a_fall() {
        let journal = journal(
            "10 server-doubtful A
             11 server-up A
             20 server-down A
             30 server-up A
             40 server-ejected A
             50 server-doubtful A
             51 server-up A
             60 server-readmitted A",
        );
        assert_eq!(journal.changes(&[blow("A", 0, 70)], 0), 4);
    }

    #[test]
    fn what_is_given_to_a_drained_server_is_found() {
        let mut drained = journal(
            "10 server-administered A
             20 server-chosen A r1
             70 server-chosen B r2
             90 server-administered A
             99 server-chosen A r3",
        );
        let decide = |journal: &mut Journal, at: usize, what: &str| journal.lines[at].admin = Some(what.to_owned());
        decide(&mut drained, 0, "drain");
        decide(&mut drained, 3, "ready");
        let mut blow = blow("A", 5, 95);
        blow.empty_ms = Some(79);
        assert_eq!(drained.given_while_drained(std::slice::from_ref(&blow)), (0, 0), "told late");
        drained.lines[1].at_us = 80_000;
        assert_eq!(drained.given_while_drained(std::slice::from_ref(&blow)), (1, 0), "told very late, or given late");
        blow.empty_ms = Some(70);
        assert_eq!(drained.given_while_drained(&[blow]), (1, 1), "given when it had been seen empty");
    }

    /// Two threads tell in another order than they did, and the lines on either side of a blow are exchanged.
    #[test]
    fn lines_out_of_order_take_no_time_rather_than_less() {
        let noticed = journal("10 server-up B\n 101 server-up B\n 99 server-down A");
        assert_eq!(noticed.detections_ms(&[blow("A", 100, 300)]), [0]);
        let back = journal("10 server-up B\n 101 server-chosen A r\n 99 answer-begun A r");
        assert_eq!(back.recoveries_ms(&[blow("A", 50, 100)]), [(0, 50)]);
    }

    #[test]
    fn what_lasts_must_be_noticed() {
        let journal = journal("50 server-down A");
        let blows = [blow("A", 0, 90), blow("B", 0, 90), blow("C", 0, 20)];
        assert_eq!(journal.unnoticed(&blows, 30), 1);
    }

    #[test]
    fn what_comes_after_the_next_blow_belongs_to_that() {
        let journal = journal(
            "50 server-down A
             60 server-chosen A r
             70 answer-begun A r
             80 server-up A",
        );
        let blows = [blow("A", 0, 10), blow("A", 40, 55), blow("B", 40, 55)];
        assert_eq!(journal.detections_ms(&blows), [10]);
        assert_eq!(journal.recoveries_ms(&blows), [(15, 15)]);
        assert_eq!(journal.rescues_ms(&blows), [0; 0], "no request was lost");
        assert_eq!((journal.changes(&blows, 0), journal.changes(&blows, 1), journal.changes(&blows, 2)), (0, 2, 0));
    }
}
