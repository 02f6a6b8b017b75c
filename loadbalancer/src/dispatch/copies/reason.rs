//! Why a datagram goes to one more server, and how that is found.

use crate::pool::{Found, Pool, Wanted};
use std::sync::Arc;

/// Why a request is sent to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has no server yet, or has lost its own, or that is silent.
    Needed,
    /// Beside others, from the beginning.
    Duplicate,
    /// Beside another that is late.
    Hedge,
}

impl Reason {
    /// A server that is free at this moment. Nobody waits in a queue for it: who carries datagrams carries those of all.
    #[must_use]
    pub fn find(self, pool: &Arc<Pool>, wanted: &Wanted) -> Option<Found> {
        match self {
            Self::Needed => pool.take_now(wanted),
            Self::Duplicate | Self::Hedge => pool.take_another(wanted),
        }
    }
}
