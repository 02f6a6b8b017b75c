//! Requests under way in tagged mode: which answer belongs to which. Pure: time, numbers that nobody foresees, and places at
//! servers (`L`) come in as arguments.
//!
//! **The problem.** A request is three bytes, and its answer the same three turned around. Nothing in it says whose it is. The original
//! remembered who had asked last; so an answer that came late was given to whoever asked next, and each one after it.
//!
//! **The idea.** Each copy of a request that goes to a server carries a tag of that server ([`tags`](super::tags)), and stands in
//! this table by it until it is answered or given up. An answer is believed from that server under that tag only, and once.
//!
//! ```text
//!    client          number   copies
//!    10.0.0.7:4711   1        server 2, tag 0005 9c21…   (silent for 1 s)   server 3, tag 0002 03fe…
//!    10.0.0.8:4711   2        server 3, tag 0003 7b10…
//! ```
//!
//! A server that is silent for too long is not waited for alone: the request goes to another one, too, and the first answer counts.
//! **So a request may be carried out twice**; who cannot have that sets `--udp-try` to the time of `--udp-timeout`.
//!
//! Here are the requests and their copies; what comes back is in `requests/back.rs`, what time brings in `requests/due.rs`.
//!
//! What is bounded: requests ([`MAX_REQUESTS`]), their bytes ([`MAX_BYTES`]), those that wait for a server, those at one
//! server ([`PLACES`](super::tags::PLACES)).

mod back;
mod due;

pub use self::{
    back::{Finished, Heard, Place},
    due::Due,
};

use super::{
    line::Line,
    tags::{Tag, Tags},
};
use crate::{policy::ServerKey, pool::Wanted};
use protocol::{datagrams::LONGEST, id::RequestId};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Requests under way at the most. Each takes about 400 bytes, and its own.
pub const MAX_REQUESTS: usize = 65_536;
/// Bytes of all requests under way together at the most: they are kept, to be sent again.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// A buffer that has grown beyond this is not kept for the next request.
const KEPT: usize = 2_048;

/// What holds for all requests.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Bytes of a tag.
    pub tag_bytes: usize,
    /// How long one server is waited for, beyond what it spends on each request, before another one is asked, too.
    pub try_for: Duration,
    /// How long an answer is waited for in all.
    pub deadline: Duration,
    /// How many requests may wait for a server.
    pub most_waiting: usize,
}

/// A request, from its arrival to its answer.
#[derive(Debug)]
pub struct Request<L> {
    /// Whom to answer.
    pub client: SocketAddr,
    /// Its name in events.
    pub id: RequestId,
    /// When it came.
    pub since: Instant,
    /// What it wants of a server; those that had it are to be avoided.
    pub wanted: Wanted,
    /// How many copies were sent in all.
    pub attempts: u32,
    payload: Vec<u8>,
    copies: Vec<Copy<L>>,
    /// Copies that nobody is waited for any more.
    losses: u32,
    retrying: bool,
    /// Whether it stands in the line of those that wait for a server.
    is_waiting: bool,
    /// Which request in this place it is: part of its number.
    generation: u32,
    is_under_way: bool,
}

#[derive(Debug)]
struct Copy<L> {
    server: ServerKey,
    tag: Tag,
    sent: Instant,
    /// The place at the server, as long as it is waited for.
    lease: Option<L>,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are [`MAX_REQUESTS`].
    TooMany,
    /// There are [`MAX_BYTES`].
    TooMuch,
    /// No datagram holds it and its tag.
    TooLong,
}

/// What is known of one server.
#[derive(Debug)]
struct Peer {
    tags: Tags,
    /// Copies, by when they are not waited for any more.
    tries: Line<(u64, Tag)>,
    silent_in_a_row: u32,
    heard: Option<Instant>,
}

impl Peer {
    fn place<L>(&self, lease: L, sent: Instant) -> Place<L> {
        Place { lease, spoke: self.heard.is_some_and(|heard| heard > sent) }
    }
}

/// All requests under way.
#[derive(Debug)]
pub struct Requests<L> {
    rules: Rules,
    places: Vec<Request<L>>,
    free: Vec<u32>,
    bytes: usize,
    retrying: usize,
    peers: HashMap<ServerKey, Peer>,
    deadlines: Line<u64>,
    hedges: Line<u64>,
    waiting: VecDeque<u64>,
}

impl<L> Requests<L> {
    /// None yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            places: Vec::new(),
            free: Vec::new(),
            bytes: 0,
            retrying: 0,
            peers: HashMap::new(),
            deadlines: Line::default(),
            hedges: Line::default(),
            waiting: VecDeque::new(),
        }
    }

    /// A request has come: its number.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn open(
        &mut self,
        client: SocketAddr,
        payload: &[u8],
        id: RequestId,
        wanted: Wanted,
        now: Instant,
    ) -> Result<u64, Refusal> {
        if payload.len() + self.rules.tag_bytes > LONGEST {
            return Err(Refusal::TooLong);
        }
        if self.len() >= MAX_REQUESTS {
            return Err(Refusal::TooMany);
        }
        if self.bytes + payload.len() > MAX_BYTES {
            return Err(Refusal::TooMuch);
        }
        self.bytes += payload.len();
        let index = self.place(client, id, now);
        let request = &mut self.places[index as usize];
        (request.client, request.id, request.since, request.wanted) = (client, id, now, wanted);
        request.payload.extend_from_slice(payload);
        request.is_under_way = true;
        let number = number(request.generation, index);
        let places = &self.places;
        self.deadlines.push(now + self.rules.deadline, number, |number| find(places, *number).is_some());
        Ok(number)
    }

    fn place(&mut self, client: SocketAddr, id: RequestId, since: Instant) -> u32 {
        if let Some(index) = self.free.pop() {
            return index;
        }
        self.places.push(Request {
            client,
            id,
            since,
            wanted: Wanted::default(),
            attempts: 0,
            payload: Vec::new(),
            copies: Vec::new(),
            losses: 0,
            retrying: false,
            is_waiting: false,
            generation: 0,
            is_under_way: false,
        });
        // There are at most MAX_REQUESTS of them.
        (self.places.len() - 1) as u32
    }

    /// A copy goes to this server, which spends so much time on each request: the tag that it carries, and its bytes.
    ///
    /// # Errors
    /// The lease, if the request is over, or the server has no tag left.
    pub fn send(
        &mut self,
        number: u64,
        (server, spends): (ServerKey, Duration),
        lease: L,
        drawn: u64,
        now: Instant,
    ) -> Result<(Tag, &[u8]), L> {
        let (places, rules) = (&mut self.places, &self.rules);
        let Some(request) = find_mut(places, number) else { return Err(lease) };
        let peer = self.peers.entry(server).or_insert_with(|| Peer {
            tags: Tags::new(rules.tag_bytes),
            tries: Line::default(),
            silent_in_a_row: 0,
            heard: None,
        });
        let Some(tag) = peer.tags.give(number, drawn, now) else { return Err(lease) };
        request.copies.push(Copy { server, tag, sent: now, lease: Some(lease) });
        request.attempts += 1;
        request.wanted.avoid.push(server);
        let is_of_use = |(number, tag): &(u64, Tag)| {
            find(places, *number).is_some_and(|request| request.copies.iter().any(|copy| copy.tag == *tag))
        };
        peer.tries.push(now + rules.try_for + spends, (number, tag), is_of_use);
        Ok((tag, find(places, number).map_or(&[], |request| &request.payload)))
    }

    /// A second copy of this request should be sent then, if it is not answered.
    pub fn hedge_at(&mut self, at: Instant, number: u64) {
        let places = &self.places;
        self.hedges.push(at, number, |number| find(places, *number).is_some());
    }

    /// There is no server for this request now: it waits. False if too many do.
    pub fn wait(&mut self, number: u64) -> bool {
        let _first = self.next_waiting();
        let is_full = self.waiting.len() >= self.rules.most_waiting;
        let Some(request) = find_mut(&mut self.places, number).filter(|request| !request.is_waiting) else {
            return true;
        };
        if !is_full {
            request.is_waiting = true;
            self.waiting.push_back(number);
        }
        !is_full
    }

    /// The request that has waited longest for a server, for whoever has one: nobody else gets it, too.
    pub fn take_waiting(&mut self) -> Option<u64> {
        let first = self.next_waiting()?;
        self.waiting.pop_front();
        find_mut(&mut self.places, first)?.is_waiting = false;
        Some(first)
    }

    /// There was no server for the request that had waited longest: it still has.
    pub fn wait_on(&mut self, number: u64) {
        let request = find_mut(&mut self.places, number).filter(|request| !request.is_waiting);
        if let Some(request) = request {
            request.is_waiting = true;
            self.waiting.push_front(number);
        }
    }

    /// The request that has waited longest for a server. Who has a silent one, whose answer would still count, waits as well.
    pub fn next_waiting(&mut self) -> Option<u64> {
        loop {
            let first = *self.waiting.front()?;
            let request = find_mut(&mut self.places, first);
            if let Some(request) = request {
                if request.copies.iter().all(|copy| copy.lease.is_none()) {
                    return Some(first);
                }
                request.is_waiting = false;
            }
            self.waiting.pop_front();
        }
    }

    /// The request of this number, if it is under way.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Request<L>> {
        find(&self.places, number)
    }

    /// How many are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a server has this request, and may still answer it.
    #[must_use]
    pub fn is_anywhere(&self, number: u64) -> bool {
        find(&self.places, number).is_some_and(|request| !request.copies.is_empty())
    }

    /// Whether this server has any.
    #[must_use]
    pub fn any_at(&self, server: ServerKey) -> bool {
        self.peers.get(&server).is_some_and(|peer| peer.tags.in_use() > 0)
    }

    /// The numbers of all that are under way.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        let under_way = self.places.iter().enumerate().filter(|(_, request)| request.is_under_way);
        under_way.map(|(index, request)| number(request.generation, index as u32)).collect()
    }
}

fn number(generation: u32, index: u32) -> u64 {
    (u64::from(generation) << 32) | u64::from(index)
}

fn find<L>(places: &[Request<L>], number: u64) -> Option<&Request<L>> {
    let request = places.get(number as u32 as usize)?;
    (request.is_under_way && u64::from(request.generation) == number >> 32).then_some(request)
}

fn find_mut<L>(places: &mut [Request<L>], number: u64) -> Option<&mut Request<L>> {
    let request = places.get_mut(number as u32 as usize)?;
    (request.is_under_way && u64::from(request.generation) == number >> 32).then_some(request)
}

#[cfg(test)]
mod tests;
