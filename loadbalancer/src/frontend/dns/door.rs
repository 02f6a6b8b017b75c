//! Where queries come in: a thread for datagrams, a crew for connections.

use super::{
    limit::{Allowed, Limit},
    mail::{LOOKS, Mail},
    relay::{Asker, Relay},
    whole::whole,
    zones::Zones,
};
use crate::event::Event;
use crossbeam_channel::bounded;
use protocol::{
    datagrams::{BATCH, Inbox, LONGEST, make_room},
    deadline::Deadline,
    dns::{Admitted, Cookies, Flags, Message, Transport, admit, receive, send},
    limits::HEADER_TIME,
    listener::{Handler, Refusal, Visit},
    wire::{Connection, WireError},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

/// Room for queries that nobody has read yet, in bytes. The system may give less.
const RECEIVE_ROOM: usize = 4 * 1024 * 1024;
/// How long a connection may be silent between two queries (RFC 7766 §6.2.3: some seconds).
const IDLE_TIME: Duration = Duration::from_secs(10);
/// How much longer than its query is under way a thread waits for the answer.
const GRACE: Duration = Duration::from_secs(1);
/// How long the thread that waits for datagrams pauses when its socket fails at once.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest pause in which the end is looked for, if the datagram that tells it was lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The door of the frontend. When it is dropped nothing new comes in, what is under way is finished, and its threads end.
#[derive(Debug)]
pub struct Door {
    relay: Arc<Relay>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What connections are carried by.
#[derive(Debug)]
pub struct Streams {
    relay: Arc<Relay>,
    cookies: Arc<Cookies>,
    patience: Duration,
}

impl Door {
    /// Receives datagrams (`dns-udp`) and watches the clock (`dns-clock`). Returns what carries connections, too.
    ///
    /// # Errors
    /// If the system gives no threads, or no randomness.
    pub fn open(relay: &Arc<Relay>, timeout: Duration) -> io::Result<(Self, Streams)> {
        let cookies = Arc::new(Cookies::draw()?);
        make_room(&relay.socket, RECEIVE_ROOM);
        relay.socket.set_read_timeout(Some(LOOK_EVERY))?;
        let mut door = Self { relay: Arc::clone(relay), over: Arc::default(), threads: Vec::new() };
        let (clock, receiver, over) = (Arc::clone(relay), Arc::clone(relay), Arc::clone(&door.over));
        let known = Arc::clone(&cookies);
        door.spawn("dns-clock", move || clock.watch_the_clock())?;
        door.spawn("dns-udp", move || receive_datagrams(&receiver, &known, &over))?;
        Ok((door, Streams { relay: Arc::clone(relay), cookies, patience: timeout + GRACE }))
    }
}

impl Door {
    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.into()).spawn(run)?);
        Ok(())
    }

    /// The zones that are answered here.
    #[must_use]
    pub fn zones(&self) -> &Zones {
        &self.relay.zones
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Ok(own) = self.relay.socket.local_addr() {
            // Wakes the thread that waits for datagrams.
            let _lost =
                UdpSocket::bind((loopback(own.is_ipv4()), 0)).and_then(|waker| waker.send_to(&[], reachable(own)));
        }
        self.relay.finish();
        self.relay.stop();
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

fn loopback(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

fn reachable(own: SocketAddr) -> SocketAddr {
    if own.ip().is_unspecified() { SocketAddr::new(loopback(own.is_ipv4()), own.port()) } else { own }
}

fn receive_datagrams(relay: &Arc<Relay>, cookies: &Cookies, over: &AtomicBool) {
    let (mut inbox, mut mail) = (Inbox::new(Arc::clone(&relay.socket), BATCH, LONGEST), Mail::default());
    let (mut limit, begun) = (relay.rate().map(Limit::new), Instant::now());
    while !over.load(Ordering::SeqCst) {
        match inbox.receive_after(LOOKS) {
            _ if over.load(Ordering::SeqCst) => return,
            Ok(0) => continue,
            Ok(_) => {}
            // The echo of an answer that nobody took, or it lasts: the network is down, and says so each time.
            Err(_) => {
                thread::park_timeout(PAUSE);
                continue;
            }
        }
        let now = now();
        for (query, peer) in inbox.iter_mut() {
            let allowed = limit.as_mut().map_or(Allowed::Answer, |limit| limit.ask(peer.ip(), begun.elapsed()));
            take(relay, (query, peer), allowed, (cookies, now), &mut mail);
        }
        relay.post(&mut mail);
    }
}

/// Does what a datagram asks for.
fn take(
    relay: &Arc<Relay>,
    (query, peer): (&[u8], SocketAddr),
    allowed: Allowed,
    (cookies, now): (&Cookies, u32),
    mail: &mut Mail,
) {
    relay.pool.totals().bytes_in.add(query.len() as u64);
    match admit(query, peer, Transport::Datagram, cookies, now) {
        _ if allowed == Allowed::Nothing => refused(relay, peer, "its network asks too much"),
        Admitted::Asked(inquiry) if allowed == Allowed::OverTcp => {
            refused(relay, peer, "its network asks too much: it may ask over TCP");
            mail.answer(&inquiry.reply().flags(Flags::truncated).finish(inquiry.limit), peer);
        }
        Admitted::Asked(inquiry) => relay.ask(inquiry, Asker::Datagram(peer), mail),
        Admitted::Refused(said, rcode) => {
            refused(relay, peer, &format!("its query was answered with {rcode}"));
            mail.answer(&said, peer);
        }
        Admitted::Dropped(why) => refused(relay, peer, why),
    }
}

/// Anybody can send anything: it is counted, and told only to who wants to hear every step.
fn refused(relay: &Relay, peer: SocketAddr, why: &str) {
    relay.pool.totals().client_errors.add_one();
    relay.events.step(|| Event::MessageRefused { peer, why: why.to_owned() });
}

fn now() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() as u32
}

impl Handler for Streams {
    fn serve(&self, visit: &Visit) {
        let Ok(mut client) = Connection::new(Arc::clone(visit.stream())) else { return };
        let peer = client.peer();
        let totals = self.relay.pool.totals();
        totals.connections.add_one();
        let _connected = totals.clients.enter();
        self.relay.events.step(|| Event::ClientConnected { peer });
        while let Ok(Some(query)) = self.next_query(visit, &mut client) {
            if !self.answer(&query, &mut client) {
                break;
            }
        }
        self.relay.events.step(|| Event::ClientLeft { peer });
    }

    /// Nothing was asked yet that could be answered: the connection is closed.
    fn refuse(&self, stream: &TcpStream, why: Refusal) {
        let peer = stream.peer_addr().ok();
        self.relay.pool.totals().refused.add_one();
        self.relay.events.emit(|| Event::ClientRefused { peer, why: format!("{why:?}") });
    }

    fn panicked(&self, message: &str) {
        self.relay.events.emit(|| Event::Panicked { message: message.to_owned() });
    }
}

impl Streams {
    fn next_query(&self, visit: &Visit, client: &mut Connection) -> Result<Option<Vec<u8>>, WireError> {
        visit.wait_for_request(|| receive(client, Some(Deadline::after(IDLE_TIME)), HEADER_TIME))
    }

    /// Answers a query. Whether the connection is of further use.
    fn answer(&self, query: &[u8], client: &mut Connection) -> bool {
        let peer = client.peer();
        self.relay.pool.totals().bytes_in.add(query.len() as u64);
        let said = match admit(query, peer, Transport::Stream, &self.cookies, now()) {
            Admitted::Asked(inquiry) => {
                let (answer, answered) = bounded(1);
                let mut mail = Mail::default();
                self.relay.ask(inquiry.clone(), Asker::Stream(peer, answer), &mut mail);
                self.relay.post(&mut mail);
                let Ok(said) = answered.recv_timeout(self.patience) else { return false };
                let cut = Message::head(&said).is_some_and(|(_, flags)| flags.is_truncated());
                let rest = || whole(&self.relay, &inquiry, Deadline::after(self.patience));
                cut.then(rest).flatten().unwrap_or(said)
            }
            Admitted::Refused(said, rcode) => {
                refused(&self.relay, peer, &format!("its query was answered with {rcode}"));
                said
            }
            Admitted::Dropped(why) => {
                self.relay.pool.totals().client_errors.add_one();
                self.relay.events.step(|| Event::ClientFailed { peer, why: why.to_owned() });
                return false;
            }
        };
        send(client, &said).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        dispatch::copies::Copies,
        event::Events,
        policy::Name,
        pool::{Pool, Settings},
    };
    use clap::Parser;

    #[test]
    fn its_threads_have_ended_when_it_is_dropped() {
        let config = Config::try_parse_from(["loadbalancer", "--dns", "127.0.0.1:0"]).unwrap();
        for _ in 0..20 {
            let pool = Pool::new(Settings::of(Name::Power, 1), Events::default());
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let (flags, copies) = (config.dns.clone(), Copies::new(&config.copies));
            let relay = Relay::new((pool, Events::default()), socket, flags, config.hash_key(), copies);
            drop(Door::open(&relay, LOOK_EVERY).unwrap());
            assert_eq!(Arc::strong_count(&relay), 1, "a thread still has the relay");
        }
    }
}
