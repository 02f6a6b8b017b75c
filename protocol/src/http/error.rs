//! What can go wrong with a request or an answer.

use super::{headers::InvalidField, refused::Refused, status::Status};
use crate::{deadline::Phase, wire::WireError};

/// A failure of an exchange.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The message is not to be believed. The connection must be closed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The connection failed, or was too slow. It must be closed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A handler answers with an error. The connection is fine.
    #[error("{message}")]
    Answer {
        /// The status of the answer.
        status: Status,
        /// What to tell, as a sentence.
        message: String,
    },
    /// The body is not the JSON that was expected. The connection is fine.
    #[error("The body is not the JSON that is expected here: {0}.")]
    Json(#[source] serde_json::Error),
    /// A field cannot be sent.
    #[error(transparent)]
    Field(#[from] InvalidField),
}

impl HttpError {
    /// An answer that is an error, with a sentence for the peer.
    #[must_use]
    pub fn answer(status: Status, message: impl Into<String>) -> Self {
        Self::Answer { status, message: message.into() }
    }

    /// The status with which a request that failed so is answered; `None` if there is nobody left to tell.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Refused(refused) => Some(refused.status()),
            Self::Answer { status, .. } => Some(*status),
            Self::Json(_) => Some(Status::BAD_REQUEST),
            Self::Field(_) => Some(Status::INTERNAL_SERVER_ERROR),
            Self::Wire(WireError::Timeout { phase: Phase::Head | Phase::Body, .. }) => Some(Status::REQUEST_TIMEOUT),
            Self::Wire(_) => None,
        }
    }

    /// Whether the connection is of no further use, because nobody can tell where the next message begins on it.
    #[must_use]
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Wire(_))
    }

    /// What to tell the peer: the sentence without the peer's own address.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Wire(WireError::Timeout { phase, .. }) => format!("The time for {phase} is over."),
            other => other.to_string(),
        }
    }
}

/// For readers and writers of bodies, which are `io::Read` and `io::Write`.
impl From<HttpError> for std::io::Error {
    fn from(error: HttpError) -> Self {
        Self::other(error)
    }
}

/// Back from [`std::io::Error`]: what a body's reader or writer failed with.
impl From<std::io::Error> for HttpError {
    fn from(error: std::io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(_foreign) => Self::answer(Status::INTERNAL_SERVER_ERROR, "Something went wrong inside."),
        }
    }
}
