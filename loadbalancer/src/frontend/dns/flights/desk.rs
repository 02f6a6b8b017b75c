//! The ids under which one server is asked: an answer finds its query without a search.

use crate::policy::ServerKey;

/// What one server was asked and has not answered yet.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) server: ServerKey,
    /// The number of the flight that each id stands for; 0 if for none.
    ids: Vec<u64>,
    /// How many ids stand for one.
    pub(super) taken: usize,
}

impl Desk {
    /// That of a server that was asked nothing yet.
    pub(super) fn new(server: ServerKey) -> Self {
        Self { server, ids: vec![0; usize::from(u16::MAX) + 1], taken: 0 }
    }

    /// The flight that this id stands for.
    pub(super) fn get(&self, id: u16) -> Option<u64> {
        Some(self.ids[usize::from(id)]).filter(|number| *number > 0)
    }

    /// From now on this free id stands for that flight.
    pub(super) fn put(&mut self, id: u16, number: u64) {
        self.ids[usize::from(id)] = number;
        self.taken += 1;
    }

    /// This id, which was taken, stands for none.
    pub(super) fn free(&mut self, id: u16) {
        self.ids[usize::from(id)] = 0;
        self.taken -= 1;
    }

    /// The flights of which it has copies, in the order in which they came.
    pub(super) fn into_numbers(self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.ids.into_iter().filter(|number| *number > 0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}
