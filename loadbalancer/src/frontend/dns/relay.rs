//! A query's way: to one server or several, back with the first useful answer, or to the next server when none comes.
//!
//! Nobody waits for a query. Who receives it sends it on; who hears an answer passes it back; who watches the clock sends
//! further copies and gives up. They meet in the table of [`flights`](super::flights), whose lock is held for a look and a
//! change, and never while something is sent. Here is the way there; the way back is in `back`, what time brings in `clock`.

mod back;
mod clock;

use super::{
    agenda::{Agenda, Due},
    cache::Cache,
    flags::DnsFlags,
    flights::{Flight, Flights, Opened},
    ids::Ids,
    mail::Mail,
    upstream::Upstream,
    zones::{self, Zones},
};
use crate::{
    dispatch::{
        copies::{Copies, reason::Reason},
        key::{self, HashKey},
        retry::MAX_ATTEMPTS,
        tell_choice,
    },
    event::{Event, Events, micros},
    policy::{Ended, ServerKey},
    pool::{Lease, Pool, Server, State, Wanted},
};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use protocol::{
    dns::{Inquiry, Message, Rcode},
    id::{IdSource, RequestId},
    message::ErrorCode,
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};
use xxhash_rust::xxh3::xxh3_64;

/// The code of "Extended DNS Errors" (RFC 8914), and its "no server could be reached".
const EXTENDED_ERROR: u16 = 15;
const NO_REACHABLE_AUTHORITY: u16 = 22;

/// Who has answered, in events, when no server was asked.
const CACHE: &str = "(cache)";

/// How soon a query that found no free server looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Whom an answer goes to.
#[derive(Clone, Debug)]
pub enum Asker {
    /// Who sent a datagram from there.
    Datagram(SocketAddr),
    /// Who waits at the other end of a connection: its thread.
    Stream(SocketAddr, Sender<Vec<u8>>),
}

impl Asker {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Datagram(address) | Self::Stream(address, _) => *address,
        }
    }

    /// Where its datagram came from.
    fn sender(&self) -> Option<SocketAddr> {
        if let Self::Datagram(address) = self { Some(*address) } else { None }
    }
}

/// Passes queries on. Shared by all threads of the frontend.
pub struct Relay {
    /// Where servers are taken from.
    pub pool: Arc<Pool>,
    /// Where what happens is told.
    pub events: Events,
    /// What datagrams come to and leave from.
    pub socket: Arc<UdpSocket>,
    ids: IdSource,
    flags: DnsFlags,
    hash_key: HashKey,
    copies: Copies,
    agenda: Agenda,
    /// Held for a look and a change; nothing is sent under it. Before it, never the pool's lock.
    table: Mutex<Table>,
    /// Answers that are still good. Held to look or to add one.
    cache: Option<Mutex<Cache>>,
    /// Names that are answered here.
    pub zones: Zones,
    begun: Instant,
    /// The sockets to the servers. Held to look or to add one.
    upstreams: Mutex<HashMap<ServerKey, Arc<Upstream>>>,
}

#[derive(Default)]
struct Table {
    flights: Flights<Asker, Lease>,
    ids: Ids,
}

impl Relay {
    /// A relay between this socket and the servers of this pool.
    #[must_use]
    pub fn new(
        (pool, events): (Arc<Pool>, Events),
        socket: UdpSocket,
        flags: DnsFlags,
        hash_key: HashKey,
        copies: Copies,
    ) -> Arc<Self> {
        let ids = IdSource::new(fastrand::u64(..));
        let (agenda, table, upstreams) = Default::default();
        let cache = (flags.dns_cache > 0).then(|| Mutex::new(Cache::new(flags.dns_cache as usize)));
        let begun = Instant::now();
        let own = socket.local_addr().map_or(IpAddr::from([0; 4]), |own| own.ip());
        let zones = Zones::new(flags.zones(own));
        let socket = Arc::new(socket);
        Arc::new(Self {
            pool,
            events,
            socket,
            ids,
            flags,
            hash_key,
            copies,
            agenda,
            table,
            cache,
            zones,
            begun,
            upstreams,
        })
    }

    /// A question has come. What is to be sent is in the mail then.
    pub fn ask(self: &Arc<Self>, inquiry: Inquiry, asker: Asker, mail: &mut Mail) {
        let (request, since) = (self.ids.next(), Instant::now());
        let client = asker.address().ip();
        let received = {
            let text = if self.events.steps_wanted() { inquiry.question.to_string() } else { String::new() };
            move || Event::RequestReceived { request, client: client.to_string(), text }
        };
        let totals = self.pool.totals();
        if let Some(kept) = self.kept(&inquiry) {
            totals.requests.add_one();
            totals.answered.add_one();
            self.events.step(received);
            let took_us = micros(since.elapsed());
            self.events.step(|| Event::ResponseSent { request, server: CACHE.to_owned(), took_us, complete: true });
            return self.reply(&asker, &kept, mail);
        }
        let wanted = self.wanted(&inquiry, client, request);
        if !self.zones.is_empty() && (self.zones.have(&inquiry) || self.pool.servers().is_empty()) {
            totals.requests.add_one();
            // Before the work, so that the work is a part of its time.
            self.events.step(received);
            let told = self.zones.answer(&inquiry, &wanted);
            let refused = || inquiry.reply().rcode(Rcode::REFUSED).finish(inquiry.limit);
            self.reply(&asker, &told.as_ref().map_or_else(refused, |told| told.said.bytes.clone()), mail);
            return zones::tell(told.as_ref(), (&self.pool, &self.events), (request, since));
        }
        let (from, first) = (asker.sender(), wanted.clone());
        let opened = self.table.lock().flights.open(Flight::new(inquiry, asker, request, wanted, since).from(from));
        if !matches!(opened, Opened::Again) {
            totals.requests.add_one();
            self.events.step(received);
        }
        let number = match opened {
            Opened::New(number) => number,
            Opened::Again => return,
            Opened::TooMany(flight) => {
                return self.give_up(*flight, ErrorCode::Busy, "Too many queries are under way.", mail);
            }
        };
        if !self.send_to_one(number, (first, request, 1), Reason::Needed, mail) {
            self.events.step(|| Event::RequestWaits { request, ahead: 0 });
        }
        (1..self.copies.at_once()).all(|_| self.send_on(number, Reason::Duplicate, mail));
        if let Some(after) = self.copies.hedge_after() {
            self.agenda.note(since + after, number, Due::Hedge);
        }
    }

    /// Sends what is in the mail. If a server turns out to be lost, its queries go to others at once.
    pub fn post(self: &Arc<Self>, mail: &mut Mail) {
        // An answer that cannot be sent is one that was lost on its way.
        let _lost = mail.answers().send(&self.socket);
        while let Some((upstream, lost)) = mail.send_queries() {
            if lost {
                // Word of an earlier query that nobody took. These, and all others that it has, go elsewhere.
                self.lost(upstream.server(), mail);
            }
        }
        let _lost = mail.answers().send(&self.socket);
    }

    fn wanted(&self, inquiry: &Inquiry, client: IpAddr, request: RequestId) -> Wanted {
        let client = key::of_ip(client);
        // The same name goes to the same server, however it is spelled.
        let text = || xxh3_64(&inquiry.question.name.wire().to_ascii_lowercase());
        let key = self.hash_key.pick(|| client, text, request);
        Wanted { client, key, ..Wanted::default() }
    }

    /// The answer, if it was given lately and is still good.
    fn kept(&self, inquiry: &Inquiry) -> Option<Vec<u8>> {
        let kept = self.cache.as_ref()?.lock().get(&inquiry.question, inquiry.dnssec, self.begun.elapsed())?;
        Message::parse(&kept).ok().map(|answer| inquiry.relayed(&answer))
    }

    // ------------------------------------------------------------------------------------------- on the way there

    /// Sends the query to one more server. False if there is none, or the query is answered already.
    fn send_on(self: &Arc<Self>, number: u64, reason: Reason, mail: &mut Mail) -> bool {
        let Some(looked) = self.look(number) else { return false };
        self.send_to_one(number, looked, reason, mail)
    }

    /// As [`send_on`](Self::send_on), for who knows already what the query wants, its name, and which attempt this is.
    fn send_to_one(
        self: &Arc<Self>,
        number: u64,
        (wanted, request, attempt): (Wanted, RequestId, u32),
        reason: Reason,
        mail: &mut Mail,
    ) -> bool {
        let Some(found) = reason.find(&self.pool, &wanted) else {
            if reason == Reason::Needed {
                self.look_again(number);
            }
            return false;
        };
        let server = Arc::clone(found.lease.server());
        let copy = reason != Reason::Needed || attempt > 1;
        tell_choice(&self.pool, &self.events, request, attempt, &found, copy);
        let Some(query) = self.note(number, found.lease) else { return false };
        if mail.query(&query, server.key, || self.upstream(&server)).is_err() {
            // The system has no socket for it.
            self.lost(&server, mail);
        }
        true
    }

    /// No server is free: the clock looks again soon, and as long as it is so.
    fn look_again(&self, number: u64) {
        let noted =
            self.table.lock().flights.get(number).is_some_and(|flight| !std::mem::replace(&mut flight.waits, true));
        if noted {
            self.agenda.note(Instant::now() + LOOK_AGAIN, number, Due::Look);
        }
    }

    /// Notes a copy for the server of this lease: what to send to it; `None` if the query is answered already.
    fn note(&self, number: u64, lease: Lease) -> Option<Vec<u8>> {
        let server = lease.server().key;
        let noted = {
            let Table { flights, ids } = &mut *self.table.lock();
            flights.send(number, server, lease, || ids.draw())
        };
        noted.map_err(|lease| lease.finish(Ended::Cancelled)).ok()
    }

    fn look(&self, number: u64) -> Option<(Wanted, RequestId, u32)> {
        let mut table = self.table.lock();
        table.flights.get(number).map(|flight| (flight.wanted.clone(), flight.request, flight.attempts + 1))
    }

    fn upstream(self: &Arc<Self>, server: &Arc<Server>) -> std::io::Result<Arc<Upstream>> {
        if let Some(upstream) = self.upstreams.lock().get(&server.key) {
            return Ok(Arc::clone(upstream));
        }
        let upstream = Upstream::open(server, self)?;
        Ok(Arc::clone(self.upstreams.lock().entry(server.key).or_insert(upstream)))
    }

    fn reply(&self, asker: &Asker, message: &[u8], mail: &mut Mail) {
        match asker {
            Asker::Datagram(address) => mail.answer(message, *address),
            Asker::Stream(_, thread) => {
                let _gone = thread.try_send(message.to_vec());
            }
        }
    }

    // -------------------------------------------------------------------------------------- without a useful answer

    /// Whether there is a server that has not had this query and takes requests.
    fn has_another(&self, number: u64) -> bool {
        let Some((wanted, _, attempt)) = self.look(number) else { return false };
        let untried = |server: &Arc<Server>| !wanted.avoid.contains(&server.key);
        let up = |server: &Arc<Server>| self.pool.state(server) == Some(State::Up);
        attempt <= MAX_ATTEMPTS && self.pool.servers().iter().any(|server| untried(server) && up(server))
    }

    /// The query is over without a useful answer.
    fn end(&self, number: u64, code: ErrorCode, message: &str, mail: &mut Mail) {
        let flight = self.table.lock().flights.close(number);
        if let Some(flight) = flight {
            self.give_up(*flight, code, message, mail);
        }
    }

    fn give_up(&self, flight: Flight<Asker, Lease>, code: ErrorCode, message: &str, mail: &mut Mail) {
        let Flight { inquiry, asker, request, fallback, .. } = &flight;
        let failure = || {
            let reply = inquiry.reply().rcode(Rcode::SERVER_FAILURE);
            let timed_out = NO_REACHABLE_AUTHORITY.to_be_bytes();
            if code == ErrorCode::Timeout { reply.option(EXTENDED_ERROR, &timed_out) } else { reply }
        };
        let said = fallback.clone().unwrap_or_else(|| failure().finish(inquiry.limit));
        self.reply(asker, &said, mail);
        self.pool.totals().failed.add_one();
        let (request, message) = (*request, message.to_owned());
        self.events.emit(|| Event::RequestFailed { request, code, definite: true, message });
        for lease in flight.into_leases() {
            let ended = self.silence_of(lease.server());
            lease.finish(ended);
        }
    }

    /// How much one network may ask a second, if there is a limit.
    #[must_use]
    pub fn rate(&self) -> Option<u32> {
        self.flags.dns_rate
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("flags", &self.flags).finish_non_exhaustive()
    }
}
