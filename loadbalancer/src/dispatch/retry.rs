//! May this request be tried again on another server?
//!
//! **The problem.** A server was lost while it had a request. If the request was surely not carried out, another
//! server may have it. If it was carried out, or may have been, trying again could do it twice.
//!
//! **The idea.** Two things decide: what was lost *when*, and what the request *is*.
//!
//! | lost when                                | file                  | SQL                                                     |
//! |------------------------------------------|-----------------------|---------------------------------------------------------|
//! | before the whole request was sent        | another server        | another server                                          |
//! | request sent, no byte of the answer yet  | another server        | another server of the same database, as a repeat        |
//! | answer partly delivered                  | resume at the byte    | an error that is not definite: two results never joined |
//! | the server said busy or draining         | another server        | another server                                          |
//!
//! The load balancer never looks at the text of a statement to guess whether it only reads: `SELECT` may call a
//! function that writes, `WITH … DELETE` looks like a query. It need not know. A write is recorded in the database
//! under the request's id, in the transaction that carries it out; a repeat, under the same id, finds the record and
//! returns it. A read is simply done again. But the record is in *that* database, so a repeat never leaves it; and a
//! request without an id of its own cannot be recorded, so it is not repeated.
//!
//! The outcome of a write is at most a mebibyte and is held whole before the client gets any of it, so a write is
//! never "partly delivered" here.
//!
//! The words are Jepsen's and FoundationDB's: a *definite* failure surely did not happen, an *indefinite* one may have.

use super::request::What;
use protocol::message::{ErrorCode, Failure};

/// Servers one request is tried at, at the most. More than a class has, few enough that a request which kills
/// every server it meets stops after a handful.
pub const MAX_ATTEMPTS: u32 = 8;

/// How far an attempt had come when its server was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lost {
    /// The request had not been sent whole: the server cannot have acted on it.
    BeforeSent,
    /// The request was sent; the client has got nothing of the answer.
    Unanswered,
    /// A part of the answer has been delivered to the client.
    Partly,
}

/// What a request is, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// What is asked for.
    pub what: What,
    /// Whether its servers refuse to write for it.
    pub read_only: bool,
    /// Whether it has an id of its own and its server's database records outcomes.
    pub recorded: bool,
}

impl Nature {
    /// Whether doing it twice does no harm in itself.
    fn harmless(self) -> bool {
        self.read_only || self.what != What::Query
    }
}

/// Whether another server may have the request.
#[must_use]
pub fn may_retry(nature: Nature, lost: Lost) -> bool {
    match lost {
        Lost::BeforeSent => true,
        Lost::Unanswered => nature.harmless() || nature.recorded,
        Lost::Partly => nature.what == What::File,
    }
}

/// Whether this loss leaves it open if the request was carried out.
#[must_use]
pub fn leaves_doubt(nature: Nature, lost: Lost) -> bool {
    !nature.harmless() && lost != Lost::BeforeSent
}

/// What the client is told when the request is not tried again. `why` is a sentence about the last attempt.
#[must_use]
pub fn failure(nature: Nature, lost: Lost, why: &str) -> Failure {
    if leaves_doubt(nature, lost) {
        let message = "The server was lost before its answer was complete; the statement may have been carried out.";
        return Failure::indefinite(ErrorCode::UnknownOutcome, format!("{message} ({why})"));
    }
    let message = match lost {
        Lost::Partly => "The server was lost in the middle of its answer: what has come so far is void.",
        Lost::BeforeSent | Lost::Unanswered => "No server could answer.",
    };
    Failure::definite(ErrorCode::Unavailable, format!("{message} ({why})"))
}

/// A failure after an earlier attempt was left in doubt: is it certain that nothing was carried out?
///
/// A server that gets a repeat looks for the record first, and records the failure if there is none, so what it says
/// of the *statement* is certain. What it (or we) say of *itself* is not: that it was too slow, full, or ending says
/// nothing about the earlier attempt.
#[must_use]
pub fn in_doubt(failure: Failure) -> Failure {
    use ErrorCode::{Busy, Cancelled, Draining, Internal, Timeout, Unavailable};
    let about_itself = matches!(failure.code, Busy | Cancelled | Draining | Internal | Timeout | Unavailable);
    if !(failure.definite && about_itself) {
        return failure;
    }
    let message = format!("An earlier attempt may have carried the statement out. {}", failure.message);
    Failure { code: ErrorCode::UnknownOutcome, definite: false, message, ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Nature = Nature { what: What::File, read_only: false, recorded: true };
    const SQL: Nature = Nature { what: What::Query, ..FILE };
    const UNRECORDED: Nature = Nature { recorded: false, ..SQL };
    const READ: Nature = Nature { read_only: true, ..UNRECORDED };

    #[test]
    fn the_table() {
        let row = |lost| [FILE, SQL, UNRECORDED, READ].map(|nature| may_retry(nature, lost));
        assert_eq!(row(Lost::BeforeSent), [true, true, true, true]);
        assert_eq!(row(Lost::Unanswered), [true, true, false, true]);
        assert_eq!(row(Lost::Partly), [true, false, false, false]);
    }

    #[test]
    fn what_may_have_happened_is_never_called_definite() {
        let definite = |nature, lost| failure(nature, lost, "").definite;
        assert!(definite(SQL, Lost::BeforeSent));
        assert!(!definite(SQL, Lost::Unanswered));
        assert!(!definite(UNRECORDED, Lost::Unanswered));
        assert!(!definite(SQL, Lost::Partly));
        assert!(definite(FILE, Lost::Partly));
        assert!(definite(READ, Lost::Unanswered));
    }

    #[test]
    fn after_a_doubt_only_what_is_said_of_the_statement_is_certain() {
        let after = |code| in_doubt(Failure::definite(code, "")).definite;
        assert!(after(ErrorCode::SqlError) && after(ErrorCode::Forbidden) && after(ErrorCode::IdReused));
        assert!(!after(ErrorCode::Timeout) && !after(ErrorCode::Busy) && !after(ErrorCode::Unavailable));
    }
}
