//! What a person may change while the pool is at work.

use super::{
    Admin, Pool, Server,
    core::{Core, Effects},
    server::Cause,
    wishes::Wish,
};
use crate::{
    event::Event,
    policy::{Name, Options, ServerKey, UNLIMITED},
};
use protocol::output::count;
use std::{ops::RangeInclusive, sync::Arc};

/// The weights that there are.
pub const WEIGHTS: RangeInclusive<u32> = 1..=256;

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// There is no such server in the pool.
    #[error("There is no server {0}.")]
    NoSuchServer(String),
    /// Such a weight is none.
    #[error("A weight is a number from 1 to 256, not {0}.")]
    Weight(u32),
    /// Such a capacity is none.
    #[error("A capacity is a number from 1, or unlimited; 0 would be maintenance.")]
    NoCapacity,
    /// The server takes fewer.
    #[error("Server {server} itself takes {} at once; more cannot be given to it.", count(u64::from(*most), "request"))]
    Capacity {
        /// The server.
        server: String,
        /// What it takes.
        most: u32,
    },
}

impl Pool {
    /// The server of this id.
    ///
    /// # Errors
    /// [`Unacceptable::NoSuchServer`].
    pub fn find(&self, id: &str) -> Result<Arc<Server>, Unacceptable> {
        let found = self.locked.look(|inner| inner.members.values().find(|server| server.id == id).map(Arc::clone));
        found.ok_or_else(|| Unacceptable::NoSuchServer(id.to_owned()))
    }

    /// All servers, in no particular order.
    #[must_use]
    pub fn servers(&self) -> Vec<Arc<Server>> {
        self.locked.look(|inner| inner.members.values().map(Arc::clone).collect())
    }

    /// Notes what a person wants of the server of this id, and does it, in one step: a process that takes this one's place
    /// meanwhile finds either the wish, or what was done.
    fn grant(
        &self,
        id: &str,
        wish: impl FnOnce(&mut Wish),
        act: impl FnOnce(&mut Core, ServerKey) -> Effects,
    ) -> Result<Arc<Server>, Unacceptable> {
        let server = self.change(|inner| {
            let server = inner.members.values().find(|server| server.id == id).map(Arc::clone);
            let effects = server.as_ref().map(|server| {
                inner.wishes.change(id, wish);
                act(&mut inner.core, server.key)
            });
            (server, effects.unwrap_or_default())
        });
        server.ok_or_else(|| Unacceptable::NoSuchServer(id.to_owned()))
    }

    /// What a person has decided about the server of this id does not count any more for the next one that has it.
    pub fn forget(&self, id: &str) {
        self.change(|inner| (inner.wishes.forget(id), Effects::default()));
    }

    /// Drains a server, takes it into maintenance, or has it back.
    ///
    /// # Errors
    /// [`Unacceptable::NoSuchServer`].
    pub fn decide_on(&self, id: &str, admin: Admin) -> Result<(), Unacceptable> {
        let server = self.grant(id, |wish| wish.admin = admin, |core, key| core.decide_on(key, admin))?;
        server.decided(admin);
        if admin == Admin::Ready {
            // It has been pardoned as well.
            server.because(Cause::Ejection, None);
        }
        self.events.emit(|| Event::ServerAdministered { server: id.to_owned(), admin });
        Ok(())
    }

    /// Gives a server a weight, or takes it away again.
    ///
    /// # Errors
    /// [`Unacceptable::NoSuchServer`], [`Unacceptable::Weight`].
    pub fn weigh(&self, id: &str, weight: Option<u32>) -> Result<(), Unacceptable> {
        self.find(id)?;
        if let Some(wrong) = weight.filter(|weight| !WEIGHTS.contains(weight)) {
            return Err(Unacceptable::Weight(wrong));
        }
        self.grant(id, |wish| wish.weight = weight, |core, key| core.weigh(key, weight))?;
        self.events.emit(|| Event::ServerWeighed { server: id.to_owned(), weight });
        Ok(())
    }

    /// Has a server hold so many requests at once, at most as many as it takes itself; [`UNLIMITED`] is as many as that.
    ///
    /// # Errors
    /// [`Unacceptable::NoSuchServer`], [`Unacceptable::NoCapacity`], [`Unacceptable::Capacity`].
    pub fn resize(&self, id: &str, capacity: u32) -> Result<(), Unacceptable> {
        let server = self.find(id)?;
        if capacity == 0 {
            return Err(Unacceptable::NoCapacity);
        }
        if capacity > server.capacity && capacity != UNLIMITED {
            return Err(Unacceptable::Capacity { server: id.to_owned(), most: server.capacity });
        }
        let wanted = (capacity != UNLIMITED).then_some(capacity);
        let capacity = capacity.min(server.capacity);
        self.grant(id, |wish| wish.capacity = wanted, |core, key| core.resize(key, capacity))?;
        self.events.emit(|| Event::ServerResized { server: id.to_owned(), capacity });
        Ok(())
    }

    /// From now on this policy chooses.
    pub fn change_policy(&self, policy: Name, options: &Options) {
        self.change(|inner| {
            inner.core.change_policy(policy, options);
            ((), Effects::default())
        });
        self.events.emit(|| Event::PolicyChanged { policy });
    }

    /// The policy that chooses, and its options.
    #[must_use]
    pub fn policy(&self) -> (Name, Options) {
        self.locked.look(|inner| {
            let (policy, options) = inner.core.policy();
            (policy, options.clone())
        })
    }
}
