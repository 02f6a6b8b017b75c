//! A server's place in the pool: what it is doing, what a person has decided about it, and whether it may get a request.

use super::Wanted;
use crate::{
    health::outlier::Observed,
    policy::{Candidate, ServerKey},
};
use std::{sync::Arc, time::Duration};

/// Whether a server is able to take requests, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Yes.
    Up,
    /// Not until it has been asked: an answer of it was lost.
    Doubtful,
    /// No: it does not answer.
    Down,
    /// No: it is ending, and finishes what it has.
    Draining,
}

/// What a person has decided about a server. It holds whatever its state is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Admin {
    /// It gets requests when it can take them.
    #[default]
    Ready,
    /// It gets nothing new and finishes what it has.
    Drain,
    /// It gets nothing new and finishes what it has, and whether it lives is nobody's concern: it may be stopped,
    /// replaced and started again without an alarm.
    Maintenance,
}

/// Why a server was not considered for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skipped {
    /// It holds as many requests as it may.
    Busy,
    /// An answer of it was lost and it has not been asked yet.
    Doubtful,
    /// It does not answer.
    Down,
    /// It is ending.
    Draining,
    /// A person has it drained.
    Drain,
    /// A person has it in maintenance.
    Maintenance,
    /// It failed too often, or is much slower than the others, and is left out for a while.
    Ejected,
    /// It has just returned and gets a growing share of the requests; this one was not in it.
    WarmingUp,
    /// It has already lost this request, or is working on a copy of it.
    AlreadyTried,
    /// Of a sharded table: it has missed a change of the shard, and was not filled yet.
    OutOfStep,
    /// It has another database than the one that may have carried the request out.
    OtherDatabase,
}

/// How a server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is able to take requests.
    pub state: State,
    /// What a person has decided.
    pub admin: Admin,
    /// Whether it is left out for a while because of how it did.
    pub ejected: bool,
    /// Whether it has just returned and gets a growing share.
    pub warming_up: bool,
    /// How many requests it holds.
    pub active: u32,
    /// How many it held at the most.
    pub most_active: u32,
    /// How many it may hold.
    pub capacity: u32,
    /// The weight that a person gave it.
    pub weight: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) seen: Candidate,
    /// The most requests it held at once.
    pub(super) most_active: u32,
    pub(super) database: Option<Arc<str>>,
    pub(super) state: State,
    pub(super) admin: Admin,
    /// Of the active requests, those whose end is in doubt.
    pub(super) doubtful: u32,
    /// How many ended in doubt since the server joined.
    pub(super) doubts: u64,
    /// How it did lately.
    pub(super) observed: Observed,
    /// Since when it is back, while it is warming up.
    pub(super) back_since: Option<Duration>,
}

impl Slot {
    pub(super) fn key(&self) -> ServerKey {
        self.seen.key
    }

    /// Whether it is able and allowed to take requests, now or when it has room.
    pub(super) fn takes_requests(&self) -> bool {
        self.state == State::Up && self.admin == Admin::Ready
    }

    /// Whether it is, or will be when its doubts are settled.
    pub(super) fn is_hoped_for(&self) -> bool {
        matches!(self.state, State::Up | State::Doubtful) && self.admin == Admin::Ready
    }

    /// Whether the request may go to this server at all.
    pub(super) fn serves(&self, wanted: &Wanted) -> bool {
        self.is_among(wanted) && (wanted.database.is_none() || wanted.database == self.database)
    }

    /// Whether it is one of those that can answer the request.
    pub(super) fn is_among(&self, wanted: &Wanted) -> bool {
        wanted.among.as_ref().is_none_or(|among| among.contains(&self.seen.key))
    }

    pub(super) fn is_avoided(&self, wanted: &Wanted) -> bool {
        wanted.avoid.contains(&self.seen.key)
    }

    /// Why this server cannot take the request now; `None` if it can, apart from [`Skipped::WarmingUp`].
    pub(super) fn why_not(&self, wanted: &Wanted, heed: Heed, now: Duration) -> Option<Skipped> {
        match (self.state, self.admin) {
            (State::Down, _) => Some(Skipped::Down),
            (State::Draining, _) => Some(Skipped::Draining),
            (_, Admin::Maintenance) => Some(Skipped::Maintenance),
            (_, Admin::Drain) => Some(Skipped::Drain),
            (State::Doubtful, _) => Some(Skipped::Doubtful),
            (State::Up, _) if !self.is_among(wanted) => Some(Skipped::OutOfStep),
            (State::Up, _) if !self.serves(wanted) => Some(Skipped::OtherDatabase),
            (State::Up, _) if heed.avoided && self.is_avoided(wanted) => Some(Skipped::AlreadyTried),
            (State::Up, _) if heed.ejected && self.observed.is_ejected(now) => Some(Skipped::Ejected),
            (State::Up, _) if self.seen.active >= self.seen.capacity => Some(Skipped::Busy),
            (State::Up, _) => None,
        }
    }
}

/// Which reasons count: those that leave another server to hope for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heed {
    /// There is a server that has not lost this request.
    pub(super) avoided: bool,
    /// There is a server that is not ejected.
    pub(super) ejected: bool,
}
