//! `consistent-hash`: the same key to the same server, and few keys move when servers come and go.
//!
//! **The problem.** A server that has answered a request before may have the answer, or half of it, at hand: in a
//! cache, a session, a warm table. So requests of one key (a client, a file, a statement) should go to one server.
//! The obvious way, server number hash mod N, does that until N changes: from 3 servers to 4, three quarters of all
//! keys move.
//!
//! **The idea** (Karger and others, 1997). Bend the range of the hash into a ring. Each server stands on it, at the
//! hash of its name. A key stands at its own hash and belongs to the first server clockwise. When a server leaves,
//! only its keys move, to the next one; when one joins, it takes keys only from the next one: of N servers, 1/N of
//! the keys.
//!
//! **Virtual servers.** One point each makes arcs of very different length: with 3 servers the busiest has on average
//! 1.8 times its share. So each server has K points ([`ring`]); its share is the sum of K small arcs, and differs by
//! about 1/√K. A server of half the weight has half the points. What a server leaves behind goes to all others, not
//! to one.
//!
//! **Worked example.** A ring of 100 places. a has the points 10 and 60, b 25 and 90. A key at 30 walks to 60: a. A
//! key at 95 walks over the end to 10: a. a owns 91–10 and 26–60, which is 55 of 100; b has 45. Now c joins with 40
//! and 75. Keys at 26–40 move from a to c, keys at 61–75 from b to c: 30 of 100; all others stay.
//!
//! **Not every server can be taken.** A server that is down, full, or out for another reason is no candidate; the key
//! passes by to the next one clockwise, and comes back when the server does. Likewise with **bounded load**
//! (Mirrokni, Thorup, Zadimoghaddam 2016): no server may hold more than a chosen factor, say 1.25, times its share of
//! all requests in hand:
//!
//! > limit = ⌈factor × (requests in hand + 1) × share⌉, share = its weight / the weights of all that are up
//!
//! So a key that half the world asks for does not drown its server: it spills over to the next one, and only as long
//! as it must. With 9 requests in hand at 3 servers and factor 1.25 the limit is ⌈1.25 × 10 / 3⌉ = 5. Since the
//! limits of all sum up to more than what is in hand, somebody is below his. (If he cannot be taken for another
//! reason, the first candidate clockwise gets the request: a request is worth more than the bound.)
//!
//! **When it is wrong.** When there is nothing to be near to, every other policy spreads better: this one looks at no
//! load unless it is bounded, and the keys of the world are not equally popular. The 1/√K is luck that stays: the
//! server with the largest arcs has them until servers change.
//!
//! **Simplified here.** Which servers are up is known by number, not by name, so the share of a weighted server is
//! that in the whole pool, scaled to the number of servers that are up: exact if all are up or weights are equal. The
//! ring is built anew when servers join, leave or get another weight (when they go down it stays as it is), at the
//! next choice: half a millisecond for 100 servers, seven for 1,000, with the pool's lock held.
//!
//! **Production.** nginx `hash … consistent` and memcached clients: "ketama", 160 points per weight, positions of 32
//! bits; the tests hold this ring against Cloudflare's port of it, with that point function plugged in. HAProxy
//! `hash-type consistent` and `hash-balance-factor` (bounded load, 125 for 1.25), Envoy `RING_HASH` and, with a table
//! instead of a ring, `MAGLEV`. Rendezvous hashing (Thaler and Ravishankar 1998) and jump hash (Lamping and Veach
//! 2014) do without a ring.
//!
//! **Sources.** Karger, Lehman, Leighton, Levine, Lewin, Panigrahy 1997, *Consistent hashing and random trees*;
//! Mirrokni, Thorup, Zadimoghaddam 2016, *Consistent hashing with bounded loads*, and how Vimeo put it into HAProxy
//! (Rodland 2016).

pub mod hash;
pub mod ring;
mod members;

use super::{Candidate, Choice, Circumstances, How, Name, Options, Policy, options::RingHash};
use hash::PointFunction;
use members::Members;
use ring::{Layout, Ring};
use std::{cell::OnceCell, time::Duration};

/// The policy `consistent-hash`.
#[derive(Debug)]
pub struct ConsistentHash {
    layout: Layout,
    /// How many times its share a server may hold.
    bound: Option<f64>,
    members: Members,
    /// Built when it is needed first: of many servers that join at once, it is built for the last.
    ring: OnceCell<Ring>,
    walk: Walk,
}

impl ConsistentHash {
    /// The policy with these options, which have been checked.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self::on(layout(options), options.bound())
    }

    /// The policy on a ring of any layout, with any point function.
    #[must_use]
    pub fn on(layout: Layout, bound: Option<f64>) -> Self {
        let (members, ring, walk) = (Members::default(), OnceCell::new(), Walk::default());
        Self { layout, bound, members, ring, walk }
    }

    fn ring(&self) -> &Ring {
        self.ring.get_or_init(|| Ring::new(&self.members.to_be_placed(), &self.layout))
    }

    /// How many requests a server may hold.
    fn limit(&self, server: &Candidate, circumstances: &Circumstances<'_>) -> u32 {
        let Some(factor) = self.bound else { return u32::MAX };
        let share = self.members.relative_weight(server) / circumstances.servers_up.max(1) as f64;
        // A hair less, because 1.2 × 5 / 3 comes out as a hair more than 2.
        (factor * (circumstances.in_hand + 1) as f64 * share - 1e-9).ceil() as u32
    }
}

/// How the ring of these options is laid out, which have been checked.
#[must_use]
pub fn layout(options: &Options) -> Layout {
    let function: Box<dyn PointFunction> = match (options.ring_hash, options.slots()) {
        (RingHash::Coursework, Some(slots)) => Box::new(hash::Coursework { slots }),
        (_, slots) => Box::new(hash::Xxh3 { slots }),
    };
    let slots = options.slots().map(|slots| (slots, options.ring_probing));
    Layout { function, points: options.points(), slots }
}

impl Policy for ConsistentHash {
    fn name(&self) -> Name {
        Name::ConsistentHash
    }

    fn choose(&mut self, candidates: &[Candidate], circumstances: &mut Circumstances<'_>) -> Choice {
        let mut walk = std::mem::take(&mut self.walk);
        let choice = self.walk(&mut walk, candidates, circumstances);
        self.walk = walk;
        choice
    }

    /// How far the server's nearest point is from the key, clockwise, in turns of the ring.
    fn score(&self, candidate: &Candidate, circumstances: &Circumstances<'_>) -> Option<f64> {
        let key = self.layout.function.request(circumstances.key);
        self.ring().distance(key, self.members.member(candidate)?)
    }

    fn servers_changed(&mut self, servers: &[Candidate], _now: Duration) {
        if self.members.follow(servers) {
            self.ring = OnceCell::new();
        }
    }
}

impl ConsistentHash {
    fn walk(&self, walk: &mut Walk, candidates: &[Candidate], circumstances: &Circumstances<'_>) -> Choice {
        let ring = self.ring();
        let key = self.layout.function.request(circumstances.key);
        let mut passed = 0;
        let mut over_its_limit = None;
        walk.begin(self.members.len());
        for point in ring.clockwise(key).filter(|point| walk.is_new(point.member)) {
            let place = self.members.place(point.member);
            if let Some((index, candidate)) = place.and_then(|place| find(candidates, place)) {
                let choice = Choice { index, how: How::Ring { key, point: point.at, passed } };
                if candidate.active < self.limit(candidate, circumstances) {
                    return choice;
                }
                over_its_limit.get_or_insert(choice);
            }
            passed += 1;
            if passed as usize == ring.members() {
                break;
            }
        }
        // Nobody on the ring: a candidate without a point, chosen by the key all the same.
        let any = || Choice::plain((circumstances.key % candidates.len().max(1) as u64) as usize);
        over_its_limit.unwrap_or_else(any)
    }
}

/// The candidate that stands at this place of the pool. They are in the order of their places, and mostly all there.
fn find(candidates: &[Candidate], place: usize) -> Option<(usize, &Candidate)> {
    let there = |index: usize| candidates.get(index).filter(|candidate| candidate.place == place);
    let index = if there(place).is_some() {
        place
    } else {
        candidates.binary_search_by_key(&place, |candidate| candidate.place).ok()?
    };
    Some((index, candidates.get(index)?))
}

/// Who was met on the way round, so that nobody is asked at each of his points. Cleared by counting on.
#[derive(Debug, Default)]
struct Walk {
    number: u64,
    met: Vec<u64>,
}

impl Walk {
    fn begin(&mut self, members: usize) {
        self.number += 1;
        self.met.resize(members, 0);
    }

    fn is_new(&mut self, member: u32) -> bool {
        let Some(met) = self.met.get_mut(member as usize) else { return false };
        std::mem::replace(met, self.number) != self.number
    }
}

#[cfg(test)]
mod tests;
