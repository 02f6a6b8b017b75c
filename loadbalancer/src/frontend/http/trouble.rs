//! What can go wrong between a client, us and a server; and whose fault it is.

use crate::dispatch::retry::Lost;
use protocol::http::HttpError;

/// Why an attempt did not come to its end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server is lost, hangs, or says what is no answer.
    Server {
        /// How far it had come.
        lost: Lost,
        /// What happened, as a sentence.
        why: String,
        /// What kind of loss.
        how: How,
    },
    /// The client is gone, or does not take its answer.
    Client(String),
    /// The request's body is too large, too slow, or no body.
    Request(HttpError),
}

/// How a server was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It ended the connection before it had said a word: on a connection that was kept that is usual.
    Silent,
    /// It said nothing in time.
    Late,
    /// Anything else.
    Broken,
}

impl Trouble {
    /// The server ended the connection before it had said a word.
    pub(super) fn silent(why: impl Into<String>) -> Self {
        Self::Server { lost: Lost::Unanswered, why: why.into(), how: How::Silent }
    }

    /// The server failed after it had got the request, or a part of it.
    pub(super) fn unanswered(why: impl Into<String>) -> Self {
        Self::Server { lost: Lost::Unanswered, why: why.into(), how: How::Broken }
    }

    /// The server was too slow.
    pub(super) fn late() -> Self {
        Self::Server { lost: Lost::Unanswered, why: "it said nothing in time".to_owned(), how: How::Late }
    }

    /// The server failed in the middle of its answer, of which the client has a part.
    pub(super) fn partly(why: impl Into<String>) -> Self {
        Self::Server { lost: Lost::Partly, why: why.into(), how: How::Broken }
    }

    /// The client failed.
    pub(super) fn client(error: &HttpError) -> Self {
        Self::Client(error.sentence())
    }

    /// The client's body failed: as a request, or because the client is gone.
    pub(super) fn request(error: HttpError) -> Self {
        if error.status().is_some() { Self::Request(error) } else { Self::client(&error) }
    }
}
