//! May this request be tried again on another server?
//!
//! **The problem.** A server was lost while it had a request. If the request was surely not carried out, another
//! server may have it. If it was carried out, or may have been, trying again could do it twice.
//!
//! **The idea.** Two things decide: what was lost *when*, and what the request *is*.
//!
//! | lost when                                | file     | SQL                                           |
//! |------------------------------------------|----------|-----------------------------------------------|
//! | before the whole request was sent        | again    | again                                         |
//! | request sent, no byte of the answer yet  | again    | not again: it may have been carried out       |
//! | answer partly delivered                  | an error | an error: two results are never joined        |
//! | the server said busy or draining         | again    | again                                         |
//!
//! The load balancer never looks at the text of a statement to guess whether it only reads: `SELECT` may call a
//! function that writes, `WITH … DELETE` looks like a query. A request that its sender has marked read-only is
//! refused by the server if it would write, and so may be tried again like a file.
//!
//! The words are Jepsen's and FoundationDB's: a *definite* failure surely did not happen, an *indefinite* one may have.

use super::request::What;
use protocol::message::{ErrorCode, Failure};

/// Servers one request is tried at, at the most. More than a class has, few enough that a request which kills
/// every server it meets stops after a handful.
pub const MAX_ATTEMPTS: u32 = 5;

/// How far an attempt had come when its server was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The request had not been sent whole: the server cannot have acted on it.
    BeforeSent,
    /// The request was sent; not a byte of the answer has come.
    Unanswered,
    /// A part of the answer has been delivered to the client.
    Partly,
}

/// Whether another server may have the request.
#[must_use]
pub fn may_retry(what: What, read_only: bool, lost: Lost) -> bool {
    match lost {
        Lost::BeforeSent => true,
        Lost::Unanswered => read_only || what != What::Query,
        Lost::Partly => false,
    }
}

/// What the client is told when the request is not tried again. `why` is a sentence about the last attempt.
#[must_use]
pub fn failure(what: What, read_only: bool, lost: Lost, why: &str) -> Failure {
    let repeatable = read_only || what != What::Query;
    match lost {
        Lost::Unanswered | Lost::Partly if !repeatable => Failure::indefinite(
            ErrorCode::UnknownOutcome,
            format!(
                "The server was lost before its answer was complete; the statement may have been carried out. ({why})"
            ),
        ),
        Lost::Partly => Failure::definite(
            ErrorCode::Unavailable,
            format!("The server was lost in the middle of its answer: what has come so far is void. ({why})"),
        ),
        Lost::BeforeSent | Lost::Unanswered => {
            Failure::definite(ErrorCode::Unavailable, format!("No server could answer. ({why})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let row = |lost| [What::File, What::Query].map(|what| may_retry(what, false, lost));
        assert_eq!(row(Lost::BeforeSent), [true, true]);
        assert_eq!(row(Lost::Unanswered), [true, false]);
        assert_eq!(row(Lost::Partly), [false, false]);
        assert!(may_retry(What::Query, true, Lost::Unanswered), "a server refuses to write under this mark");
    }

    #[test]
    fn what_may_have_happened_is_never_called_definite() {
        let definite = |what, read_only, lost| failure(what, read_only, lost, "").definite;
        assert!(definite(What::Query, false, Lost::BeforeSent));
        assert!(!definite(What::Query, false, Lost::Unanswered));
        assert!(!definite(What::Query, false, Lost::Partly));
        assert!(definite(What::File, false, Lost::Partly));
        assert!(definite(What::Query, true, Lost::Unanswered));
    }
}
