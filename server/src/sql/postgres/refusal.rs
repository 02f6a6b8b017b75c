//! PostgreSQL's errors in the words of all engines.
//!
//! An error has a code of five characters (SQLSTATE), of which the first two are its class, and a sentence. Decided is by the code:
//! the sentence may be in another language.
//!
//! Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use crate::sql::{
    SqlError,
    error::{ONE_STATEMENT, sentence},
    remote::Trouble,
};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;

/// An error as PostgreSQL sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// SQLSTATE.
    pub(super) code: String,
    /// PostgreSQL's words.
    pub(super) words: String,
}

impl Refused {
    /// Reads it from its message.
    pub(super) fn read(body: &ErrorResponseBody) -> Self {
        let mut refused = Self::default();
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => refused.code = text(),
                b'M' => refused.words = text(),
                _ => {}
            }
        }
        refused
    }

    /// Whether the connection ends with it, through no fault of the statement: a shutdown, a crash, an end of the line by an administrator, no
    /// place for one more connection.
    pub(super) fn is_the_end(&self) -> bool {
        matches!(self.code.as_str(), "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "53300")
            || (self.code.starts_with("08") && self.code != "08P01")
    }

    /// Whether the engine refused it because it would write in a transaction that may only read.
    pub(super) fn would_write(&self) -> bool {
        self.code == "25006"
    }

    /// Whether a table is not there, or the schema that it would be in.
    pub(super) fn is_of_no_table(&self) -> bool {
        matches!(self.code.as_str(), "42P01" | "3F000")
    }

    /// What it means for whoever asked.
    pub(super) fn trouble(self) -> Trouble {
        let Self { code, words } = self;
        let class = code.get(..2).unwrap_or_default();
        Trouble::Failed(match (class, code.as_str()) {
            (_, "40001" | "40P01") => return Trouble::Again(words),
            (_, "42601") if words.contains("multiple commands") => SqlError::BadRequest(ONE_STATEMENT),
            (_, "08P01" | "42P02") => {
                SqlError::BadRequest("The statement has a parameter ($1), and a request gives no values.")
            }
            (_, "42501") => SqlError::Forbidden(sentence(&words)),
            (_, "53200") => SqlError::TooLarge("The statement needs more memory than the database grants.".into()),
            ("54", _) => SqlError::TooLarge(sentence(&words)),
            // What says something about the moment: somebody else's cancel, a lock that was not waited for, a full disk.
            ("53" | "57" | "58" | "55", _) => SqlError::Unavailable(words),
            (_, "XX001" | "XX002") => SqlError::Damaged(words),
            _ => SqlError::Sql(sentence(&words)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_what_an_error_means() {
        let trouble = |code: &str| Refused { code: code.into(), words: "no such thing".into() }.trouble();
        for code in ["40001", "40P01"] {
            assert!(matches!(trouble(code), Trouble::Again(_)), "{code}");
        }
        assert!(matches!(trouble("42501"), Trouble::Failed(SqlError::Forbidden(_))));
        assert!(matches!(trouble("23505"), Trouble::Failed(SqlError::Sql(words)) if words == "No such thing."));
        assert!(
            matches!(trouble("57014"), Trouble::Failed(SqlError::Unavailable(_))),
            "it was not the statement's fault"
        );
        assert!(matches!(trouble(""), Trouble::Failed(SqlError::Sql(_))));
        assert!(Refused { code: "57P01".into(), words: String::new() }.is_the_end());
    }
}
