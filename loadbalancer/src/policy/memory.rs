//! What a policy remembers of each server.
//!
//! A policy chooses thousands of times a second and servers come and go a few times an hour. So what is known of each
//! server stands in a list in the order of the pool, where [`Candidate::place`] finds it in one step, and is sorted
//! anew only when the servers change. What was known of a server that stays is kept, wherever it stands now.

use super::{Candidate, ServerKey};
use std::collections::HashMap;

/// Something for each server of the pool.
#[derive(Debug)]
pub struct Memory<T> {
    list: Vec<(ServerKey, T)>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

impl<T> Memory<T> {
    /// The servers are these now: what is known of those that stay is kept, new ones get a `fresh` entry, the others
    /// are forgotten.
    pub fn follow(&mut self, servers: &[Candidate], mut fresh: impl FnMut(&Candidate) -> T) {
        // Most changes are of a server's state, and nobody has moved.
        if servers.iter().map(|server| server.key).eq(self.list.iter().map(|(key, _)| *key)) {
            return;
        }
        let mut known: HashMap<ServerKey, T> = self.list.drain(..).collect();
        let entry = |server: &Candidate| (server.key, known.remove(&server.key).unwrap_or_else(|| fresh(server)));
        self.list = servers.iter().map(entry).collect();
    }

    /// What is known of this server; nothing if it is none of those the policy was told of.
    #[must_use]
    pub fn of(&self, server: &Candidate) -> Option<&T> {
        self.list.get(server.place).filter(|(key, _)| *key == server.key).map(|(_, known)| known)
    }

    /// As [`Self::of`], to be changed.
    #[must_use]
    pub fn of_mut(&mut self, server: &Candidate) -> Option<&mut T> {
        self.list.get_mut(server.place).filter(|(key, _)| *key == server.key).map(|(_, known)| known)
    }

    /// Everything, in the order of the pool.
    pub fn all_mut(&mut self) -> impl ExactSizeIterator<Item = &mut T> {
        self.list.iter_mut().map(|(_, known)| known)
    }

    /// Everything, in the order of the pool.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &T> {
        self.list.iter().map(|(_, known)| known)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::*, *};

    fn placed(servers: &[Candidate], order: &[usize]) -> Vec<Candidate> {
        let at = |(place, from): (usize, &usize)| Candidate { place, ..servers[*from].clone() };
        order.iter().enumerate().map(at).collect()
    }

    #[test]
    fn what_is_known_of_a_server_moves_with_it() {
        let all = idle(&[100, 200, 400]);
        let mut memory = Memory::default();
        memory.follow(&placed(&all, &[0, 1]), |server| server.key.0 * 10);
        let now = placed(&all, &[2, 1]);
        memory.follow(&now, |server| server.key.0 * 1000);
        assert_eq!(memory.of(&now[0]), Some(&3000), "new");
        assert_eq!(memory.of(&now[1]), Some(&20), "kept, although it has moved");
        assert_eq!(memory.of(&all[0]), None, "left; its place is another's now");
    }
}
