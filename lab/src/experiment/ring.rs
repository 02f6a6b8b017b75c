//! Which part of all requests each server of a ring gets, to the last digit, from the ring that decides.
//!
//! A point owns all places from behind the point before it up to itself. On a ring of 64 bits requests stand anywhere, and a
//! server's share is the length of its arcs. On a ring of M slots they stand where the point function puts them, and that
//! may be few: the coursework's H reaches 87 of 512 slots, some of them from many numbers. So for each slot it is
//! counted how many of the M classes of numbers (modulo M) stand there.

use loadbalancer::policy::{
    Options,
    consistent_hash::{
        layout,
        ring::{Layout, Member, Point, Ring},
    },
    weight,
};

/// A ring without servers, and where requests stand on it.
#[derive(Debug)]
pub struct Map {
    layout: Layout,
    /// For each slot, how many of the classes stand before it; one more at the end, for all. Empty for a ring of 64 bits.
    before: Vec<u64>,
}

impl Map {
    /// The ring of these options, which have been checked.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let layout = layout(options);
        let mut before = vec![0];
        if let Some((slots, _)) = layout.slots {
            let mut standing = vec![0_u64; slots as usize];
            (0..slots).for_each(|class| standing[layout.function.request(class) as usize] += 1);
            before.extend(standing.iter().scan(0, |sum, standing| {
                *sum += standing;
                Some(*sum)
            }));
        }
        Self { layout, before }
    }

    /// The shares of servers with these numbers, in this order; no two are equal.
    #[must_use]
    pub fn shares(&self, numbers: &[u64]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by_key(|at| numbers[*at]);
        let member = |at: &usize| Member { number: numbers[*at], twin: 0, weight: weight::FULL };
        let ring = Ring::new(&order.iter().map(member).collect::<Vec<_>>(), &self.layout);
        let points: Vec<&Point> = ring.clockwise(0).collect();
        let mut shares = vec![0.0; numbers.len()];
        for (at, point) in points.iter().enumerate() {
            let before = points[(at + points.len() - 1) % points.len()];
            shares[order[point.member as usize]] += self.arc(before.at, point.at);
        }
        shares
    }

    /// Which part of all requests stands behind the one place, up to the other. A single point owns all.
    fn arc(&self, from: u64, to: u64) -> f64 {
        if self.layout.slots.is_none() {
            // Over the end of the ring, as the subtraction goes.
            return to.wrapping_sub(from) as f64 / 2_f64.powi(64);
        }
        let up_to = |slot: u64| self.before[slot as usize + 1];
        let all = self.before[self.before.len() - 1];
        let over_the_end = if to <= from { all } else { 0 };
        (up_to(to) + over_the_end - up_to(from)) as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadbalancer::policy::options::RingHash;

    fn coursework() -> Map {
        Map::new(&Options { ring_hash: RingHash::Coursework, ..Options::default() })
    }

    #[test]
    fn shares_are_a_whole_in_the_order_that_was_asked_for() {
        let xxh3 = Map::new(&Options::default());
        let slots = Map::new(&Options { ring_slots: Some(65_537), ..Options::default() });
        for map in [&xxh3, &slots, &coursework()] {
            let (up, down) = (map.shares(&[123_456, 654_321, 777_777]), map.shares(&[777_777, 654_321, 123_456]));
            assert!((up.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{up:?}");
            assert!(
                up.iter().zip(down.iter().rev()).all(|(one, other)| (one - other).abs() < 1e-12),
                "{up:?} {down:?}"
            );
        }
    }

    #[test]
    fn with_ids_1_to_n_server_1_takes_nearly_everything() {
        let first = |n: u64| coursework().shares(&(1..=n).collect::<Vec<_>>())[0] * 512.0;
        let of_512: Vec<f64> = (2..=6).map(first).map(f64::round).collect();
        assert_eq!(of_512, [488.0, 432.0, 420.0, 408.0, 404.0], "95, 84, 82, 80, 79 %");
    }
}
