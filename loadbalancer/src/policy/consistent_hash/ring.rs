//! The ring itself: points in order, and the walk clockwise.
//!
//! **With slots or without.** Positions are numbers of 64 bits, so that two points practically never meet. The
//! coursework's ring has M slots instead, each for one point, and a point whose slot is taken *probes* for another
//! one: the next ones in turn (linear), or 1, 4, 9 … slots on (quadratic; squares do not reach every slot, so after M
//! of them it goes on in turn).
//!
//! **What a slot ring costs.** Who comes first takes the slot, so servers are placed in the order of their numbers,
//! whatever the order in which they joined: the same servers always make the same ring. But a point that had to
//! give way moves when the one in its place leaves; a few keys more change their server than would have to.
//!
//! **When the slots run out.** The ring must hold the points of all servers, N × K ≤ M. How many servers will come is
//! not known when the load balancer starts, and a policy cannot refuse one. So when the points of all do not fit, all
//! servers get fewer: the largest K that fits. Every key may move then, once. If not even one point each fits (more
//! servers than slots), the servers of the highest numbers have none and get requests only when no other can.

use super::hash::PointFunction;
use crate::policy::{options::Probing, weight};
use std::collections::HashSet;

/// A server on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The number its points are computed from.
    pub number: u64,
    /// Which of those with the same number it is, from 0.
    pub twin: u32,
    /// Of 256: what part of K points it has.
    pub weight: u32,
}

/// How a ring is laid out.
#[derive(Debug)]
pub struct Layout {
    /// Where requests and servers stand.
    pub function: Box<dyn PointFunction>,
    /// K: the points of a member of full weight.
    pub points: u32,
    /// M, if the ring has slots, and what to do where one is taken.
    pub slots: Option<(u64, Probing)>,
}

/// A virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Where.
    pub at: u64,
    /// Whose: an index of the list the ring was built from.
    pub member: u32,
}

/// Points in order.
#[derive(Debug)]
pub struct Ring {
    points: Vec<Point>,
    /// The same, by member.
    own: Vec<Vec<u64>>,
    /// How many have any.
    members: usize,
    slots: Option<u64>,
}

impl Ring {
    /// The ring of these members, which are in the order of their numbers.
    #[must_use]
    pub fn new(members: &[Member], layout: &Layout) -> Self {
        let points = layout.points_that_fit(members);
        let place = |member: &Member| layout.function.server(member.number, member.twin, member.points(points));
        let mut own: Vec<Vec<u64>> = members.iter().map(place).collect();
        if let Some((slots, probing)) = layout.slots {
            settle(&mut own, slots, probing);
        }
        own.iter_mut().for_each(|own| own.sort_unstable());
        let of = |(member, own): (usize, &Vec<u64>)| {
            let member = member as u32;
            own.iter().map(move |at| Point { at: *at, member }).collect::<Vec<_>>()
        };
        let mut points: Vec<Point> = own.iter().enumerate().flat_map(of).collect();
        points.sort_unstable();
        let members = own.iter().filter(|own| !own.is_empty()).count();
        Self { points, own, members, slots: layout.slots.map(|(slots, _)| slots) }
    }

    /// All points, from the first one at or after this place clockwise, once round.
    pub fn clockwise(&self, from: u64) -> impl Iterator<Item = &Point> {
        let first = self.points.partition_point(|point| point.at < from);
        let (before, after) = self.points.split_at(first);
        after.iter().chain(before)
    }

    /// How far a member's nearest point is from this place, clockwise: 0 is here, 1 once round. `None` if it has none.
    #[must_use]
    pub fn distance(&self, from: u64, member: usize) -> Option<f64> {
        let own = self.own.get(member)?;
        let first = own.partition_point(|at| *at < from);
        let at = *own.get(first).or(own.first())?;
        Some(match self.slots {
            Some(slots) => ((at + slots - from) % slots) as f64 / slots as f64,
            None => at.wrapping_sub(from) as f64 / 2_f64.powi(64),
        })
    }

    /// How many members have points.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members
    }
}

impl Layout {
    /// K, or the largest smaller number with which the points of all fit.
    fn points_that_fit(&self, members: &[Member]) -> u32 {
        let Some((slots, _)) = self.slots else { return self.points };
        let needed = |points: u32| members.iter().map(|member| u64::from(member.points(points))).sum::<u64>();
        if needed(self.points) <= slots {
            return self.points;
        }
        let all: Vec<u32> = (1..self.points).collect();
        let that_fit = all.partition_point(|points| needed(*points) <= slots);
        that_fit.max(1) as u32
    }
}

impl Member {
    /// How many points it has when a full weight has this many; at least one.
    fn points(&self, full: u32) -> u32 {
        let full_weight = u64::from(weight::FULL);
        let rounded = (u64::from(full) * u64::from(self.weight) + full_weight / 2) / full_weight;
        u32::try_from(rounded).unwrap_or(full).max(1)
    }
}

/// Gives every point a slot of its own: the one it wants, if nobody has it.
fn settle(wanted: &mut [Vec<u64>], slots: u64, probing: Probing) {
    let mut taken = HashSet::new();
    for own in wanted {
        own.retain_mut(|at| {
            let free = free_slot(*at, slots, probing, &taken);
            free.is_some_and(|free| {
                *at = free;
                taken.insert(free)
            })
        });
    }
}

fn free_slot(wanted: u64, slots: u64, probing: Probing, taken: &HashSet<u64>) -> Option<u64> {
    if taken.len() as u64 >= slots {
        return None;
    }
    let in_turn = || (0..slots).map(|step| (wanted + step) % slots);
    let squares = || (0..slots).map(|step| (wanted + step * step) % slots);
    let free = |slot: &u64| !taken.contains(slot);
    match probing {
        Probing::Linear => in_turn().find(free),
        Probing::Quadratic => squares().chain(in_turn()).find(free),
    }
}
