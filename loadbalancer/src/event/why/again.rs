//! Whether a request that a server lost may go to another one, and why: the rules of the frontends in words.
//!
//! What a request is, is seen in its text, which is all that the journal has of it; only the frontends know for sure. Here
//! nothing depends on it but the choice of words.

use super::spent::Clock;
use crate::dispatch::retry::{Lost, MAX_ATTEMPTS};

/// What was asked, as far as its text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// A file of this name.
    File(&'a str),
    /// A pong.
    Pong,
    /// A connection.
    Connection,
    /// Something over HTTP: a method and a path.
    Http(&'a str),
    /// SQL.
    Statement(&'a str),
    /// The beginning is missing.
    Unknown,
}

impl<'a> Asked<'a> {
    pub fn of(text: Option<&'a str>) -> Self {
        let http = |text: &str| {
            let method = text.split_once(" /").map(|(method, _)| method);
            method.is_some_and(|method| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()))
        };
        match text {
            None => Self::Unknown,
            Some("ping") => Self::Pong,
            Some("a connection") => Self::Connection,
            Some(text) if http(text) => Self::Http(text),
            Some(text) => text.strip_prefix("file ").map_or(Self::Statement(text), Self::File),
        }
    }
}

/// What came after a loss, and why.
pub(super) fn what_next(asked: Asked<'_>, again: bool, lost: Option<Lost>, clock: &Clock) -> String {
    if clock.is_sharded() {
        let said = if again {
            "Others that are in step have the same rows: one of them is asked."
        } else {
            "No other server is in step: nobody has these rows at the moment."
        };
        return said.to_owned();
    }
    if clock.running() > 0 && !clock.is_answering() {
        return "It went on at the other server that had it.".to_owned();
    }
    if again { why_again(asked, lost).to_owned() } else { why_not_again(asked, lost) }
}

fn why_again(asked: Asked<'_>, lost: Option<Lost>) -> &'static str {
    match (lost, asked) {
        (None, _) => "It said so itself, or confirmed that it stopped: another server may have it.",
        (Some(Lost::BeforeSent), _) => {
            "It had not got all of the request, so it cannot have acted on it: another server may have it."
        }
        (Some(Lost::Unanswered), Asked::File(_) | Asked::Pong) => {
            "The client had nothing of the answer, and reading twice does no harm: another server may have it."
        }
        (Some(Lost::Unanswered), Asked::Statement(_)) => {
            "It may have carried it out. Its database records outcomes under the request's id, so another server of that \
             database may have it: what was done is found there, and not done twice."
        }
        (Some(Lost::Unanswered), Asked::Http(_)) => {
            "The client had nothing of the answer, and such a request may be made twice: another server may have it."
        }
        (Some(Lost::Unanswered), _) => "Another server may have it.",
        (Some(Lost::Partly), _) => "The client has the beginning of it: another server may go on at that byte.",
    }
}

fn why_not_again(asked: Asked<'_>, lost: Option<Lost>) -> String {
    match (lost, asked) {
        (None, _) => "What the server said is final, or attempts, time or the budget for trying again were used up.",
        (Some(Lost::Unanswered), Asked::Statement(_)) => {
            "It may have carried it out, and is not asked again: its outcome is not recorded, or attempts, time or the \
             budget for trying again were used up."
        }
        (Some(Lost::Unanswered), Asked::Http(_)) => {
            "It may have carried it out, and is not asked again: such a request may not be made twice, or attempts, time \
             or the budget for trying again were used up."
        }
        (Some(Lost::Partly), Asked::Statement(_)) => {
            "The client has a part of the rows, and two results are never joined: nobody else may have it."
        }
        (Some(Lost::Partly), Asked::Http(_)) => {
            "The client has a part of the answer, and no other server can go on with it surely, or attempts, time or the \
             budget were used up."
        }
        (Some(_), _) => {
            return format!("It was not tried again: its {MAX_ATTEMPTS} attempts, its time, or the budget were used up.");
        }
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_seen_in_its_text() {
        let of = |text| Asked::of(Some(text));
        assert_eq!((Asked::of(None), of("ping"), of("a connection")), (Asked::Unknown, Asked::Pong, Asked::Connection));
        assert_eq!((of("file a b"), of("GET /a?b")), (Asked::File("a b"), Asked::Http("GET /a?b")));
        for sql in ["SELECT 1 /2", "SELECT 1", "select a /b", " /x", ""] {
            assert_eq!(of(sql), Asked::Statement(sql));
        }
    }
}
