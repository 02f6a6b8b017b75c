//! Who is on the ring, and where in the pool.

use super::{super::weight, ring::Member};
use crate::policy::{Candidate, ServerKey};

/// The servers of the pool in the order of the ring: by number, of equal ones by the order of joining. So the same
/// servers make the same ring, in whatever order the pool has them.
#[derive(Debug, Default)]
pub struct Members {
    list: Vec<(ServerKey, Member)>,
    /// Where in the pool each member stands.
    places: Vec<usize>,
    /// Which member stands at each place of the pool.
    at: Vec<usize>,
    /// Of all.
    weight: u64,
}

impl Members {
    /// The servers of the pool are these now. True if the ring has to change for it.
    pub fn follow(&mut self, servers: &[Candidate]) -> bool {
        let mut sorted: Vec<&Candidate> = servers.iter().collect();
        sorted.sort_by_key(|server| (server.number, server.key));
        self.places = sorted.iter().map(|server| server.place).collect();
        self.at = vec![usize::MAX; servers.len()];
        self.weight = servers.iter().map(|server| u64::from(weight::given(server))).sum();
        let mut list: Vec<(ServerKey, Member)> = Vec::with_capacity(servers.len());
        for (index, server) in sorted.into_iter().enumerate() {
            let before = list.last().filter(|(_, member)| member.number == server.number);
            let twin = before.map_or(0, |(_, member)| member.twin + 1);
            list.push((server.key, Member { number: server.number, twin, weight: weight::given(server) }));
            if let Some(at) = self.at.get_mut(server.place) {
                *at = index;
            }
        }
        let changed = list.iter().map(|(_, member)| member).ne(self.list.iter().map(|(_, member)| member));
        self.list = list;
        changed
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// What the ring is built from.
    #[must_use]
    pub fn to_be_placed(&self) -> Vec<Member> {
        self.list.iter().map(|(_, member)| *member).collect()
    }

    /// Where in the pool this member stands.
    #[must_use]
    pub fn place(&self, member: u32) -> Option<usize> {
        self.places.get(member as usize).copied()
    }

    /// Which member this server is.
    #[must_use]
    pub fn member(&self, server: &Candidate) -> Option<usize> {
        let member = *self.at.get(server.place)?;
        self.list.get(member).is_some_and(|(key, _)| *key == server.key).then_some(member)
    }

    /// A server's weight beside the average of all: 1 if all are equal.
    #[must_use]
    pub fn relative_weight(&self, server: &Candidate) -> f64 {
        if self.weight == 0 {
            return 1.0;
        }
        f64::from(weight::given(server)) * self.list.len() as f64 / self.weight as f64
    }
}
