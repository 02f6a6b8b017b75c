//! Flows: the datagrams of one client go to one server, and what that says comes back. Any protocol.
//!
//! **The idea.** Nothing in a datagram of a protocol that is not known says to which question it is the answer; but a socket can.
//! So the first datagram of a client's address gets a server by the policy, and a socket of its own that is connected to it:
//! what comes there is from that server and for that client. A thread (`udp-flow`) waits for it, and ends the flow: when nothing
//! was said for a while, when nobody listens at the server's port, when the server is down or has left. Then the client's next
//! datagram begins another flow, at another server.
//!
//! **When it is wrong.** What a server knew of a flow is lost with it. A client that sends each datagram from another port makes a
//! flow of each, and each takes a thread and two descriptors until it is silent long enough: hence the bound. Nobody waits
//! for a server with spare capacity: a datagram for which there is none is dropped.

pub mod book;

use self::book::Book;
use super::{flags::UdpFlags, kernel::Kernel};
use crate::{
    dispatch::{
        key::{self, HashKey},
        tell_choice,
    },
    event::{Event, Events, micros},
    policy::{Ended, ServerKey},
    pool::{Found, Lease, Pool, Server, State, Wanted},
};
use parking_lot::Mutex;
use protocol::{
    datagrams::{Inbox, LONGEST, make_room},
    dns::socket_to,
    id::{IdSource, RequestId},
    message::ErrorCode,
};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Room for answers that nobody has read yet, in bytes. There may be many flows, and each has its own.
const ROOM: usize = 256 * 1024;
/// How often a flow that hears nothing looks whether its server is still up.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A server that has not answered a flow at all after this time, while others answer theirs, is asked what it is doing.
const PATIENCE: Duration = Duration::from_secs(3);
/// The stack of a flow's thread; its buffer is on the heap.
const STACK: usize = 128 * 1024;

/// All flows.
#[derive(Debug)]
pub struct Flows {
    pool: Arc<Pool>,
    events: Events,
    socket: Arc<UdpSocket>,
    ids: IdSource,
    hash_key: HashKey,
    /// Held to look a flow up, to enter it, or to take it out.
    book: Mutex<Book<Place>>,
    /// Whether any flow was ever answered: some protocols have no answers.
    answers: AtomicBool,
    over: AtomicBool,
}

/// What a client has.
#[derive(Debug)]
enum Place {
    /// A flow.
    Flow(Arc<Flow>),
    /// It had one, at a server where nobody listens: the next one should be elsewhere.
    Refused(ServerKey),
}

#[derive(Debug)]
struct Flow {
    client: SocketAddr,
    id: RequestId,
    since: Instant,
    socket: UdpSocket,
    server: Arc<Server>,
    up: AtomicU64,
    down: AtomicU64,
}

/// Why a flow is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Silent,
    Refused,
    ServerDown,
    Ending,
}

impl Flows {
    /// No flows yet, between this socket and the servers of this pool.
    #[must_use]
    pub fn new(
        (pool, events): (Arc<Pool>, Events),
        socket: UdpSocket,
        flags: &UdpFlags,
        hash_key: HashKey,
    ) -> Arc<Self> {
        Arc::new(Self {
            pool,
            events,
            socket: Arc::new(socket),
            ids: IdSource::new(fastrand::u64(..)),
            hash_key,
            book: Mutex::new(Book::new(flags.udp_flows as usize, flags.udp_idle)),
            answers: AtomicBool::new(false),
            over: AtomicBool::new(false),
        })
    }

    pub(super) fn socket(&self) -> &Arc<UdpSocket> {
        &self.socket
    }

    /// Passes on what clients have sent.
    pub(super) fn take(self: &Arc<Self>, inbox: &mut Inbox) {
        let now = Instant::now();
        for (bytes, from) in inbox.iter_mut() {
            self.pool.totals().bytes_in.add(bytes.len() as u64);
            let Some(flow) = self.flow(from, now) else { continue };
            flow.server.statistics.bytes_in.add(bytes.len() as u64);
            flow.up.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if flow.socket.send(bytes).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                // Its thread learns nothing of it: the word has been taken here.
                self.refused(&flow);
            }
        }
    }

    /// The client's flow: the one it has, or a new one if there may be one.
    fn flow(self: &Arc<Self>, client: SocketAddr, now: Instant) -> Option<Arc<Flow>> {
        let (avoid, has_room) = {
            let mut book = self.book.lock();
            match book.touch(client, now) {
                Some(Place::Flow(flow)) => return Some(Arc::clone(flow)),
                Some(Place::Refused(server)) => (vec![*server], true),
                None => (Vec::new(), book.has_room(now)),
            }
        };
        if !has_room {
            return self.turn_away(client, "as many flows as there may be (--udp-flows)");
        }
        self.begin(client, avoid, now)
    }

    fn begin(self: &Arc<Self>, client: SocketAddr, avoid: Vec<ServerKey>, now: Instant) -> Option<Arc<Flow>> {
        let (id, totals) = (self.ids.next(), self.pool.totals());
        totals.requests.add_one();
        totals.connections.add_one();
        self.events.step(|| Event::RequestReceived {
            request: id,
            client: client.to_string(),
            text: "a flow".to_owned(),
        });
        let Some(found) = self.pool.take_now(&self.wanted(client, avoid, id)) else {
            totals.failed.add_one();
            totals.no_server.add_one();
            let message = "No server takes a flow: none is up, or none has room.".to_owned();
            self.events.emit(|| Event::RequestFailed {
                request: id,
                code: ErrorCode::Unavailable,
                definite: true,
                message,
            });
            return None;
        };
        tell_choice(&self.pool, &self.events, id, 1, &found, false);
        let Found { lease, .. } = found;
        let flow = match Flow::open(client, id, lease.server(), now) {
            Ok(flow) => Arc::new(flow),
            Err(error) => {
                lease.finish(Ended::Cancelled);
                return self.turn_away(client, &format!("no socket for a flow ({error})"));
            }
        };
        if self.book.lock().enter(client, Place::Flow(Arc::clone(&flow)), now).is_err() {
            lease.finish(Ended::Cancelled);
            return self.turn_away(client, "as many flows as there may be (--udp-flows)");
        }
        totals.in_hand.set(self.len() as u64);
        let (own, flows) = (Arc::clone(&flow), Arc::downgrade(self));
        let spawned = thread::Builder::new().name("udp-flow".into()).stack_size(STACK);
        if spawned.spawn(move || own.carry(&flows, lease)).is_err() {
            self.book.lock().leave(client, |place| matches!(place, Place::Flow(other) if Arc::ptr_eq(other, &flow)));
            return self.turn_away(client, "the system gives no further thread");
        }
        Some(flow)
    }

    fn wanted(&self, client: SocketAddr, avoid: Vec<ServerKey>, id: RequestId) -> Wanted {
        let ip = key::of_ip(client.ip());
        // There is no text that would say what a flow is about: its client stands for it.
        let key = self.hash_key.pick(|| ip, || ip, id);
        Wanted { client: ip, key, avoid, ..Wanted::default() }
    }

    fn turn_away(&self, client: SocketAddr, why: &str) -> Option<Arc<Flow>> {
        self.pool.totals().refused.add_one();
        self.events.emit(|| Event::ClientRefused { peer: Some(client), why: why.to_owned() });
        None
    }

    /// Nobody listens at the flow's server: its client's next flow should be elsewhere.
    fn refused(&self, flow: &Arc<Flow>) {
        flow.server.ask();
        let mut book = self.book.lock();
        let is_meant = |place: &Place| matches!(place, Place::Flow(other) if Arc::ptr_eq(other, flow));
        if book.leave(flow.client, is_meant).is_some() {
            let _there_was_room = book.enter(flow.client, Place::Refused(flow.server.key), Instant::now());
        }
    }

    /// Passes on what the flow's server has said.
    fn answer(&self, flow: &Flow, bytes: &[u8]) {
        self.book.lock().touch(flow.client, Instant::now());
        self.answers.store(true, Ordering::Relaxed);
        flow.down.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        flow.server.statistics.bytes.add(bytes.len() as u64);
        self.pool.totals().bytes_out.add(bytes.len() as u64);
        if self.socket.send_to(bytes, flow.client).is_err() {
            self.pool.totals().client_errors.add_one();
        }
    }

    /// Whether the flow is over, and why.
    fn over(&self, flow: &Arc<Flow>) -> Option<Over> {
        let left = {
            let book = self.book.lock();
            match book.get(flow.client) {
                Some(Place::Flow(own)) if Arc::ptr_eq(own, flow) => book.left(flow.client, Instant::now()),
                Some(Place::Refused(_)) => return Some(Over::Refused),
                _ => None,
            }
        };
        if self.over.load(Ordering::SeqCst) {
            return Some(Over::Ending);
        }
        if left.is_none_or(|left| left.is_zero()) {
            return Some(Over::Silent);
        }
        let gone = matches!(self.pool.state(&flow.server), None | Some(State::Down));
        gone.then_some(Over::ServerDown)
    }

    /// Whether a flow without an answer is its server's fault: others get some.
    fn is_suspicious(&self, flow: &Flow) -> bool {
        flow.down.load(Ordering::Relaxed) == 0 && self.answers.load(Ordering::Relaxed)
    }

    /// The flow is over: its lease ends, and it is told.
    fn ended(&self, flow: &Arc<Flow>, over: Over, lease: Lease) {
        let is_meant = |place: &Place| matches!(place, Place::Flow(other) if Arc::ptr_eq(other, flow));
        self.book.lock().leave(flow.client, is_meant);
        let totals = self.pool.totals();
        totals.in_hand.set(self.len() as u64);
        let (ended, how) = match over {
            Over::Silent if self.is_suspicious(flow) => (Ended::Failed, "it was never answered"),
            Over::Silent => (Ended::Answered, "nothing was said for too long"),
            Over::Refused => (Ended::Failed, "nobody listens at its server's port"),
            Over::ServerDown => (Ended::Failed, "its server is down"),
            Over::Ending => (Ended::Cancelled, "the load balancer ends"),
        };
        lease.finish(ended);
        match ended {
            Ended::Answered => totals.answered.add_one(),
            // What the two had said to each other by then, nobody here understands.
            Ended::Failed => totals.in_doubt.add_one(),
            Ended::Cancelled => totals.cancelled.add_one(),
        }
        self.events.step(|| Event::ConnectionEnded {
            request: flow.id,
            server: flow.server.id.clone(),
            up: flow.up.load(Ordering::Relaxed),
            down: flow.down.load(Ordering::Relaxed),
            took_us: micros(flow.since.elapsed()),
            how: how.to_owned(),
        });
    }

    /// How many there are.
    fn len(&self) -> usize {
        self.book.lock().len()
    }

    /// Forgets clients that had a flow where nobody listens, and were not heard of again.
    pub(super) fn tidy(&self) {
        self.book.lock().tidy(Instant::now());
        self.pool.totals().in_hand.set(self.len() as u64);
    }

    /// Looks up what the kernel has dropped of what clients sent.
    pub(super) fn look_up(&self, kernel: &mut Kernel) {
        let Ok(address) = self.socket.local_addr() else { return };
        let count = kernel.look(&[address]);
        if count > 0 {
            self.pool.totals().dropped.add(count);
            self.events.emit(|| Event::DatagramsDropped { frontend: "udp".to_owned(), count });
        }
    }

    /// Ends all.
    pub(super) fn stop(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

impl Flow {
    fn open(client: SocketAddr, id: RequestId, server: &Arc<Server>, since: Instant) -> io::Result<Self> {
        let socket = socket_to(server.address)?;
        make_room(&socket, ROOM);
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let (up, down) = Default::default();
        Ok(Self { client, id, since, socket, server: Arc::clone(server), up, down })
    }

    /// Carries what the server says to the client, until the flow is over.
    fn carry(self: Arc<Self>, flows: &Weak<Flows>, lease: Lease) {
        let mut buffer = vec![0; LONGEST + 1];
        let (mut looked, mut asked) = (Instant::now(), false);
        loop {
            let received = self.socket.recv(&mut buffer);
            let Some(flows) = flows.upgrade() else { return lease.finish(Ended::Cancelled) };
            match &received {
                Ok(length) => flows.answer(&self, &buffer[..*length]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => flows.refused(&self),
                Err(_) => {}
            }
            if received.is_ok() && looked.elapsed() < LOOK_EVERY {
                continue;
            }
            looked = Instant::now();
            if let Some(over) = flows.over(&self) {
                return flows.ended(&self, over, lease);
            }
            if !asked && self.since.elapsed() >= PATIENCE && flows.is_suspicious(&self) {
                asked = true;
                self.server.ask();
            }
        }
    }
}
