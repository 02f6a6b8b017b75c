//! Queries under way: which answer belongs to which. Pure.
//!
//! **The problem.** A relay that sends a query on and takes the next datagram for its answer works until the first answer
//! is late. That one is then given to the next query, whose own answer to the one after it, and from then on every
//! name has somebody else's address. Nobody notices, because all of it looks like answers.
//!
//! **The idea.** Each copy of a query is sent under an id of its own, drawn anew, and stands in a table by its server and
//! that id until it is answered or given up. An answer is believed if server, id and question are those of a copy in the
//! table; it is then out of the table, so a second answer to it is a foreign one.
//!
//! ```text
//! asked by        flight  copies
//! 10.0.0.7 id 5   41      TS1 under 9c21,  TS2 under 03fe
//! 10.0.0.8 id 5   42      TS1 under 7b10,  TS2 under 9c21
//! TS2 answers under 9c21: that is flight 42, if the question is 42's
//! ```
//!
//! **How it is kept.** Queries have numbers in the order in which they come, and most are gone soon; so they stand in a row, a
//! place for each number from the oldest that is under way, and whoever wants what is due walks along it from where it
//! stopped last ([`Flights::older`]): no query needs an entry in a list of times. A server has a *desk*, a place for each of
//! the 65,536 ids: an answer finds its query without a search.
//!
//! **When it is wrong.** One query that takes five seconds keeps the places of all that have come since: 8 bytes each, 4 MB at
//! 100,000 queries a second.
//!
//! Source: RFC 5452 §9 (what an answer must match).

mod desk;

use self::desk::Desk;
use crate::{policy::ServerKey, pool::Wanted};
use protocol::{
    dns::{Inquiry, Message, Rcode},
    id::RequestId,
};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Instant,
};

/// Queries under way at the most; more are refused with SERVFAIL. Each takes about a kilobyte.
pub const MAX_FLIGHTS: usize = 65_536;

/// How many ids are tried before a server counts as asked too much: at half of all ids in use 20 in a row are taken once in
/// a million times.
const MAX_DRAWS: u32 = 20;

/// A query, from its arrival to its answer. `A`: whom to answer; `L`: a place at a server.
#[derive(Debug)]
pub struct Flight<A, L> {
    /// The question, and how its asker is answered.
    pub inquiry: Inquiry,
    /// Whom to answer.
    pub asker: A,
    /// Where it came from, if it came in a datagram: who hears nothing sends it again from there, under the same id.
    pub from: Option<SocketAddr>,
    /// Its name in events.
    pub request: RequestId,
    /// When it came.
    pub since: Instant,
    /// What it wants of a server; those that had it are to be avoided.
    pub wanted: Wanted,
    /// How many copies were sent in all.
    pub attempts: u32,
    /// Whether no server was free for it, and the clock will look again soon. One look at a time is noted there.
    pub waits: bool,
    /// An answer of a server that helps nobody (SERVFAIL, REFUSED …): better than none, if no better one comes.
    pub fallback: Option<Vec<u8>>,
    copies: Vec<Copy<L>>,
}

#[derive(Debug)]
struct Copy<L> {
    server: ServerKey,
    id: u16,
    lease: L,
}

impl<A, L> Flight<A, L> {
    /// A query that came.
    pub fn new(inquiry: Inquiry, asker: A, request: RequestId, wanted: Wanted, since: Instant) -> Self {
        let (from, fallback, copies) = (None, None, Vec::new());
        Self { inquiry, asker, from, request, since, wanted, attempts: 0, waits: false, fallback, copies }
    }

    /// The query that came from there in a datagram.
    #[must_use]
    pub fn from(self, from: Option<SocketAddr>) -> Self {
        Self { from, ..self }
    }

    /// What makes two datagrams the same query.
    fn sender(&self) -> Option<(SocketAddr, u16)> {
        self.from.map(|from| (from, self.inquiry.id))
    }

    /// The places of the copies that are still out.
    pub fn into_leases(self) -> impl Iterator<Item = L> {
        self.copies.into_iter().map(|copy| copy.lease)
    }
}

/// What a query that came is.
#[derive(Debug)]
pub enum Opened<A, L> {
    /// A new one: its number.
    New(u64),
    /// One that is under way: it was sent again. Its answer will be the answer to both.
    Again,
    /// One too many.
    TooMany(Box<Flight<A, L>>),
}

/// What an answer of a server is.
#[derive(Debug)]
pub enum Heard<A, L> {
    /// Not one to any question that it was asked.
    Foreign(&'static str),
    /// The first useful one: the query is answered. The flight still has the copies that were not first.
    Won(Box<Flight<A, L>>, L),
    /// One that helps nobody, while other servers still have the query.
    Useless(L),
    /// One that helps nobody, and no other server has the query.
    Stuck(u64, L),
}

/// All queries under way.
#[derive(Debug)]
pub struct Flights<A, L> {
    /// Those under way, in the order in which they came, and empty places of those that are over.
    row: VecDeque<Option<Box<Flight<A, L>>>>,
    /// The number of the first place.
    first: u64,
    /// How many places are taken.
    under_way: usize,
    desks: Vec<Desk>,
    senders: HashMap<(SocketAddr, u16), u64>,
}

impl<A, L> Default for Flights<A, L> {
    fn default() -> Self {
        Self { row: VecDeque::new(), first: 1, under_way: 0, desks: Vec::new(), senders: HashMap::new() }
    }
}

impl<A, L> Flights<A, L> {
    /// A query has come.
    pub fn open(&mut self, flight: Flight<A, L>) -> Opened<A, L> {
        let before = flight.sender().and_then(|sender| self.senders.get(&sender).copied());
        let before = before.and_then(|number| self.get(number));
        if before.is_some_and(|before| before.inquiry.question == flight.inquiry.question) {
            return Opened::Again;
        }
        if self.under_way >= MAX_FLIGHTS {
            return Opened::TooMany(Box::new(flight));
        }
        let number = self.first + self.row.len() as u64;
        if let Some(sender) = flight.sender() {
            self.senders.insert(sender, number);
        }
        self.row.push_back(Some(Box::new(flight)));
        self.under_way += 1;
        Opened::New(number)
    }

    /// The flight of this number, if it is still under way.
    pub fn get(&mut self, number: u64) -> Option<&mut Flight<A, L>> {
        self.place(number)?.as_deref_mut()
    }

    fn place(&mut self, number: u64) -> Option<&mut Option<Box<Flight<A, L>>>> {
        let at = number.checked_sub(self.first)?;
        self.row.get_mut(usize::try_from(at).ok()?)
    }

    /// The numbers of those that came by `then`, from `next` on, which is moved behind them; and when the one there came, if
    /// there is one. Who asks with the same `next` again is told each one once.
    pub fn older(&self, next: &mut u64, then: Instant) -> (Vec<u64>, Option<Instant>) {
        let mut numbers = Vec::new();
        *next = (*next).max(self.first);
        for place in self.row.iter().skip(usize::try_from(*next - self.first).unwrap_or(usize::MAX)) {
            match place {
                Some(flight) if flight.since > then => return (numbers, Some(flight.since)),
                Some(_) => numbers.push(*next),
                None => {}
            }
            *next += 1;
        }
        (numbers, None)
    }

    /// How many are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.under_way
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.under_way == 0
    }

    /// Whether any copy is at this server.
    #[must_use]
    pub fn any_at(&self, server: ServerKey) -> bool {
        self.desks.iter().any(|desk| desk.server == server && desk.taken > 0)
    }

    fn desk(&mut self, server: ServerKey) -> Option<&mut Desk> {
        self.desks.iter_mut().find(|desk| desk.server == server)
    }

    /// This server is not asked any more. What it has been asked and not answered stays, until it is over.
    pub fn forget(&mut self, server: ServerKey) {
        self.desks.retain(|desk| desk.server != server || desk.taken > 0);
    }

    /// A copy goes to this server: what is sent to it.
    ///
    /// # Errors
    /// The lease, if the query is answered already, or no id is free at this server.
    pub fn send(
        &mut self,
        number: u64,
        server: ServerKey,
        lease: L,
        mut draw: impl FnMut() -> u16,
    ) -> Result<Vec<u8>, L> {
        if self.get(number).is_none() {
            return Err(lease);
        }
        if self.desk(server).is_none() {
            self.desks.push(Desk::new(server));
        }
        let Some(desk) = self.desk(server) else { unreachable!("it was put there") };
        let free = (0..MAX_DRAWS).map(|_| draw()).find(|id| desk.get(*id).is_none());
        let Some(id) = free else { return Err(lease) };
        desk.put(id, number);
        let Some(flight) = self.get(number) else { unreachable!("it was there a line ago") };
        flight.copies.push(Copy { server, id, lease });
        flight.attempts += 1;
        flight.wanted.avoid.push(server);
        Ok(flight.inquiry.onward(id))
    }

    /// A server has said this.
    pub fn heard(&mut self, server: ServerKey, answer: &Message<'_>) -> Heard<A, L> {
        if !answer.flags.is_response() {
            return Heard::Foreign("it is a question");
        }
        let Some(number) = self.desk(server).and_then(|desk| desk.get(answer.id)) else {
            return Heard::Foreign("nobody has asked it anything under this id");
        };
        let Some(flight) = self.get(number) else { unreachable!("copies leave with their flight") };
        if answer.question.as_ref() != Some(&flight.inquiry.question) {
            return Heard::Foreign("it answers another question");
        }
        let at = flight.copies.iter().position(|copy| (copy.server, copy.id) == (server, answer.id));
        let Some(at) = at else { unreachable!("a copy stands in both tables or in none") };
        let lease = flight.copies.swap_remove(at).lease;
        let useful = is_useful(answer.rcode());
        if !useful {
            flight.fallback = Some(flight.inquiry.relayed(answer));
        }
        let alone = flight.copies.is_empty();
        if let Some(desk) = self.desk(server) {
            desk.free(answer.id);
        }
        match useful.then(|| self.close(number)).flatten() {
            Some(flight) => Heard::Won(flight, lease),
            None if alone => Heard::Stuck(number, lease),
            None => Heard::Useless(lease),
        }
    }

    /// A server is gone: its places, and the numbers of the flights that no other server has.
    pub fn lost(&mut self, server: ServerKey) -> (Vec<L>, Vec<u64>) {
        let (mut leases, mut stuck) = (Vec::new(), Vec::new());
        let Some(at) = self.desks.iter().position(|desk| desk.server == server) else { return (leases, stuck) };
        for number in self.desks.swap_remove(at).into_numbers() {
            let Some(flight) = self.get(number) else { continue };
            leases.extend(flight.copies.extract_if(.., |copy| copy.server == server).map(|copy| copy.lease));
            if flight.copies.is_empty() {
                stuck.push(number);
            }
        }
        (leases, stuck)
    }

    /// A query is over. Its copies are forgotten: what their servers say from now on is foreign.
    pub fn close(&mut self, number: u64) -> Option<Box<Flight<A, L>>> {
        let flight = self.place(number)?.take()?;
        self.under_way -= 1;
        while self.row.front().is_some_and(Option::is_none) {
            self.row.pop_front();
            self.first += 1;
        }
        // Unless its sender has asked something else under the same id meanwhile.
        if let Some(sender) = flight.sender().filter(|sender| self.senders.get(sender) == Some(&number)) {
            self.senders.remove(&sender);
        }
        for copy in &flight.copies {
            if let Some(desk) = self.desk(copy.server) {
                desk.free(copy.id);
            }
        }
        Some(flight)
    }

    /// The numbers of all that are under way.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        let places = (self.first..).zip(&self.row);
        places.filter(|(_, place)| place.is_some()).map(|(number, _)| number).collect()
    }
}

/// Whether an answer with this code is what was asked for: that there is no such name is an answer, too.
fn is_useful(rcode: Rcode) -> bool {
    [Rcode::NO_ERROR, Rcode::NO_SUCH_NAME].contains(&rcode)
}

#[cfg(test)]
mod tests;
