//! Servers of datagrams that do as they are told, a load balancer in front of them, and clients.

pub use super::side::{LONG, eventually};

use super::side::{Front, Sender};
use loadbalancer::pool::State;
use std::{
    net::{SocketAddr, UdpSocket},
    ops::Deref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

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
pub struct Lab(Front);

impl Deref for Lab {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.0
    }
}

impl Lab {
    pub fn new(flags: &[&str], servers: &[&Server]) -> Self {
        let named = servers.iter().enumerate().map(|(n, server)| format!("S{}={}", n + 1, server.address));
        let flags = [&["--balance", "round-robin"], flags].concat();
        let lab = Self(Front::start("udp", &flags, &named.collect::<Vec<_>>()));
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

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Ends it as a person would.
    pub fn end(self) {
        drop(self);
    }
}

/// Somebody who asks.
pub struct Client(Sender);

impl Deref for Client {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.0
    }
}

impl Client {
    pub fn new(balancer: SocketAddr) -> Self {
        Self(Sender::new(balancer))
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
