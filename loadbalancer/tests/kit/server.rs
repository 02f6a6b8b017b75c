//! A server that follows a script: what it does with a request is a closure, what it says on its control port is
//! under the test's control.

use super::{Ask, SOON, Script, Seen};
use crossbeam_channel::{Receiver, Sender, unbounded};
use protocol::{
    deadline::Phase,
    frame::Kind,
    id::RequestId,
    limits::HEADER_TIME,
    listener::{Crew, CrewOptions, Handler, Refusal, Visit},
    message::{Alive, FileRequest, Identified, Identify, Identity},
    registry::{Entry, LAB},
    token::Token,
    wire::{Connection, from_header},
};
use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
    },
};

/// Who a server is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    pub id: String,
    pub time: f64,
    pub capacity: u32,
    pub database: Option<String>,
    /// What it proves its identity with.
    pub token: Option<Token>,
}

impl Plan {
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), time: 0.0, capacity: 1, database: None, token: None }
    }
}

struct Shared {
    plan: Plan,
    incarnation: AtomicU64,
    address: SocketAddr,
    active: AtomicU32,
    silent: AtomicBool,
    draining: AtomicBool,
    alive: AtomicU32,
    connections: AtomicU32,
    script: Mutex<Script>,
    seen: Sender<Seen>,
}

impl Shared {
    fn saw(&self, seen: Seen) {
        let _ = self.seen.send(seen);
    }

    fn identity(&self, nonce: String) -> Identity {
        Identity {
            nonce,
            id: self.plan.id.clone(),
            incarnation: self.incarnation.load(SeqCst),
            service: LAB.to_owned(),
            address: self.address,
            processing_time: self.plan.time,
            capacity: self.plan.capacity,
            database: self.plan.database.clone(),
            min_version: 1,
            max_version: 1,
            pid: std::process::id(),
        }
    }

    /// The requests of one connection.
    fn work(&self, connection: &mut Connection) {
        let mut header = Vec::new();
        while let Ok(Some(prefix)) = connection.next(&mut header, Phase::Idle, None, HEADER_TIME) {
            let mut body = Vec::new();
            connection.append_body(prefix.body_len as usize, &mut body).unwrap();
            match prefix.kind {
                Kind::File | Kind::Query | Kind::Ping => {}
                Kind::Cancel => continue,
                // Somebody of another test, who takes this port for that of a server which had it before.
                _ => return,
            }
            let text = match prefix.kind {
                Kind::File => serde_json::from_slice::<FileRequest>(&header).unwrap().name,
                _ => String::from_utf8(body).unwrap(),
            };
            let json: serde_json::Value = serde_json::from_slice(&header).unwrap();
            let request = json["request"].as_str().map_or(RequestId::NONE, |id| id.parse().unwrap());
            self.active.fetch_add(1, SeqCst);
            // Before the test hears of the request: it may give out another script then.
            let script = Arc::clone(&self.script.lock().unwrap());
            self.saw(Seen::Request(text.clone()));
            let mut ask = Ask::new(prefix, text, request, connection, &self.plan.id, &self.seen);
            ask.resume = (json["offset"].as_u64().unwrap_or(0), json["sha256"].as_str().map(str::to_owned));
            script(&mut ask);
            let hung_up = ask.hung_up;
            self.active.fetch_sub(1, SeqCst);
            if hung_up {
                return;
            }
        }
    }

    /// The questions on the control port.
    fn control(&self, connection: &mut Connection) {
        let mut header = Vec::new();
        while let Ok(Some(prefix)) = connection.next(&mut header, Phase::Idle, None, HEADER_TIME) {
            if self.silent.load(SeqCst) {
                continue;
            }
            let sent = if prefix.kind == Kind::Identify {
                let question: Identify = from_header(connection.peer(), &prefix, &header).unwrap();
                let identity = self.identity(question.nonce);
                let proof = self.plan.token.as_ref().map(|token| identity.prove(token));
                connection.send_message(Kind::Identity, prefix.id, &Identified { identity, proof })
            } else {
                self.alive.fetch_add(1, SeqCst);
                let (active, draining) = (self.active.load(SeqCst), self.draining.load(SeqCst));
                let alive = Alive { incarnation: self.incarnation.load(SeqCst), active, draining };
                connection.send_message(Kind::Alive, prefix.id, &alive)
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

struct Door {
    shared: Arc<Shared>,
    serve: fn(&Shared, &mut Connection),
}

impl Handler for Door {
    fn serve(&self, visit: &Visit) {
        let Ok(mut connection) = Connection::new(Arc::clone(visit.stream())) else { return };
        self.shared.connections.fetch_add(1, SeqCst);
        (self.serve)(&self.shared, &mut connection);
        // Whoever waits until the connection is not counted any more may rely on its end having been told.
        let _ = visit.stream().shutdown(Shutdown::Both);
        self.shared.connections.fetch_sub(1, SeqCst);
    }

    fn refuse(&self, _stream: &TcpStream, _why: Refusal) {}
}

/// A server that follows a script.
pub struct FakeServer {
    shared: Arc<Shared>,
    entry: Entry,
    service: Option<Crew>,
    control: Option<Crew>,
    seen: Receiver<Seen>,
}

impl FakeServer {
    /// Starts serving; nobody knows of it yet.
    pub fn start(plan: Plan, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = Self::start_at(plan, script, listener.local_addr().unwrap());
        server.service = Some(open(listener, &server.shared, Shared::work));
        server
    }

    /// Answers on the control port only, and says that the service is at this address.
    pub fn start_at(plan: Plan, script: Script, address: SocketAddr) -> Self {
        let control = TcpListener::bind("127.0.0.1:0").unwrap();
        let entry = Entry {
            id: plan.id.clone(),
            address,
            service: LAB.to_owned(),
            // What the file says of a server's strength is for people; the server itself is asked.
            processing_time: 0.0,
            capacity: plan.capacity,
            control: control.local_addr().unwrap(),
            pid: Some(std::process::id()),
        };
        let (seen, sees) = unbounded();
        let shared = Arc::new(Shared {
            plan,
            incarnation: AtomicU64::new(fastrand::u64(..)),
            address,
            active: AtomicU32::new(0),
            silent: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            alive: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            script: Mutex::new(script),
            seen,
        });
        let control = Some(open(control, &shared, Shared::control));
        Self { shared, entry, service: None, control, seen: sees }
    }

    /// What stands in the registry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Follows another script from the next request on.
    pub fn follow(&self, script: Script) {
        *self.shared.script.lock().unwrap() = script;
    }

    /// The next thing this server noticed.
    pub fn next(&self) -> Seen {
        self.seen.recv_timeout(SOON).unwrap_or_else(|_| panic!("server {} noticed nothing", self.entry.id))
    }

    /// That this server is asked this next.
    pub fn expect_request(&self, text: &str) {
        assert_eq!(self.next(), Seen::Request(text.to_owned()));
    }

    /// What this server noticed so far.
    pub fn so_far(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }

    /// How many requests it is working on.
    pub fn active(&self) -> u32 {
        self.shared.active.load(SeqCst)
    }

    /// How many connections it has, those of its control port among them.
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(SeqCst)
    }

    /// How often it has said that it lives.
    pub fn said_alive(&self) -> u32 {
        self.shared.alive.load(SeqCst)
    }

    /// Stops answering on the control port (or begins again), like a stopped process.
    pub fn fall_silent(&self, silent: bool) {
        self.shared.silent.store(silent, SeqCst);
    }

    /// Says that it is ending.
    pub fn say_draining(&self, draining: bool) {
        self.shared.draining.store(draining, SeqCst);
    }

    /// Which of its lives this is.
    pub fn incarnation(&self) -> u64 {
        self.shared.incarnation.load(SeqCst)
    }

    /// Becomes another process at the same place.
    pub fn reincarnate(&self) {
        self.shared.incarnation.fetch_add(1, SeqCst);
    }

    /// Closes the port of its service; the control port goes on answering.
    pub fn close_service(&mut self) {
        end(self.service.take());
    }

    /// Ends like a process that is killed: connections and ports are gone at once.
    pub fn kill(&mut self) {
        // In this order: with its control port it could still say that it is idle.
        end(self.control.take());
        end(self.service.take());
    }
}

fn end(crew: Option<Crew>) {
    if let Some(crew) = crew {
        crew.abort();
        assert!(crew.join(SOON), "a port of a server does not close");
    }
}

fn open(listener: TcpListener, shared: &Arc<Shared>, serve: fn(&Shared, &mut Connection)) -> Crew {
    let options = CrewOptions { name: "fake", max_connections: 5_000 };
    Crew::start(listener, options, Arc::new(Door { shared: Arc::clone(shared), serve })).unwrap()
}
