//! What comes back: an answer, the news that a server is gone, and whether a request may be tried again.

use super::{Copy, KEPT, Requests, find_mut};
use crate::{dispatch::retry::MAX_ATTEMPTS, policy::ServerKey, pool::Wanted};
use protocol::id::RequestId;
use std::{net::SocketAddr, time::Instant};

/// Requests that may be tried a third time and more, however few there are; beyond these one in [`REQUESTS_PER_RETRY`]. As in
/// [`budget`](crate::dispatch::budget).
const ALWAYS: usize = 3;
const REQUESTS_PER_RETRY: usize = 5;

/// What a datagram of a server is.
#[derive(Debug)]
pub enum Heard<L> {
    /// Not an answer to anything that it was asked, and is waited for.
    Foreign,
    /// The first answer to a request, without the tag.
    Answer(Finished<L>),
}

/// A request that is over.
#[derive(Debug)]
pub struct Finished<L> {
    /// Whose it was.
    pub client: SocketAddr,
    /// Its name in events.
    pub id: RequestId,
    /// When it came.
    pub since: Instant,
    /// How many copies of it were sent.
    pub attempts: u32,
    /// The place at the server that answered, unless it was not waited for any more.
    pub lease: Option<L>,
    /// Places at others that have it, too.
    pub others: Vec<Place<L>>,
}

/// A place at a server that has not answered a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Place<L> {
    /// The place.
    pub lease: L,
    /// Whether the server has answered something else since it was sent this: then it lives, and a datagram was lost.
    pub spoke: bool,
}

impl<L> Requests<L> {
    /// A server has sent this.
    pub fn heard(&mut self, server: ServerKey, datagram: &[u8], now: Instant) -> Heard<L> {
        let Some(peer) = self.peers.get_mut(&server) else { return Heard::Foreign };
        let Some((tag, number)) = peer.tags.find(datagram) else { return Heard::Foreign };
        (peer.silent_in_a_row, peer.heard) = (0, Some(now));
        let answering = |copy: &Copy<L>| (copy.server, copy.tag) == (server, tag);
        let request = find_mut(&mut self.places, number);
        let lease = request
            .and_then(|request| request.copies.iter_mut().find(|copy| answering(copy)))
            .map(|copy| copy.lease.take());
        match (lease, self.finish(number)) {
            (Some(lease), Some(finished)) => Heard::Answer(Finished { lease, ..finished }),
            // Tags leave with their request.
            _ => Heard::Foreign,
        }
    }

    /// A request is over: its tags answer nothing any more.
    pub fn finish(&mut self, number: u64) -> Option<Finished<L>> {
        let request = find_mut(&mut self.places, number)?;
        let (client, id, since, attempts) = (request.client, request.id, request.since, request.attempts);
        let mut others = Vec::new();
        for copy in request.copies.drain(..) {
            if let Some(peer) = self.peers.get_mut(&copy.server) {
                peer.tags.give_back(copy.tag, copy.sent + self.rules.deadline);
                others.extend(copy.lease.map(|lease| peer.place(lease, copy.sent)));
            }
        }
        self.retrying -= usize::from(request.retrying);
        self.bytes -= request.payload.len();
        request.payload.clear();
        request.payload.shrink_to(KEPT);
        request.wanted = Wanted::default();
        (request.attempts, request.losses, request.retrying, request.is_under_way) = (0, 0, false, false);
        request.is_waiting = false;
        request.generation = request.generation.wrapping_add(1);
        self.free.push(number as u32);
        Some(Finished { client, id, since, attempts, lease: None, others })
    }

    /// A server is gone, or answers nothing of what it has: its places, and the requests that no other server has.
    pub fn lost(&mut self, server: ServerKey) -> (Vec<L>, Vec<u64>) {
        let (mut leases, mut stuck) = (Vec::new(), Vec::new());
        let Some(peer) = self.peers.get_mut(&server).filter(|peer| peer.tags.in_use() > 0) else {
            return (leases, stuck);
        };
        let mut numbers: Vec<u64> = peer.tags.numbers().collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let Some(request) = find_mut(&mut self.places, number) else { continue };
            for copy in request.copies.extract_if(.., |copy| copy.server == server) {
                peer.tags.give_back(copy.tag, copy.sent + self.rules.deadline);
                leases.extend(copy.lease);
                request.losses += 1;
            }
            if request.copies.is_empty() {
                stuck.push(number);
            }
        }
        (leases, stuck)
    }

    /// Whether this request, which has lost a server, may be tried again: the first time it may, and then as far as the budget
    /// allows.
    pub fn may_try_again(&mut self, number: u64) -> bool {
        let allowed = self.retrying < ALWAYS.max(self.len() / REQUESTS_PER_RETRY);
        let Some(request) = find_mut(&mut self.places, number) else { return false };
        if request.attempts >= MAX_ATTEMPTS {
            return false;
        }
        if request.losses > 1 && !request.retrying && allowed {
            request.retrying = true;
            self.retrying += 1;
        }
        request.losses <= 1 || request.retrying
    }

    /// Nothing more is to be heard of this server.
    pub fn forget(&mut self, server: ServerKey) {
        self.peers.remove(&server);
    }
}
