//! Exactly once: a write that is asked for twice is carried out once, and answered twice alike.
//!
//! **The problem.** A client sends `UPDATE account SET balance = balance - 10`, and the server's connection breaks. Was
//! the server killed before the commit or after it? Nobody who is left can tell: to ask again may take the ten
//! twice, not to ask may lose them. Whatever the load balancer does here is wrong half the time.
//!
//! **The idea.** Let the database remember. A request has an id that all its attempts share, and the transaction that
//! changes the data also notes *id, fingerprint of the statement, outcome* in a table of ours. Both are on the disk or
//! neither is. A repeat looks for the note before it does anything: there is one, so the recorded outcome is the
//! answer; there is none, so nothing has happened, and now it may. Look and change are one transaction that has taken the
//! write lock first, so that two attempts at the same moment, at two servers, come one after the other.
//!
//! **A worked example.** Client 7 sends request 3, an INSERT, to server 1, which notes `7-3 → changed 1`, commits and is
//! killed. The load balancer sends 7-3 to server 2, marked as repeated. Server 2 finds the note and answers "1 row
//! changed"; the row is there once. Had server 1 been killed before its commit, there would be neither row nor note, and
//! server 2 would carry the statement out. Had server 1 only been *stopped* before it began, it would wake later,
//! find server 2's note, and change nothing.
//!
//! **Failures count.** A statement that breaks a constraint has an outcome, too. Were it not noted, a repeat might
//! succeed because somebody has removed the obstacle meanwhile, after the client was told that it failed. What is
//! *not* noted is what says nothing about the statement: a time limit, a cancellation, a disk that fails. After
//! these nothing has changed, and a repeat may still carry the statement out. Nor is a text noted that was sent for
//! the first time and cannot be compiled: it might be one that only reads, and no attempt of it was ever under way.
//!
//! **Notes cannot be kept for ever**, and a repeat that comes after its note is gone would be carried out again. So a
//! note goes only when its id is refused from then on, and that is decided in the same transaction. Two ways:
//!
//! * *Low-water marks.* A client says with each request below which number it has all its answers. What is below is
//!   deleted and refused. A client in good health has one note, or a few dozen; see `RAISE_BY`.
//! * *Age.* A client that vanishes never says so. Its number tells the minute in which it was drawn
//!   ([`RequestId`]); after [`RECORD_MINUTES`] its requests are refused, and `MARGIN_MINUTES` later its notes go. Clocks
//!   are set back now and then, so the highest number ever forgotten is written down, and it and those below stay
//!   refused whatever the clock says: a wrong clock refuses too much or keeps too long, and never doubles a write.
//!
//! **What is refused**: an id that is too old, far in the future (it would look young for too long), or settled:
//! `expired`, and not definite, for whether it was carried out once is not known here any more. And an id that was used
//! for another statement: `id-reused`, a mistake of its client.
//!
//! **When it is wrong.** The promise is one database wide. Two databases do not know of each other's notes, so a retry
//! must never leave the database it began in. Whoever restores yesterday's backup restores yesterday's notes. An
//! effect outside the database (an e-mail) is not covered at all. Requests without an id are carried out as often as they
//! arrive.
//!
//! **What it costs**, as the ignored test `what_a_write_costs` measures it in a release build: an insert with its record
//! takes about 1.1 times as long as one without when commits go to a disk, and 1.8 times when they cost nothing (on a
//! file system in memory). Outcomes with many rows cost their bytes: a client that leaves a thousand of the longest
//! and vanishes keeps a gigabyte of the database busy for a day.
//!
//! **What production systems do.** Stripe keeps idempotency keys for at least 24 hours, compares the parameters and
//! replays failures as well. Kafka numbers the batches of each producer (producer id, sequence) and forgets producers
//! that have been silent for a day. Raft's client sessions keep the last response of each client inside the replicated
//! state and drop what is below the lowest number that the client still waits for; whole sessions expire, which all
//! replicas must do at the same point of the log. That is our case with the log replaced by SQLite's write lock. RIFL adds
//! leases for clients to it.
//!
//! Sources: D. Ongaro, *Consensus: Bridging Theory and Practice* (2014), §6.3; C. Lee et al., "Implementing Linearizability
//! at Large Scale and Low Latency" (RIFL, SOSP 2015); Kafka's KIP-98; <https://docs.stripe.com/api/idempotent_requests>.

mod outcome;

pub use outcome::Returned;
pub(super) use outcome::Written;

use super::{SqlError, Statement};
use protocol::{
    id::{RequestId, draw_client_number},
    limits::{CLOCK_SKEW_MINUTES, RECORD_MINUTES},
};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};

/// How long a record is kept after its id is refused, in minutes: a clock that is set back by less refuses nothing that it
/// accepted before, and a server whose clock is behind by less still finds what the others have noted.
pub(super) const MARGIN_MINUTES: u64 = 60;

/// By how much a client's low-water mark must have risen before it is written down. Each time costs a page more in the
/// transaction; until then the records below are simply still there.
pub(super) const RAISE_BY: u64 = 16;

/// A request that may write, as far as its record is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The same in every attempt.
    pub(super) id: RequestId,
    /// SHA-256 of the statement's bytes.
    pub(super) fingerprint: [u8; 32],
    /// Below this the client has all its answers; 0 says nothing.
    pub(super) low_water: u64,
}

impl Asked {
    /// `None` for requests that leave no record: those without an id, and those that must not write.
    pub(super) fn of(statement: &Statement<'_>) -> Option<Self> {
        let recorded = statement.request.client != RequestId::NONE.client && !statement.read_only;
        recorded.then(|| Self {
            id: statement.request,
            fingerprint: Sha256::digest(statement.sql.as_bytes()).into(),
            low_water: statement.low_water,
        })
    }
}

/// What the database knows about a request, read in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The highest client number of which a record was deleted for its age.
    pub(super) forgotten: u64,
    /// The client's low-water mark as it was written down; 0 if it was not.
    pub(super) low_water: u64,
    /// The record of this id.
    pub(super) record: Option<Record>,
}

/// A request that was carried out, or has failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Of the statement that came with the id.
    pub(super) fingerprint: [u8; 32],
    /// As [`Written::encode`] has written it.
    pub(super) outcome: String,
}

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has not been carried out: do it, and note it.
    Execute,
    /// It has: this is its outcome.
    Replay(String),
    /// It must not be, whether or not it has been.
    Refuse(Refusal),
}

/// Why a request is neither carried out nor answered from its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its record, if there was one, may be gone.
    #[error(
        "The request's id is older than the {} hours for which outcomes are recorded. It was not carried out now; whether it was before is not known.",
        RECORD_MINUTES / 60
    )]
    TooOld,
    /// Its age cannot be believed.
    #[error(
        "The request's id lies {0} minutes in the future: the clock of its client or of this server is wrong. It was not carried out now."
    )]
    FromTheFuture(u64),
    /// Its client has said that it has the answer.
    #[error(
        "The client has said that it has the answer to this request, so its outcome is not kept. It was not carried out now."
    )]
    Settled,
    /// Its id belongs to something else.
    #[error("The request's id was used before, for another statement. It was not carried out.")]
    IdReused,
}

/// Decides. To be asked inside the transaction that acts on the answer: outside of it `Execute` may be wrong a moment
/// later.
pub(super) fn judge(asked: &Asked, facts: Facts, now: SystemTime) -> Verdict {
    let Asked { id, fingerprint, low_water } = asked;
    if id.age_minutes(now) > RECORD_MINUTES || id.client <= facts.forgotten {
        return Verdict::Refuse(Refusal::TooOld);
    }
    let ahead = id.minutes_ahead(now);
    if ahead > CLOCK_SKEW_MINUTES {
        return Verdict::Refuse(Refusal::FromTheFuture(ahead));
    }
    if id.sequence < facts.low_water.max(*low_water) {
        return Verdict::Refuse(Refusal::Settled);
    }
    match facts.record {
        None => Verdict::Execute,
        Some(record) if record.fingerprint == *fingerprint => Verdict::Replay(record.outcome),
        Some(_) => Verdict::Refuse(Refusal::IdReused),
    }
}

/// Whether the records of a client number may go: its requests have been refused for a while.
pub(super) fn may_be_forgotten(client: u64, now: SystemTime) -> bool {
    RequestId { client, sequence: 0 }.age_minutes(now) > RECORD_MINUTES + MARGIN_MINUTES
}

/// Below this client number all records may go, as [`may_be_forgotten`] decides one by one.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code, reason = "SQLite asks one by one"))]
pub(super) fn forgettable_below(now: SystemTime) -> u64 {
    let margin = Duration::from_secs((RECORD_MINUTES + MARGIN_MINUTES) * 60);
    let drawn = now.checked_sub(margin).unwrap_or(SystemTime::UNIX_EPOCH);
    // The random bits below the minute do not count.
    draw_client_number(drawn) >> 40 << 40
}

/// The mark to be written down, if it is worth it.
pub(super) fn mark_to_raise(asked: &Asked, facts_low_water: u64) -> Option<u64> {
    // A client of one request says 1 and is gone; where nothing was written down, counting begins there.
    let risen = asked.low_water.saturating_sub(facts_low_water.max(1));
    (risen >= RAISE_BY).then_some(asked.low_water)
}

#[cfg(test)]
mod tests {
    use super::*;
    const MINUTE: Duration = Duration::from_secs(60);
    const NOTHING: Facts = Facts { forgotten: 0, low_water: 0, record: None };

    fn asked(drawn: SystemTime, sequence: u64) -> Asked {
        let id = RequestId { client: draw_client_number(drawn), sequence };
        Asked { id, fingerprint: [7; 32], low_water: 0 }
    }

    fn noted(fingerprint: u8) -> Facts {
        let record = Record { fingerprint: [fingerprint; 32], outcome: "text".into() };
        Facts { record: Some(record), ..NOTHING }
    }

    #[test]
    fn the_first_time_is_carried_out_and_every_later_one_replayed() {
        let now = SystemTime::now();
        assert_eq!(judge(&asked(now, 1), NOTHING, now), Verdict::Execute);
        assert_eq!(judge(&asked(now, 1), noted(7), now), Verdict::Replay("text".into()));
        assert_eq!(judge(&asked(now, 1), noted(8), now), Verdict::Refuse(Refusal::IdReused));
    }

    #[test]
    fn ids_are_good_for_a_day_and_may_be_a_little_ahead() {
        let now = SystemTime::now();
        let minutes = |n: u64| MINUTE * u32::try_from(n).unwrap();
        let at = |drawn| judge(&asked(drawn, 1), NOTHING, now);
        assert_eq!(at(now - minutes(RECORD_MINUTES)), Verdict::Execute);
        assert_eq!(at(now - minutes(RECORD_MINUTES + 1)), Verdict::Refuse(Refusal::TooOld));
        assert_eq!(at(now + minutes(CLOCK_SKEW_MINUTES)), Verdict::Execute);
        let ahead = CLOCK_SKEW_MINUTES + 1;
        assert_eq!(at(now + minutes(ahead)), Verdict::Refuse(Refusal::FromTheFuture(ahead)));
        // A record that is still there changes nothing: whether it is depends on who came by meanwhile.
        let old = asked(now - minutes(RECORD_MINUTES + 1), 1);
        assert_eq!(judge(&old, noted(7), now), Verdict::Refuse(Refusal::TooOld));
    }

    #[test]
    fn what_was_forgotten_stays_refused_when_the_clock_is_set_back() {
        let now = SystemTime::now();
        let early = asked(now, 1);
        let facts = Facts { forgotten: early.id.client, ..NOTHING };
        assert_eq!(judge(&early, facts.clone(), now), Verdict::Refuse(Refusal::TooOld));
        assert_eq!(judge(&asked(now + MINUTE, 1), facts, now), Verdict::Execute, "its next number is good again");
    }

    #[test]
    fn nothing_is_forgotten_that_would_still_be_carried_out() {
        let now = SystemTime::now();
        for minutes in 0..2 * RECORD_MINUTES {
            let old = asked(now - MINUTE * u32::try_from(minutes).unwrap(), 1);
            let refused = judge(&old, NOTHING, now) == Verdict::Refuse(Refusal::TooOld);
            assert!(refused || !may_be_forgotten(old.id.client, now), "{minutes} minutes old");
        }
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    #[test]
    fn the_number_below_which_all_may_go_agrees_with_the_judgement_of_each() {
        let now = SystemTime::now();
        for minutes in RECORD_MINUTES..RECORD_MINUTES + 2 * MARGIN_MINUTES {
            let client = draw_client_number(now - MINUTE * u32::try_from(minutes).unwrap());
            assert_eq!(client < forgettable_below(now), may_be_forgotten(client, now), "{minutes} minutes old");
        }
    }

    #[test]
    fn what_the_client_has_settled_is_refused_by_the_higher_of_the_two_marks() {
        let now = SystemTime::now();
        let settled = |own, recorded, sequence| {
            let facts = Facts { low_water: recorded, ..noted(7) };
            judge(&Asked { low_water: own, ..asked(now, sequence) }, facts, now) == Verdict::Refuse(Refusal::Settled)
        };
        assert!(settled(5, 0, 4) && settled(0, 5, 4) && settled(3, 5, 4) && settled(5, 3, 4));
        assert!(!settled(5, 0, 5) && !settled(0, 5, 5) && !settled(0, 0, 0));
    }

    #[test]
    fn a_mark_is_written_down_now_and_then() {
        let raised =
            |low_water, recorded| mark_to_raise(&Asked { low_water, ..asked(SystemTime::now(), 99) }, recorded);
        assert_eq!((raised(0, 0), raised(1, 0), raised(RAISE_BY, 0)), (None, None, None));
        assert_eq!((raised(RAISE_BY + 1, 0), raised(40, 30), raised(50, 30)), (Some(RAISE_BY + 1), None, Some(50)));
        assert_eq!(raised(5, 30), None, "a straggler does not lower it");
    }

    #[test]
    fn requests_without_an_id_and_those_that_only_read_have_no_record() {
        let id = RequestId { client: 1, sequence: 1 };
        let statement = Statement { sql: "x", request: id, read_only: false, repeated: false, low_water: 3 };
        let asked = Asked::of(&statement).unwrap();
        assert_eq!((asked.id, asked.low_water), (id, 3));
        assert_ne!(asked.fingerprint, Asked::of(&Statement { sql: "x ", ..statement }).unwrap().fingerprint);
        assert_eq!(Asked::of(&Statement { request: RequestId::NONE, ..statement }), None);
        assert_eq!(Asked::of(&Statement { read_only: true, ..statement }), None);
    }
}
