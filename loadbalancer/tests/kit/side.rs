//! A load balancer with one further frontend, and whoever sends datagrams: what the tests of such frontends do alike. Nothing
//! here sleeps to let something happen: a test waits for an event, an answer or a state, and gives up after [`LONG`].
#![allow(dead_code, reason = "each of the test programs uses a part of the kit")]

use crossbeam_channel::Receiver;
use loadbalancer::{
    LoadBalancer,
    config::Config,
    event::{Event, Events, Record, Wants},
    pool::Pool,
};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything that must happen is waited for. Only a failing test waits that long.
pub const LONG: Duration = Duration::from_secs(20);

/// A load balancer with one further frontend. Dropping it ends it.
pub struct Front {
    balancer: Option<LoadBalancer>,
    pub pool: Arc<Pool>,
    pub address: SocketAddr,
    events: Receiver<Arc<Record>>,
    /// What a quiet terminal would get.
    news: Receiver<Arc<Record>>,
    _folder: TempDir,
}

impl Front {
    /// One with this frontend (`dns`, `udp`), with these flags besides those that every test needs, and these servers: each `ID=ADDRESS`.
    pub fn start(frontend: &str, flags: &[&str], servers: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("servers.json");
        let (listen, server) = (format!("--{frontend}"), format!("--{frontend}-server"));
        let mut args = vec!["loadbalancer", "--listen", "127.0.0.1:0", &listen, "127.0.0.1:0"];
        args.extend(["--no-journal", "--no-admin", "--registry", registry.to_str().unwrap()]);
        args.extend(flags);
        args.extend(servers.iter().flat_map(|named| [server.as_str(), named]));
        let config = <Config as clap::Parser>::try_parse_from(args).unwrap();
        // Whoever wants the news only is told first: what he has not got when the other one has, he does not get.
        let (events, mut heard) = Events::for_listeners(&[Wants::News, Wants::Everything]);
        let (events_heard, news) = (heard.remove(1), heard.remove(0));
        let balancer = LoadBalancer::start_heard(&config, events).unwrap();
        let side = balancer.side(frontend).unwrap();
        let (pool, address) = (Arc::clone(side.pool()), side.address());
        Self { balancer: Some(balancer), pool, address, events: events_heard, news, _folder: folder }
    }

    /// The load balancer.
    pub fn balancer(&self) -> &LoadBalancer {
        self.balancer.as_ref().unwrap()
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
}

impl Drop for Front {
    /// Ends it as a person would.
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

/// Somebody who sends datagrams to a load balancer, and gets some back.
pub struct Sender {
    pub socket: UdpSocket,
}

impl Sender {
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
}
