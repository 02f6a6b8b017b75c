//! What an event is about: a request, or a server.

use super::Event;
use protocol::id::RequestId;

impl Event {
    /// The request of which this is a step.
    #[must_use]
    pub fn request(&self) -> Option<RequestId> {
        match self {
            Self::RequestReceived { request, .. }
            | Self::RequestWaits { request, .. }
            | Self::ServerChosen { request, .. }
            | Self::ServersNamed { request, .. }
            | Self::CopySent { request, .. }
            | Self::CopyNotSent { request, .. }
            | Self::CopyLost { request, .. }
            | Self::AnswerBegun { request, .. }
            | Self::FileResumed { request, .. }
            | Self::AnswerTaken { request, .. }
            | Self::FileSent { request, .. }
            | Self::ResponseSent { request, .. }
            | Self::ConnectionEnded { request, .. }
            | Self::RequestFailed { request, .. }
            | Self::RequestCancelled { request, .. }
            | Self::RequestAbandoned { request, .. }
            | Self::ShardsLocked { request, .. }
            | Self::ShardRead { request, .. }
            | Self::ChangeOrdered { request, .. }
            | Self::ReplicaOutOfStep { request, .. }
            | Self::ChangeDone { request, .. }
            | Self::ChangeUnknown { request, .. }
            | Self::TableChanged { request, .. }
            | Self::AttemptFailed { request, .. } => Some(*request),
            _ => None,
        }
    }

    /// Whether this is the last step of its request.
    #[must_use]
    pub fn ends_a_request(&self) -> bool {
        matches!(
            self,
            Self::ResponseSent { .. }
                | Self::ConnectionEnded { .. }
                | Self::RequestFailed { .. }
                | Self::RequestCancelled { .. }
                | Self::RequestAbandoned { .. }
        )
    }

    /// The server that this happened to, apart from any request.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::ForeignAnswer { server, .. }
            | Self::ServerJoined { server, .. }
            | Self::ServerDoubtful { server, .. }
            | Self::ServerUp { server }
            | Self::ServerDown { server, .. }
            | Self::ServerDraining { server }
            | Self::ServerEjected { server, .. }
            | Self::ServerReadmitted { server }
            | Self::ServerAdministered { server, .. }
            | Self::ServerWeighed { server, .. }
            | Self::ServerResized { server, .. }
            | Self::ServerLeft { server }
            | Self::ServerRemoved { server }
            | Self::ReplicaInService { server, .. }
            | Self::ReplicaLost { server, .. }
            | Self::ReplicaReplaced { server, .. }
            | Self::ReplicaRemoved { server }
            | Self::ReplicaOutOfStep { server, .. }
            | Self::ReplicaFilled { server, .. }
            | Self::ReplicaNotFilled { server, .. }
            | Self::ReplicaEmpty { server, .. }
            | Self::LeaseEnded { server, .. } => Some(server),
            _ => None,
        }
    }
}
