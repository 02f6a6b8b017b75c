//! What a server may say.
//!
//! A server's bytes are read as suspiciously as a client's. Its tag on a frame says which request it means; here it is
//! seen whether such a frame may come at this point of an answer. The bodies are the client's business: a relay does
//! not understand what it passes on.

use super::request::What;
use protocol::{
    frame::{Kind, Prefix},
    message::{ErrorCode, Failure},
};

/// What a server says of itself, not of the request: it is full, ending, or has lost its database.
const NOT_NOW: [ErrorCode; 3] = [ErrorCode::Busy, ErrorCode::Draining, ErrorCode::Unavailable];

/// A frame of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// A part of it; more must follow.
    Part,
    /// The end of an answer that is complete.
    Complete,
    /// The end of one that failed.
    Failed(Failure),
}

impl Said {
    /// The server's own "not now", which another server need not share.
    #[must_use]
    pub fn not_now(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) if failure.definite && NOT_NOW.contains(&failure.code) => Some(failure),
            _ => None,
        }
    }
}

/// Understands a frame of the answer to `what`; `first`: it is the first one.
///
/// # Errors
/// A sentence, if it cannot be part of such an answer.
pub fn understand(what: What, first: bool, prefix: &Prefix, header: &[u8]) -> Result<Said, String> {
    let streams = what != What::Ping;
    match prefix.kind {
        Kind::Head if streams && first => Ok(Said::Part),
        Kind::Data if streams && !first => Ok(Said::Part),
        Kind::End if streams && !first => Ok(Said::Complete),
        Kind::Pong if !streams && first => Ok(Said::Complete),
        Kind::Error => match serde_json::from_slice(header) {
            Ok(failure) => Ok(Said::Failed(failure)),
            Err(error) => Err(format!("Its error cannot be read: {error}.")),
        },
        kind => Err(format!("It sent a frame of kind {kind:?}, which has no meaning at that point of an answer.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::RequestId;

    fn said(what: What, first: bool, kind: Kind) -> Option<Said> {
        understand(what, first, &Prefix::new(kind, RequestId::NONE, 0, 0), b"").ok()
    }

    #[test]
    fn an_answer_has_one_head_then_data_then_an_end() {
        for what in [What::File, What::Query] {
            assert_eq!(said(what, true, Kind::Head), Some(Said::Part));
            assert_eq!(said(what, false, Kind::Data), Some(Said::Part));
            assert_eq!(said(what, false, Kind::End), Some(Said::Complete));
            let (early, late) = ([Kind::Data, Kind::End, Kind::Pong], [Kind::Head, Kind::Pong]);
            assert!(early.into_iter().all(|kind| said(what, true, kind).is_none()));
            assert!(late.into_iter().all(|kind| said(what, false, kind).is_none()));
        }
        assert_eq!(said(What::Ping, true, Kind::Pong), Some(Said::Complete));
        assert_eq!(said(What::Ping, true, Kind::Head), None);
    }

    #[test]
    fn questions_are_no_answers() {
        for kind in [Kind::File, Kind::Query, Kind::Cancel, Kind::Identity, Kind::Alive, Kind::ServerList] {
            assert_eq!((said(What::Query, true, kind), said(What::Query, false, kind)), (None, None));
        }
    }

    #[test]
    fn an_error_must_be_readable() {
        let prefix = Prefix::new(Kind::Error, RequestId::NONE, 0, 0);
        assert!(understand(What::Query, true, &prefix, b"[]").is_err());
        let busy = Failure::definite(ErrorCode::Busy, "Not now.");
        let said = understand(What::Query, true, &prefix, &protocol::wire::to_header(&busy)).unwrap();
        assert_eq!(said.not_now(), Some(&busy));
    }
}
