//! What can go wrong between two ends of a connection.

use crate::{
    deadline::Phase,
    frame::{FrameError, Kind},
    message::{ErrorCode, Failure},
};
use std::{io, net::SocketAddr};

/// A failure of a connection, with the peer and the phase. After any of them the connection is of no use: what
/// follows on it could be read in two ways.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer ended the connection where more had to come.
    #[error("{peer} closed the connection while this side was {phase}.")]
    Closed {
        /// The other side.
        peer: SocketAddr,
        /// What was being waited for.
        phase: Phase,
    },
    /// The deadline of a phase passed.
    #[error("{peer} took too long: the time for {phase} is over.")]
    Timeout {
        /// The other side.
        peer: SocketAddr,
        /// What was being waited for.
        phase: Phase,
    },
    /// The system reported an error.
    #[error("The connection to {peer} failed while {phase}: {source}.")]
    Broken {
        /// The other side.
        peer: SocketAddr,
        /// What was being done.
        phase: Phase,
        /// The system's own words.
        source: io::Error,
    },
    /// The bytes are no frame.
    #[error("{source} (from {peer})")]
    Frame {
        /// The other side.
        peer: SocketAddr,
        /// What is wrong with the prefix.
        source: FrameError,
    },
    /// The header of a frame is not what its kind demands.
    #[error("The header of a frame of kind {kind:?} from {peer} cannot be read: {source}.")]
    Header {
        /// The other side.
        peer: SocketAddr,
        /// The kind of the frame.
        kind: Kind,
        /// What is wrong with the JSON.
        source: serde_json::Error,
    },
    /// A frame that makes no sense here.
    #[error("{peer} sent a frame of kind {kind:?}, which has no meaning at this point.")]
    Unexpected {
        /// The other side.
        peer: SocketAddr,
        /// The kind of the frame.
        kind: Kind,
    },
}

impl WireError {
    pub(crate) fn closed(peer: SocketAddr, phase: Phase) -> Self {
        Self::Closed { peer, phase }
    }

    pub(super) fn broken(peer: SocketAddr, phase: Phase, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::TimedOut if phase == Phase::Connect => Self::Timeout { peer, phase },
            _ => Self::Broken { peer, phase, source },
        }
    }

    /// Whether the peer broke the rules of the protocol (as opposed to being slow or gone).
    #[must_use]
    pub fn is_protocol_violation(&self) -> bool {
        matches!(self, Self::Frame { .. } | Self::Header { .. } | Self::Unexpected { .. })
    }

    /// Whether nobody listens at the address, so that on this machine the process is surely gone.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Broken { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// What to tell the peer before the connection is closed; `None` when there is nobody left to tell.
    #[must_use]
    pub fn farewell(&self) -> Option<Failure> {
        let code = match self {
            Self::Closed { .. } | Self::Broken { .. } => return None,
            Self::Timeout { phase: Phase::Idle | Phase::Send, .. } => return None,
            Self::Timeout { .. } => ErrorCode::Timeout,
            Self::Frame { source: FrameError::Version(_), .. } => ErrorCode::Version,
            Self::Frame { source: FrameError::Header(_) | FrameError::Body(_), .. } => ErrorCode::TooLarge,
            Self::Frame { .. } | Self::Header { .. } | Self::Unexpected { .. } => ErrorCode::BadRequest,
        };
        Some(Failure::definite(code, self.to_string()))
    }
}
