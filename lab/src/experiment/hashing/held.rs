//! What servers hold at each moment: the load that bounded load bounds.
//!
//! Totals say little about it: a server may get a third of all requests and hold half of them at some moment. The load
//! balancer writes into its journal, for each choice, how many requests each candidate held. From that the limit of bounded
//! load is computed here once more, independently of the code that keeps it.

use super::evenness::Evenness;
use loadbalancer::event::{Event, reader::JournalReader};
use serde::Serialize;
use std::path::Path;

/// What was held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Held {
    /// Choices that were looked at.
    pub choices: u64,
    /// Choices after which the chosen server held more than its limit.
    pub over: u64,
    /// Busiest ÷ mean of what the servers held after a choice; the mean of all choices.
    pub busiest_by_mean: f64,
}

impl Held {
    /// Of all choices in a journal among so many servers, beside this factor.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn of(journal: &Path, servers: usize, factor: f64) -> anyhow::Result<Self> {
        let mut held = Self::default();
        for record in JournalReader::open(journal)? {
            if let Event::ServerChosen { server, considered, .. } = record.event
                && considered.len() == servers
            {
                let chosen = considered.iter().position(|one| one.server == server);
                held.add(&considered.iter().map(|one| one.active).collect::<Vec<_>>(), chosen, factor);
            }
        }
        held.busiest_by_mean /= held.choices.max(1) as f64;
        Ok(held)
    }

    /// Adds a choice: what each server held before it, and which one got one more.
    fn add(&mut self, before: &[u32], chosen: Option<usize>, factor: f64) {
        let mut after: Vec<u64> = before.iter().map(|active| u64::from(*active)).collect();
        let Some(holds) = chosen.and_then(|at| after.get_mut(at)) else { return };
        *holds += 1;
        let holds = *holds;
        self.choices += 1;
        self.over += u64::from(holds > limit(factor, &after));
        self.busiest_by_mean += Evenness::of_counts(&after).busiest_by_mean;
    }
}

/// ⌈factor × all ÷ servers⌉, of equal servers.
fn limit(factor: f64, held: &[u64]) -> u64 {
    // A hair less, because 1.2 × 5 / 3 comes out as a hair more than 2.
    (factor * held.iter().sum::<u64>() as f64 / held.len() as f64 - 1e-9).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_factor_times_the_share_rounded_up() {
        assert_eq!(limit(1.25, &[4, 3, 3]), 5, "⌈1.25 × 10 / 3⌉");
        assert_eq!(limit(1.25, &[1, 0]), 1);
        assert_eq!(limit(1.2, &[3, 1, 1]), 2, "1.2 × 5 / 3 is 2, not a hair more");
    }

    #[test]
    fn choices_are_judged_by_what_is_held_after_them() {
        let mut held = Held::default();
        held.add(&[4, 3, 2], Some(0), 1.25);
        assert_eq!((held.choices, held.over), (1, 0), "5 of 10, the limit is 5");
        held.add(&[5, 3, 1], Some(0), 1.25);
        assert_eq!((held.choices, held.over), (2, 1), "6 of 10");
        held.add(&[5, 3, 1], None, 1.25);
        assert_eq!(held.choices, 2, "a server that is not among the candidates");
        assert!((held.busiest_by_mean - (1.5 + 1.8)).abs() < 1e-9);
    }
}
