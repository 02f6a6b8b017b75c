//! What can go wrong with a statement, and what the client is told.

use super::{once::Refusal, watch::Interrupt};
use protocol::message::{ErrorCode, Failure};

/// Why a statement was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The request is not one statement.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The statement is understood and not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// The database refused it, in its own words.
    #[error("{0}")]
    Sql(String),
    /// A value, a row, an answer or the need for memory is larger than a limit.
    #[error("{0}")]
    TooLarge(String),
    /// The watch ended it.
    #[error("{0}")]
    Interrupted(#[from] Interrupt),
    /// The answer cannot be delivered any more; the sink knows why.
    #[error("The answer could not be delivered.")]
    Undeliverable,
    /// Its id forbids it; see [`once`](super::once).
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It has failed before, for good: the failure as it was told then.
    #[error("{}", .0.message)]
    Recorded(Failure),
    /// The attempt has failed and nothing was changed by it; but the request was sent before, and what became of that is
    /// not known.
    #[error("{0} Whether the request was carried out when it was sent before is not known.")]
    Repeated(Box<Self>),
    /// It was carried out, and nobody can say with which outcome.
    #[error("The request was carried out, or has failed for good, but the record of its outcome cannot be read.")]
    Unreadable,
    /// The file or the disk failed; nothing was changed.
    #[error("The database could not carry out the statement: {0}.")]
    Unavailable(String),
    /// The file is damaged; nothing was changed.
    #[error("The database's file is damaged: {0}.")]
    Damaged(String),
    /// The commit failed in a way that leaves open whether it took place.
    #[error("The commit failed ({0}); whether the statement was carried out is not known.")]
    Unsure(String),
}

impl SqlError {
    /// The failure to be sent to the client.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::BadRequest(_) => ErrorCode::BadRequest,
            Self::Forbidden(_) => ErrorCode::Forbidden,
            Self::Sql(_) => ErrorCode::SqlError,
            Self::TooLarge(_) => ErrorCode::TooLarge,
            Self::Interrupted(Interrupt::TimeLimit | Interrupt::Locked) => ErrorCode::Timeout,
            Self::Interrupted(Interrupt::Cancelled | Interrupt::Gone) | Self::Undeliverable => ErrorCode::Cancelled,
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Damaged(_) => ErrorCode::Damaged,
            Self::Refused(Refusal::IdReused) => ErrorCode::IdReused,
            Self::Refused(_) => return Failure::indefinite(ErrorCode::Expired, told(self)),
            Self::Recorded(failure) => return failure.clone(),
            Self::Repeated(error) => return Failure::indefinite(error.failure().code, told(self)),
            Self::Unsure(_) | Self::Unreadable => return Failure::indefinite(ErrorCode::UnknownOutcome, told(self)),
        };
        Failure::definite(code, told(self))
    }

    /// Whether it says something about the statement, so that asking again with the same id must find it again. Others
    /// say something about the moment.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::BadRequest(_) | Self::Forbidden(_) | Self::Sql(_) | Self::TooLarge(_))
    }

    /// Whether it says nothing about the statement, and nothing about an attempt before: another time it may not come.
    #[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code, reason = "SQLite is in no doubt"))]
    pub(super) fn is_of_the_moment(&self) -> bool {
        matches!(self, Self::Interrupted(_) | Self::Undeliverable | Self::Unavailable(_) | Self::Damaged(_))
    }

    /// The same failure of a request that was sent before. Only what is recorded, and a refused id, is certain then.
    pub(super) fn of_a_repeat(self) -> Self {
        match self {
            Self::Interrupted(_) | Self::Unavailable(_) | Self::Damaged(_) => Self::Repeated(Box::new(self)),
            other => other,
        }
    }

    /// Whether the connection to the database should be opened anew before it is used again.
    pub(super) fn spoils_the_connection(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Damaged(_) | Self::Unsure(_))
    }
}

/// What is said to a request of several statements.
pub(super) const ONE_STATEMENT: &str =
    "A request is one statement, and here are several. Send each by itself; each is its own transaction.";

/// A database writes `no such table: NOPE`; a sentence begins large and ends with a full stop.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let end = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// Most characters of a failure's message. Messages repeat names out of the statement, which may be as long as the
/// statement, while a failure has to fit into the header of a frame.
const LONGEST: usize = 1_000;

fn told(error: &SqlError) -> String {
    let words = error.to_string();
    match words.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}….", &words[..at]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{limits::MAX_HEADER, wire::to_header};

    #[test]
    fn a_failure_fits_into_a_header_whatever_names_are_in_it() {
        for name in ["x", "\0", "\u{1F3A8}"] {
            let failure = SqlError::Sql(sentence(&format!("no such table: {}", name.repeat(1_000_000)))).failure();
            assert!(to_header(&failure).len() < MAX_HEADER && failure.message.ends_with("….") && failure.definite);
        }
    }

    #[test]
    fn of_a_repeat_only_what_says_something_about_the_statement_is_definite() {
        let definite = |error: SqlError| error.of_a_repeat().failure().definite;
        assert!(definite(SqlError::Sql("No.".into())) && definite(SqlError::Refused(Refusal::IdReused)));
        assert!(!definite(Interrupt::Locked.into()) && !definite(SqlError::Unavailable("full".into())));
        assert!(!definite(SqlError::Refused(Refusal::TooOld)) && !definite(SqlError::Unreadable));
        let failure = SqlError::from(Interrupt::Locked).of_a_repeat().failure();
        assert_eq!(failure.code, ErrorCode::Timeout);
        assert!(SqlError::from(Interrupt::Locked).failure().definite, "the first time nothing else was under way");
    }
}
