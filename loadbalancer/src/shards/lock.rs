//! The lock of a shard, and what can be seen of it without the lock.
//!
//! **The problem.** Whoever changes a shard holds its lock alone until all its servers have the change: up to 2 s, if one is stopped. The
//! keeper must see all the time which servers are out of step; would it wait for that lock, nobody would start another server
//! meanwhile, and with a busy shard "try again later" would never come.
//!
//! **The idea.** Whoever gives the lock back leaves a copy of what others want to know ([`Seen`]). It may be old by the change that is under way,
//! never by one that is over. Who must know that those are over that were under way at some moment counts how many have begun
//! ([`Lock::begun`]), and waits until so many have ended: a server that comes back in the middle of a change that it has missed is still in
//! step by the copy, and is not.

use super::group::Group;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::{
    collections::BTreeSet,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicU64, Ordering},
};

/// A shard behind its lock.
#[derive(Debug)]
pub struct Lock {
    group: RwLock<Group>,
    /// Held for a copy.
    seen: Mutex<Seen>,
    /// How often it was held alone, and how often that was over.
    begun: AtomicU64,
    ended: AtomicU64,
}

/// What a shard was like when it was changed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether it is agreed at which change it is.
    pub settled: bool,
    /// See [`Group::generation`].
    pub generation: u64,
    /// The servers that have all changes.
    pub in_step: BTreeSet<String>,
}

impl Seen {
    fn of(group: &Group) -> Self {
        Self { settled: group.seq.is_some(), generation: group.generation(), in_step: group.in_step.clone() }
    }
}

impl Lock {
    /// A lock that nobody holds.
    #[must_use]
    pub fn new(group: Group) -> Self {
        let (begun, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { seen: Mutex::new(Seen::of(&group)), group: RwLock::new(group), begun, ended }
    }

    /// Holds it together with other readers.
    pub fn read(&self) -> RwLockReadGuard<'_, Group> {
        self.group.read()
    }

    /// Holds it alone.
    pub fn alone(&self) -> Alone<'_> {
        let group = self.group.write();
        self.begun.fetch_add(1, Ordering::SeqCst);
        Alone { group, lock: self }
    }

    /// How many times it was held alone so far, the one that is under way among them.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether so many of these times are over, and what they have come to can be seen.
    #[must_use]
    pub fn are_over(&self, begun: u64) -> bool {
        self.ended.load(Ordering::SeqCst) >= begun
    }

    /// What it was like when it was changed last. Never waits for those who hold the lock.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    /// Whether it is settled, and this server has all changes.
    #[must_use]
    pub fn has_in_step(&self, server: &str) -> bool {
        let seen = self.seen.lock();
        seen.settled && seen.in_step.contains(server)
    }
}

/// A shard, for who holds its lock alone.
#[derive(Debug)]
pub struct Alone<'a> {
    group: RwLockWriteGuard<'a, Group>,
    lock: &'a Lock,
}

impl Deref for Alone<'_> {
    type Target = Group;

    fn deref(&self) -> &Group {
        &self.group
    }
}

impl DerefMut for Alone<'_> {
    fn deref_mut(&mut self) -> &mut Group {
        &mut self.group
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let (group, mut seen) = (&*self.group, self.lock.seen.lock());
        let same = seen.settled == group.seq.is_some() && seen.generation == group.generation();
        if !same || seen.in_step != group.in_step {
            *seen = Seen::of(group);
        }
        self.lock.ended.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_seen_when_it_is_over_and_nobody_waits_to_see_it() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let lock = Lock::new(Group::new(names(&["A", "B"])));
        assert!(!lock.has_in_step("A"), "not settled");
        lock.alone().settle(7, names(&["A"]));
        assert!(lock.has_in_step("A") && !lock.has_in_step("B"));
        let mut alone = lock.alone();
        let begun = lock.begun();
        alone.unsettle();
        assert!(!lock.are_over(begun));
        assert_eq!(
            (lock.seen().settled, lock.seen().generation),
            (true, 1),
            "under way: the lock is held, and looked at"
        );
        drop(alone);
        assert!(lock.are_over(begun));
        assert_eq!((lock.seen().settled, lock.seen().generation), (false, 2));
    }
}
