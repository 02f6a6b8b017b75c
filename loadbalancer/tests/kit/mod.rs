//! A load balancer among fakes: servers that follow a script, clients that say whatever a test wants, all over real
//! sockets of this machine. Nothing here sleeps to let something happen: a test waits for an event, a frame or a
//! state, and gives up after [`SOON`].
#![allow(dead_code, unused_imports, reason = "each of the test programs uses a part of the kit")]

mod client;
mod ask;
mod server;
mod joiner;
mod admin;

pub use admin::{Admin, error_of};
pub use ask::{Ask, Script, Seen, Told, echo};
pub use client::{Answer, Client, farewell};
pub use joiner::{Joiner, Refusal};
pub use server::{FakeServer, Plan};

use crossbeam_channel::Receiver;
use loadbalancer::{
    LoadBalancer,
    config::Config,
    event::{Event, Events, Record, why::Past},
    membership::Members,
    pool::Pool,
};
use protocol::{message::ServerStatus, registry::Registry};
use std::{
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything that must happen is waited for. Only a failing test waits that long.
pub const SOON: Duration = Duration::from_secs(20);

/// A load balancer with a registry of its own.
pub struct Lab {
    pub registry: Registry,
    balancer: Option<LoadBalancer>,
    pool: Arc<Pool>,
    pub address: SocketAddr,
    pub events: Receiver<Arc<Record>>,
    /// Its administration, unless it has none.
    pub admin: Option<Admin>,
    folder: TempDir,
}

impl Lab {
    /// A load balancer with these flags besides those that every test needs, and no servers yet.
    pub fn new(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder, &[&["--no-journal"], flags].concat());
        let (events, mut heard) = Events::with_listeners(1);
        let balancer = LoadBalancer::start_heard(&config, events).unwrap();
        Self::around(folder, balancer, heard.remove(0))
    }

    /// The same, but what happens goes to a journal, and no event is heard here.
    pub fn journaling(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal_in(&folder);
        let config = config(&folder, &[&["--quiet", "--journal", journal.to_str().unwrap()], flags].concat());
        Self::around(folder, LoadBalancer::start(&config).unwrap(), crossbeam_channel::never())
    }

    /// The same, but what happens is remembered.
    pub fn remembering() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder, &["--quiet", "--no-journal", "--remember", "1"]);
        Self::around(folder, LoadBalancer::start(&config).unwrap(), crossbeam_channel::never())
    }

    fn around(folder: TempDir, balancer: LoadBalancer, events: Receiver<Arc<Record>>) -> Self {
        let (pool, address) = (Arc::clone(balancer.pool()), balancer.address());
        let admin = balancer.admin().map(Admin::of);
        let registry = Registry::new(registry_in(&folder));
        Self { registry, balancer: Some(balancer), pool, address, events, admin, folder }
    }

    /// Where its journal is, if it has one.
    pub fn journal(&self) -> PathBuf {
        journal_in(&self.folder)
    }

    /// What can be asked of its past.
    pub fn past(&self) -> &Past {
        self.balancer.as_ref().unwrap().past()
    }

    /// A server with this id, as strong as can be, of capacity 1. Returns when it gets requests.
    pub fn server(&self, id: &str, script: Script) -> FakeServer {
        self.planned(Plan::new(id), script)
    }

    /// A server that is a little weaker than those of [`Lab::server`]: it is chosen when those are not idle.
    pub fn weaker(&self, id: &str, script: Script) -> FakeServer {
        self.planned(Plan { time: 0.01, ..Plan::new(id) }, script)
    }

    /// A server as planned. Returns when it gets requests.
    pub fn planned(&self, plan: Plan, script: Script) -> FakeServer {
        let server = FakeServer::start(plan, script);
        self.registry.register(server.entry()).unwrap();
        self.until_state(&server.entry().id, "idle");
        server
    }

    /// Its administration.
    pub fn admin(&self) -> &Admin {
        self.admin.as_ref().unwrap()
    }

    /// Its pool, and what is known of it at this moment.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Waits until all requests whose clients have their answers are counted, which is done right after.
    pub fn until_counted(&self) {
        eventually("nothing is in hand", || self.pool.totals().in_hand.now() == 0);
    }

    /// The folder of its registry.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A client, connected.
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// A socket, connected, on which a test may say what it likes.
    pub fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Where servers join.
    pub fn join_address(&self) -> SocketAddr {
        self.balancer.as_ref().unwrap().join_address().unwrap()
    }

    /// Who should be in the pool.
    pub fn members(&self) -> &Members {
        self.balancer.as_ref().unwrap().members()
    }

    pub fn status(&self, id: &str) -> Option<ServerStatus> {
        self.pool.status().into_iter().find(|server| server.id == id)
    }

    /// How many requests wait for a server.
    pub fn waiting(&self) -> usize {
        self.pool.waiting()
    }

    /// Waits until the load balancer lists the server in this state.
    pub fn until_state(&self, id: &str, state: &str) {
        eventually(&format!("server {id} is {state}"), || self.status(id).is_some_and(|server| server.state == state));
    }

    /// Waits for an event that is wanted, passing over the others, which are not seen again.
    pub fn until_event(&self, what: &str, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        let until = Instant::now() + SOON;
        loop {
            let record = self.events.recv_deadline(until).unwrap_or_else(|_| panic!("waited in vain for {what}"));
            if wanted(&record.event) {
                return record.event.clone();
            }
        }
    }

    /// That nothing panicked so far. Takes the events that have come.
    pub fn assert_no_panic(&self) {
        let panic = self.events.try_iter().find(|record| matches!(record.event, Event::Panicked { .. }));
        assert!(panic.is_none(), "{panic:?}");
    }

    /// The load balancer, to be ended by the test.
    pub fn take_balancer(&mut self) -> LoadBalancer {
        self.balancer.take().unwrap()
    }
}

fn registry_in(folder: &TempDir) -> PathBuf {
    folder.path().join("servers.json")
}

fn journal_in(folder: &TempDir) -> PathBuf {
    folder.path().join("journal.jsonl")
}

fn config(folder: &TempDir, flags: &[&str]) -> Config {
    let registry = registry_in(folder);
    let mut args = vec!["loadbalancer", "--listen", "127.0.0.1:0", "--registry", registry.to_str().unwrap()];
    args.extend(flags);
    if !flags.iter().any(|flag| flag.contains("admin")) {
        args.extend(["--admin", "127.0.0.1:0"]);
    }
    <Config as clap::Parser>::try_parse_from(args).unwrap()
}

/// Waits until the condition holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}
