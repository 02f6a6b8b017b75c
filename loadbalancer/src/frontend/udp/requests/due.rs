//! What time brings: servers that are silent for too long, copies that are due, and requests whose time is over.

use super::{Finished, Place, Requests, find, find_mut};
use crate::{frontend::udp::tags::Tag, policy::ServerKey};
use std::time::Instant;

/// A server that is silent on so many requests in a row, while others answer, is asked what it is doing.
const SUSPICIOUS: u32 = 10;

/// What time has brought.
#[derive(Debug)]
pub struct Due<L> {
    /// Requests whose server was silent for too long, with the place there: they should go to another one, too.
    pub silent: Vec<(u64, Place<L>)>,
    /// Requests of which a second copy should be sent.
    pub hedge: Vec<u64>,
    /// Requests that are over without an answer.
    pub over: Vec<Finished<L>>,
    /// Servers that should be asked what they are doing.
    pub suspects: Vec<ServerKey>,
}

impl<L> Requests<L> {
    /// When something is due.
    pub fn next_due(&mut self) -> Option<Instant> {
        let places = &self.places;
        let under_way = |number: &u64| find(places, *number).is_some();
        let is_waited_for = |(number, tag): &(u64, Tag)| {
            find(places, *number).is_some_and(|request| request.copies.iter().any(|copy| copy.tag == *tag))
        };
        let tries = self.peers.values_mut().filter_map(|peer| peer.tries.next(is_waited_for)).min();
        [self.deadlines.next(under_way), self.hedges.next(under_way), tries].into_iter().flatten().min()
    }

    /// What is due.
    pub fn due(&mut self, now: Instant) -> Due<L> {
        let mut due = Due { silent: Vec::new(), hedge: Vec::new(), over: Vec::new(), suspects: Vec::new() };
        while let Some(number) = self.deadlines.pop(now) {
            due.over.extend(self.finish(number));
        }
        while let Some(number) = self.hedges.pop(now) {
            due.hedge.extend(find(&self.places, number).map(|_| number));
        }
        let heard = self.peers.iter().filter_map(|(key, peer)| Some((*key, peer.heard?)));
        let heard: Vec<(ServerKey, Instant)> = heard.collect();
        for (server, peer) in &mut self.peers {
            while let Some((number, tag)) = peer.tries.pop(now) {
                let Some(request) = find_mut(&mut self.places, number) else { continue };
                let Some(copy) = request.copies.iter_mut().find(|copy| copy.tag == tag && copy.server == *server)
                else {
                    continue;
                };
                let (sent, lease) = (copy.sent, copy.lease.take());
                due.silent.extend(lease.map(|lease| (number, peer.place(lease, sent))));
                request.losses += 1;
                peer.silent_in_a_row += 1;
                let others = heard.iter().any(|(other, at)| other != server && *at > sent);
                if peer.silent_in_a_row.is_multiple_of(SUSPICIOUS) && others {
                    due.suspects.push(*server);
                }
            }
        }
        due
    }
}
