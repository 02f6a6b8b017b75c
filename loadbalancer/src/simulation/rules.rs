//! Whom the simulation asks: the rules of the pool, or a version of them with a planted mistake.

use crate::{
    policy::{Ended, ServerKey},
    pool::core::{Core, Decision, Effects, Taken, Ticket, Wanted},
};
use std::time::Duration;

/// The calls that a planted mistake may get wrong. As they stand here they are right.
pub(super) trait Rules {
    /// The rules of the pool.
    fn core(&self) -> &Core;
    /// The same, to change them.
    fn core_mut(&mut self) -> &mut Core;

    /// A request wants a server.
    fn take(&mut self, wanted: &Wanted) -> Taken {
        self.core_mut().take(wanted)
    }

    /// A copy wants another server.
    fn take_another(&mut self, wanted: &Wanted) -> Option<Decision> {
        self.core_mut().take_another(wanted)
    }

    /// A request leaves the queue.
    fn withdraw(&mut self, ticket: Ticket) -> bool {
        self.core_mut().withdraw(ticket)
    }

    /// A server is done with a request.
    fn give_back(&mut self, key: ServerKey, ended: Ended, took: Duration) -> Effects {
        self.core_mut().give_back(key, ended, took)
    }

    /// Nobody knows whether a server is done.
    fn doubt(&mut self, key: ServerKey, took: Duration) -> Effects {
        self.core_mut().doubt(key, took)
    }

    /// A server has said what it is doing.
    fn settle(&mut self, key: ServerKey, serving: u32, doubts: u64) -> (bool, Effects) {
        self.core_mut().settle(key, serving, doubts)
    }
}

/// The rules as they are.
#[derive(Debug)]
pub(super) struct Faithful(pub(super) Core);

impl Rules for Faithful {
    fn core(&self) -> &Core {
        &self.0
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.0
    }
}
