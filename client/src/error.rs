//! Why a request was not answered, and what that means for the one who asked.

use crate::{
    answer::{BadAnswer, SinkError, StepError},
    link::Ticket,
    received::ReceiveError,
    request::Request,
};
use protocol::{
    id::RequestId,
    message::{ErrorCode, Failure},
    wire::WireError,
};
use std::{net::SocketAddr, time::Duration};

/// What ended a request without its answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody accepts connections where the load balancer should be.
    #[error(
        "No load balancer can be reached at {address} ({why}). Start one with 'loadbalancer' (cargo run -p loadbalancer), or say with --balancer where it is.",
        why = reason(source)
    )]
    NoBalancer {
        /// Where it was looked for.
        address: SocketAddr,
        /// What happened there.
        source: WireError,
    },
    /// The request could not be sent whole, so nobody can have acted on it.
    #[error("The request could not be sent. {0}")]
    NotSent(WireError),
    /// The request was sent, and then the connection failed.
    #[error("The request was sent, but its answer was lost. {0}")]
    Lost(WireError),
    /// No answer, or no more of it, in time.
    #[error("{peer} did not answer within {} s.", .waited.as_secs_f64())]
    Late {
        /// The load balancer.
        peer: SocketAddr,
        /// How long it was given.
        waited: Duration,
    },
    /// Taken back with Ctrl-C, and nobody confirmed it.
    #[error("The request was taken back, but {0} did not confirm it.")]
    Abandoned(SocketAddr),
    /// The answer makes no sense.
    #[error("{peer} sent an answer that makes no sense. {source}")]
    BadAnswer {
        /// The load balancer.
        peer: SocketAddr,
        /// What is wrong with it.
        source: BadAnswer,
    },
    /// The load balancer or a server said that it failed.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The file could not be kept, or is not what was sent.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// Nobody reads what is printed.
    #[error("The answer cannot be printed: {0}.")]
    Output(#[from] std::io::Error),
}

fn reason(error: &WireError) -> String {
    match error {
        _ if error.is_refused() => "nobody listens there".to_owned(),
        WireError::Timeout { .. } => "it does not accept in time".to_owned(),
        WireError::Broken { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

impl Error {
    pub(crate) fn from_step(peer: SocketAddr, error: StepError) -> Self {
        match error {
            StepError::Bad(source) => Self::BadAnswer { peer, source },
            StepError::Sink(SinkError::Receive(error)) => Self::Receive(error),
            StepError::Sink(SinkError::Output(error)) => Self::Output(error),
        }
    }

    /// Whether the request surely was not and will not be carried out, as far as this side knows.
    fn is_definite(&self) -> bool {
        match self {
            Self::NoBalancer { .. } | Self::NotSent(_) => true,
            Self::Failed(failure) => failure.definite,
            Self::Lost(_) | Self::Late { .. } | Self::Abandoned(_) | Self::BadAnswer { .. } => false,
            Self::Receive(_) | Self::Output(_) => false,
        }
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::NoBalancer { .. } | Self::NotSent(_) | Self::Lost(_) => ErrorCode::Unavailable,
            Self::Late { .. } => ErrorCode::Timeout,
            Self::Abandoned(_) => ErrorCode::Cancelled,
            Self::BadAnswer { .. } => ErrorCode::Internal,
            Self::Receive(ReceiveError::Size { .. } | ReceiveError::Digest { .. } | ReceiveError::Chunk { .. }) => {
                ErrorCode::Damaged
            }
            Self::Failed(failure) => failure.code,
            Self::Receive(_) | Self::Output(_) => ErrorCode::Other,
        }
    }
}

/// Whether a failure with this code is what came of the statement, now and each time; as opposed to a failure to
/// reach somebody who knows.
#[must_use]
pub fn is_outcome(code: ErrorCode) -> bool {
    use ErrorCode::{BadRequest, Forbidden, IdReused, SqlError, TooLarge};
    matches!(code, SqlError | Forbidden | BadRequest | TooLarge | IdReused)
}

/// A request that was not answered.
#[derive(Debug)]
pub struct Failed {
    /// Which one.
    pub request: RequestId,
    /// Whether it could have changed something: then losing its answer leaves its outcome open.
    pub may_change_something: bool,
    /// Whether it had been sent before: then a refusal says nothing about what came of it then.
    pub repeated: bool,
    /// What happened.
    pub error: Error,
}

impl Failed {
    /// This request failed in this way.
    #[must_use]
    pub fn new(ticket: Ticket, request: &Request, error: Error) -> Self {
        let (may_change_something, repeated) = (request.may_change_something(), ticket.repeated);
        Self { request: ticket.id, may_change_something, repeated, error }
    }

    /// Whether the request surely has no effect. A file that did not arrive has none, whatever happened on the way. Of
    /// a request that had been sent before, only its recorded outcome is certain.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        match (&self.error, self.may_change_something) {
            (_, false) => true,
            (Error::Failed(failure), true) if self.repeated => failure.definite && is_outcome(failure.code),
            (error, true) => !self.repeated && error.is_definite(),
        }
    }

    /// The failure as a frame would tell it.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        let definite = self.is_definite();
        if let Error::Failed(failure) = &self.error {
            return Failure { definite, ..failure.clone() };
        }
        let lost = matches!(self.error, Error::Lost(_) | Error::BadAnswer { .. }) && !definite;
        let code = if lost { ErrorCode::UnknownOutcome } else { self.error.code() };
        Failure { definite, ..Failure::definite(code, self.error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::deadline::Phase;

    fn failed(may_change_something: bool, error: Error) -> Failure {
        Failed { request: RequestId::NONE, may_change_something, repeated: false, error }.to_failure()
    }

    fn peer() -> SocketAddr {
        ([127, 0, 0, 1], 5050).into()
    }

    fn closed() -> WireError {
        WireError::Closed { peer: peer(), phase: Phase::Answer }
    }

    #[test]
    fn a_lost_answer_leaves_the_outcome_of_sql_open_and_of_a_file_not() {
        let sql = failed(true, Error::Lost(closed()));
        assert_eq!((sql.code, sql.definite), (ErrorCode::UnknownOutcome, false));
        let file = failed(false, Error::Lost(closed()));
        assert_eq!((file.code, file.definite), (ErrorCode::Unavailable, true));
        assert!(!failed(true, Error::Late { peer: peer(), waited: Duration::from_secs(1) }).definite);
        assert!(failed(true, Error::NotSent(closed())).definite);
    }

    #[test]
    fn what_the_other_side_says_is_passed_on() {
        let said = Failure::indefinite(ErrorCode::Timeout, "Too late.").from_server("2").retry_after_ms(7);
        assert_eq!(failed(true, Error::Failed(said.clone())), said);
        assert!(failed(false, Error::Failed(said)).definite, "a file that did not come changed nothing");
    }

    #[test]
    fn a_refusal_of_a_repeat_does_not_settle_what_was_sent_before() {
        let repeated = |error| {
            Failed { request: RequestId::NONE, may_change_something: true, repeated: true, error }.to_failure().definite
        };
        let said = |code| Error::Failed(Failure::definite(code, "No."));
        for code in [ErrorCode::Busy, ErrorCode::Draining, ErrorCode::Unavailable, ErrorCode::Timeout] {
            assert!(!repeated(said(code)), "{code}");
        }
        for code in [ErrorCode::SqlError, ErrorCode::Forbidden, ErrorCode::IdReused] {
            assert!(repeated(said(code)), "{code}");
        }
        assert!(!repeated(Error::NotSent(closed())));
        assert!(!repeated(Error::Failed(Failure::indefinite(ErrorCode::Expired, "Too old."))));
    }

    #[test]
    fn no_load_balancer_says_where_and_what_to_do() {
        let source = protocol::wire::Connection::connect(
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap(),
            Duration::from_secs(5),
        )
        .unwrap_err();
        let words = Error::NoBalancer { address: peer(), source }.to_string();
        assert!(words.contains("127.0.0.1:5050 (nobody listens there)") && words.contains("--balancer"), "{words}");
    }
}
