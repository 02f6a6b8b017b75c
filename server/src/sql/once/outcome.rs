//! What a writing statement came to, and how that stands in its record.
//!
//! A record is text: one line of JSON that says what kind of outcome it is, then the rows as they go over the wire, one
//! line each. So whoever opens the database with another program can read it, and the answer to a repeat is made of the same
//! bytes as the first one.

use super::SqlError;
use crate::sql::Outcome;
use protocol::message::Failure;
use serde::{Deserialize, Serialize};

/// The rows that a writing statement has returned (`RETURNING`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The titles of the columns, as they are sent.
    pub columns: Vec<String>,
    /// How many rows.
    pub rows: u64,
    /// The rows as JSON Lines.
    pub lines: String,
    /// Whether they are recorded, so that a repeat of the request returns the same.
    pub recorded: bool,
}

/// What a writing statement came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sql) enum Written {
    /// It returned no rows.
    Changed { rows: u64 },
    /// It returned rows.
    Returned(Returned),
    /// It failed for good, and has changed nothing.
    Failed(Failure),
}

/// The first line of a record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Title {
    Changed { rows: u64 },
    Returned { rows: u64, columns: Vec<String> },
    Failed(Failure),
}

impl Written {
    /// The text of the record.
    pub(in crate::sql) fn encode(&self) -> Result<String, SqlError> {
        let (title, lines) = match self {
            Self::Changed { rows } => (Title::Changed { rows: *rows }, ""),
            Self::Returned(Returned { columns, rows, lines, .. }) => {
                (Title::Returned { rows: *rows, columns: columns.clone() }, lines.as_str())
            }
            Self::Failed(failure) => (Title::Failed(failure.clone()), ""),
        };
        let mut text = serde_json::to_string(&title).map_err(|_| SqlError::Unreadable)?;
        text.push('\n');
        text.push_str(lines);
        Ok(text)
    }

    /// As its requester is told it: to the byte the same, the first time and later.
    pub(in crate::sql) fn told(self, recorded: bool) -> Result<Outcome, SqlError> {
        match self {
            Self::Changed { rows } => Ok(Outcome::Changed { rows }),
            Self::Returned(returned) => Ok(Outcome::Returned(Returned { recorded, ..returned })),
            Self::Failed(failure) => Err(SqlError::Recorded(failure)),
        }
    }

    /// Reads the text of a record.
    pub(in crate::sql) fn decode(text: &str) -> Result<Self, SqlError> {
        let (title, lines) = text.split_once('\n').ok_or(SqlError::Unreadable)?;
        let title = serde_json::from_str(title).map_err(|_| SqlError::Unreadable)?;
        match title {
            Title::Returned { rows, columns } if rows == lines.matches('\n').count() as u64 => {
                Ok(Self::Returned(Returned { columns, rows, lines: lines.to_owned(), recorded: true }))
            }
            Title::Changed { rows } if lines.is_empty() => Ok(Self::Changed { rows }),
            Title::Failed(failure) if lines.is_empty() => Ok(Self::Failed(failure)),
            _ => Err(SqlError::Unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::message::ErrorCode;

    fn examples() -> [Written; 4] {
        let returned = |rows, lines: &str| {
            let columns = vec!["two\nlines".into(), "ä".into()];
            Written::Returned(Returned { columns, rows, lines: lines.into(), recorded: true })
        };
        [
            Written::Changed { rows: 3 },
            returned(0, ""),
            returned(2, "[1,\"a\\nb\"]\n[2,null]\n"),
            Written::Failed(Failure::definite(ErrorCode::SqlError, "UNIQUE constraint\nfailed: \"t\".")),
        ]
    }

    #[test]
    fn every_outcome_comes_back_as_it_was_noted() {
        for example in examples() {
            let text = example.encode().unwrap();
            assert_eq!(Written::decode(&text).unwrap(), example, "{text}");
        }
        assert_eq!(examples()[0].encode().unwrap(), "{\"changed\":{\"rows\":3}}\n", "people can read it");
    }

    #[test]
    fn a_record_that_was_cut_anywhere_is_not_taken_for_another_outcome() {
        for example in examples() {
            let text = example.encode().unwrap();
            for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
                assert!(matches!(Written::decode(&text[..end]), Err(SqlError::Unreadable)), "{:?}", &text[..end]);
            }
        }
        assert!(Written::decode("{\"moved\":{}}\n").is_err());
        assert!(Written::decode("{\"changed\":{\"rows\":3}}\n[1]\n").is_err());
    }
}
