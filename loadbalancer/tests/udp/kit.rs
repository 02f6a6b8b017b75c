//! Servers of datagrams that do as they are told, a load balancer in front of them, and clients.

use crossbeam_channel::Receiver;
use loadbalancer::{
    LoadBalancer,
    config::Config,
    event::{Event, Events, Record, Wants},
    pool::{Pool, State},
};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything that must happen is waited for.
pub const LONG: Duration = Duration::from_secs(20);
/// Flags with which nobody loses patience, so that a busy machine is not taken for a silent server.
pub const PATIENT: [&str; 4] = ["--udp-timeout", "60s", "--udp-try", "60s"];
/// A probe that servers of this kit answer. One that comes while a server closes may get neither an answer nor a refusal.
pub const PROBED: [&str; 4] = ["--udp-probe", "alive?", "--check", "inter 50ms timeout 3s fall 1"];

/// What comes back for a datagram.
type Answers = dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync;

/// A datagram, and where it came from.
type Heard = (Vec<u8>, SocketAddr);

/// A server of datagrams, which answers as it is told; empty ones, with which it is probed, never.
pub struct Server {
    pub address: SocketAddr,
    pub socket: Arc<UdpSocket>,
    heard: Arc<Mutex<Vec<Heard>>>,
    over: Arc<AtomicBool>,
}

impl Server {
    pub fn start(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answers)
    }

    pub fn start_at(address: SocketAddr, answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let answers: Box<Answers> = Box::new(answers);
        let socket = Arc::new(UdpSocket::bind(address).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (heard, over): (Arc<Mutex<Vec<_>>>, Arc<AtomicBool>) = Default::default();
        let (own, noted, ended) = (Arc::clone(&socket), Arc::clone(&heard), Arc::clone(&over));
        thread::spawn(move || {
            let mut buffer = vec![0; 65_535];
            while !ended.load(Ordering::SeqCst) {
                let Ok((length, from)) = own.recv_from(&mut buffer) else { continue };
                if length == 0 {
                    continue;
                }
                if !buffer[..length].starts_with(b"alive?") {
                    noted.lock().unwrap().push((buffer[..length].to_vec(), from));
                }
                for answer in answers(&buffer[..length]) {
                    let _gone = own.send_to(&answer, from);
                }
            }
        });
        Self { address: socket.local_addr().unwrap(), socket, heard, over }
    }

    /// One that turns payloads around, and leaves tags of so many bytes.
    pub fn reversing(tag: usize) -> Self {
        Self::start(move |asked| vec![reversed(asked, tag)])
    }

    /// One that says nothing, but to probes.
    pub fn silent() -> Self {
        Self::start(|asked| if asked.starts_with(b"alive?") { vec![asked.to_vec()] } else { vec![] })
    }

    /// What it got so far, and from where.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until it has got so many.
    pub fn until_heard(&self, count: usize) -> Vec<Heard> {
        eventually("the server has heard enough", || self.heard().len() >= count);
        self.heard()
    }

    /// Says this to where that came from.
    pub fn say(&self, bytes: &[u8], to: SocketAddr) {
        self.socket.send_to(bytes, to).unwrap();
    }

    /// Nobody listens there any more.
    pub fn close(self) -> SocketAddr {
        let address = self.address;
        drop(self);
        eventually("its port is free", || UdpSocket::bind(address).is_ok());
        address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// The payload turned around, the tag as it was.
pub fn reversed(asked: &[u8], tag: usize) -> Vec<u8> {
    let (payload, tag) = asked.split_at(asked.len() - tag);
    payload.iter().rev().chain(tag).copied().collect()
}

/// A load balancer in front of servers, which are S1, S2 …
pub struct Lab {
    balancer: Option<LoadBalancer>,
    pub pool: Arc<Pool>,
    pub address: SocketAddr,
    events: Receiver<Arc<Record>>,
    /// What a quiet terminal would get.
    news: Receiver<Arc<Record>>,
    _folder: TempDir,
}

impl Lab {
    pub fn new(flags: &[&str], servers: &[&Server]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("servers.json");
        let mut args = vec!["loadbalancer", "--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--no-journal"];
        args.extend(["--no-admin", "--balance", "round-robin", "--registry", registry.to_str().unwrap()]);
        args.extend(flags);
        let named = servers.iter().enumerate().map(|(n, server)| format!("S{}={}", n + 1, server.address));
        let named: Vec<String> = named.flat_map(|server| ["--udp-server".to_owned(), server]).collect();
        args.extend(named.iter().map(String::as_str));
        let config = <Config as clap::Parser>::try_parse_from(args).unwrap();
        // Whoever wants the news only is told first: what he has not got when the other one has, he does not get.
        let (events, mut heard) = Events::for_listeners(&[Wants::News, Wants::Everything]);
        let (heard, news) = (heard.remove(1), heard.remove(0));
        let balancer = LoadBalancer::start_heard(&config, events).unwrap();
        let side = balancer.side("udp").unwrap();
        let (pool, address) = (Arc::clone(side.pool()), side.address());
        let lab = Self { balancer: Some(balancer), pool, address, events: heard, news, _folder: folder };
        eventually("the servers are up", || (1..=servers.len()).all(|n| lab.is_up(n)));
        lab
    }

    fn state(&self, number: usize) -> Option<State> {
        let id = format!("S{number}");
        self.pool.servers().iter().find(|server| server.id == id).and_then(|server| self.pool.state(server))
    }

    /// Whether server S1, S2 … takes requests.
    pub fn is_up(&self, number: usize) -> bool {
        self.state(number) == Some(State::Up)
    }

    /// What a quiet terminal has got since this was asked last.
    pub fn news(&self) -> Vec<Event> {
        self.news.try_iter().map(|record| record.event.clone()).collect()
    }

    /// Waits for the next event of which this is true.
    pub fn event(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let until = Instant::now() + LONG;
        loop {
            let record = self.events.recv_deadline(until).unwrap_or_else(|_| panic!("never: {what}"));
            if wanted(&record.event) {
                return record.event.clone();
            }
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Ends it as a person would.
    pub fn end(mut self) {
        self.balancer.take().unwrap().end();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(balancer) = self.balancer.take() {
            balancer.end();
        }
    }
}

/// Waits until this is so.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Somebody who asks.
pub struct Client {
    pub socket: UdpSocket,
}

impl Client {
    pub fn new(balancer: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(balancer).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        Self { socket }
    }

    pub fn say(&self, bytes: &[u8]) -> &Self {
        self.socket.send(bytes).unwrap();
        self
    }

    pub fn hear(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_535];
        let length = self.socket.recv(&mut buffer).expect("an answer");
        buffer[..length].to_vec()
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        self.say(bytes).hear()
    }

    /// Asks until there is an answer, as who uses datagrams must.
    pub fn ask_on(&self, bytes: &[u8]) -> Vec<u8> {
        self.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let until = Instant::now() + LONG;
        let mut buffer = vec![0; 65_535];
        loop {
            assert!(Instant::now() < until, "no answer");
            self.say(bytes);
            if let Ok(length) = self.socket.recv(&mut buffer) {
                return buffer[..length].to_vec();
            }
        }
    }
}
