//! A frontend with a pool of fake origins. Nothing here sleeps to let something happen: a test waits for an event, an answer
//! or a state, and gives up after [`SOON`].
#![allow(dead_code, unused_imports, reason = "not all of it is used by every version of the tests")]

mod origin;
mod caller;

pub use caller::{Caller, Said};
pub use origin::{Heard, Origin, Talk, hello};

use clap::Parser;
use crossbeam_channel::{Receiver, bounded};
use loadbalancer::{
    dispatch::{budget::Budget, key::HashKey},
    event::{Event, Events, Record},
    frontend::http::{Http, HttpFlags},
    policy::{Name, UNLIMITED},
    pool::{Pool, Server, Settings},
};
use protocol::{
    id::IdSource,
    listener::{Crew, CrewOptions},
    message::Identity,
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long anything that must happen is waited for. Only a failing test waits that long.
pub const SOON: Duration = Duration::from_secs(20);

/// A frontend, its pool, and what it tells.
pub struct Front {
    pub pool: Arc<Pool>,
    pub address: SocketAddr,
    pub events: Receiver<Arc<Record>>,
    pub crew: Crew,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    flags: HttpFlags,
}

impl Front {
    /// A frontend with these flags, and no servers yet.
    pub fn new(flags: &[&str]) -> Self {
        Self::timed(flags, Duration::from_secs(10))
    }

    /// The same, with so much time for each request.
    pub fn timed(flags: &[&str], request_timeout: Duration) -> Self {
        Self::with_queue(flags, request_timeout, 1_000)
    }

    /// The same, and so many may wait.
    pub fn with_queue(flags: &[&str], request_timeout: Duration, max_queue: usize) -> Self {
        let flags = Line::try_parse_from([&["test"], flags].concat()).unwrap().flags;
        let (events, mut heard) = Events::with_listeners(1);
        let pool = Pool::new(Settings::of(Name::RoundRobin, max_queue), events.clone());
        let http = Http {
            pool: Arc::clone(&pool),
            events,
            ids: IdSource::new(7),
            connect_timeout: Duration::from_secs(2),
            queue_timeout: request_timeout,
            request_timeout,
            budget: Budget::default(),
            hash_key: HashKey::default(),
            flags,
            replicas: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = CrewOptions { name: "http", max_connections: 6_000 };
        let crew = Crew::start(listener, options, Arc::new(http)).unwrap();
        Self { pool, address: crew.address(), events: heard.remove(0), crew }
    }

    /// Has an origin join that takes as many requests as come.
    pub fn join(&self, origin: &Origin) -> Arc<Server> {
        self.join_with(origin, UNLIMITED)
    }

    /// Has an origin join that takes so many requests at once.
    pub fn join_with(&self, origin: &Origin, capacity: u32) -> Arc<Server> {
        let identity = Identity {
            nonce: String::new(),
            id: origin.id.clone(),
            incarnation: 1,
            service: "http".into(),
            address: origin.address,
            processing_time: 0.0,
            capacity,
            database: None,
            min_version: 1,
            max_version: 1,
            pid: 1,
        };
        self.pool.join(&identity, 0, bounded(1).0)
    }

    /// A frontend with one origin.
    pub fn before(origin: &Origin, flags: &[&str]) -> Self {
        let front = Self::new(flags);
        front.join(origin);
        front
    }

    /// A client, connected.
    pub fn caller(&self) -> Caller {
        Caller::connect(self.address)
    }

    /// Waits for an event that is wanted, passing over the others, which are not seen again.
    pub fn until_event(&self, what: &str, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        let until = Instant::now() + SOON;
        loop {
            let record = self.events.recv_deadline(until).unwrap_or_else(|_| panic!("waited in vain for {what}"));
            assert!(!matches!(record.event, Event::Panicked { .. }), "{record:?}");
            if wanted(&record.event) {
                return record.event.clone();
            }
        }
    }
}

/// Waits until the condition holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}
