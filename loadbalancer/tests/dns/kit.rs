//! Name servers that do as they are told, a load balancer in front of them, and askers.

pub use super::side::{LONG, eventually};

use super::side::{Front, Sender};
use loadbalancer::{
    frontend::side::Side,
    pool::{Pool, State},
};
use protocol::{
    deadline::Deadline,
    dns::{self, Message, Name, Question, Reply, query, record_type},
    wire::Connection,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    ops::Deref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

/// What a name server sends for a query, to where it came from.
pub type Answers = dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync;

/// A name server.
pub struct NameServer {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    asker: Arc<Mutex<Option<SocketAddr>>>,
    over: Arc<AtomicBool>,
}

impl NameServer {
    /// Answers over UDP as told; its TCP port accepts, and answers likewise.
    pub fn start(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::serve("127.0.0.1:0".parse().unwrap(), Arc::new(answers))
    }

    /// At an address that was used before.
    pub fn start_at(address: SocketAddr, answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::serve(address, Arc::new(answers))
    }

    /// One that knows these names, and says nothing about others.
    pub fn knowing(names: &'static [(&'static str, [u8; 4])]) -> Self {
        Self::start(move |asked| about(asked, names).into_iter().collect())
    }

    fn serve(address: SocketAddr, answers: Arc<Answers>) -> Self {
        let (listener, socket) = loop {
            let listener = TcpListener::bind(address).unwrap();
            match UdpSocket::bind(listener.local_addr().unwrap()) {
                Ok(socket) => break (listener, socket),
                Err(error) => assert_eq!(address.port(), 0, "{error}"),
            }
        };
        let address = socket.local_addr().unwrap();
        let (heard, asker, over): (Arc<Mutex<Vec<_>>>, Arc<Mutex<_>>, Arc<AtomicBool>) = Default::default();
        let (noted, seen, ended, said) =
            (Arc::clone(&heard), Arc::clone(&asker), Arc::clone(&over), Arc::clone(&answers));
        thread::spawn(move || {
            let mut buffer = [0; 2_048];
            loop {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                *seen.lock().unwrap() = Some(from);
                noted.lock().unwrap().push(buffer[..length].to_vec());
                said(&buffer[..length]).iter().for_each(|answer| {
                    socket.send_to(answer, from).unwrap();
                });
            }
        });
        let ended = Arc::clone(&over);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let answers = Arc::clone(&answers);
                thread::spawn(move || over_tcp(stream.unwrap(), &*answers));
            }
        });
        Self { address, heard, asker, over }
    }

    /// The queries that it got.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().clone()
    }

    /// Where the last query came from.
    pub fn asker(&self) -> SocketAddr {
        self.asker.lock().unwrap().unwrap()
    }

    /// Nobody listens there any more.
    pub fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
        let until = Instant::now() + LONG;
        while TcpStream::connect(self.address).is_ok() || UdpSocket::bind(self.address).is_err() {
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0], self.address).unwrap();
            assert!(Instant::now() < until, "it does not end");
            thread::yield_now();
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        if !self.over.load(Ordering::SeqCst) {
            self.close();
        }
    }
}

fn over_tcp(mut stream: TcpStream, answers: &Answers) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).unwrap();
        // Over TCP nothing needs to be left out: it is marked by the highest bit of the id's place, which tests look at.
        for answer in answers(&[&query[..], b"tcp"].concat()) {
            stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).unwrap();
        }
    }
}

/// Whether a query that an [`Answers`] gets came over TCP; and the query itself.
pub fn transport(asked: &[u8]) -> (bool, &[u8]) {
    asked.strip_suffix(b"tcp").map_or((false, asked), |query| (true, query))
}

/// The answer of one who knows these names, if it knows what is asked.
pub fn about(asked: &[u8], names: &[(&str, [u8; 4])]) -> Option<Vec<u8>> {
    let (_, asked) = transport(asked);
    let message = Message::parse(asked).unwrap();
    let question = message.question.as_ref().unwrap();
    let (name, address) = names.iter().find(|(name, _)| name.parse::<Name>().unwrap() == question.name)?;
    let mut reply = Reply::to(&message);
    reply.answer(&name.parse().unwrap(), record_type::A, 60, address);
    Some(reply.finish(dns::MAX_MESSAGE))
}

/// A load balancer in front of name servers.
pub struct Lab(Front);

impl Deref for Lab {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.0
    }
}

impl Lab {
    pub fn new(flags: &[&str], servers: &[&NameServer]) -> Self {
        let named = servers.iter().enumerate().map(|(n, server)| format!("TS{}={}", n + 1, server.address));
        Self::naming(flags, &named.collect::<Vec<_>>())
    }

    /// In front of servers that are named so.
    pub fn naming(flags: &[&str], servers: &[String]) -> Self {
        let lab = Self(Front::start("dns", flags, servers));
        lab.until_up(servers.len());
        lab
    }

    /// The pool of another of its frontends, when all its servers are up.
    pub fn pool_of(&self, frontend: &str) -> Arc<Pool> {
        let pool = Arc::clone(self.side(frontend).pool());
        eventually("its servers are up", || pool.servers().iter().all(|server| pool.state(server) == Some(State::Up)));
        pool
    }

    /// Where another of its frontends listens.
    pub fn address_of(&self, frontend: &str) -> SocketAddr {
        self.side(frontend).address()
    }

    fn side(&self, frontend: &str) -> &Side {
        self.balancer().side(frontend).unwrap()
    }

    /// Waits until so many servers get queries.
    pub fn until_up(&self, count: usize) {
        let up = |pool: &Pool| pool.servers().iter().filter(|server| pool.state(server) == Some(State::Up)).count();
        eventually("the servers are up", || up(&self.pool) == count);
    }

    /// Asks over UDP, and waits for the answer.
    pub fn ask(&self, name: &str) -> Vec<u8> {
        Asker::new(self.address).ask(name)
    }

    /// Ends it as a person would.
    pub fn end(self) {
        drop(self);
    }
}

/// Somebody who asks.
pub struct Asker(Sender);

impl Deref for Asker {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.0
    }
}

impl Asker {
    pub fn new(balancer: SocketAddr) -> Self {
        Self(Sender::new(balancer))
    }

    /// Asks under this id.
    pub fn send(&self, id: u16, name: &str) -> &Self {
        self.say(&query(id, &question(name), None));
        self
    }

    /// Asks, and waits for the answer, which must be one to this question.
    pub fn ask(&self, name: &str) -> Vec<u8> {
        let id = fastrand::u16(..);
        let said = self.send(id, name).hear();
        let message = Message::parse(&said).unwrap();
        assert_eq!((message.id, message.question.as_ref()), (id, Some(&question(name))));
        said
    }

    /// Asserts that nothing has come, by asking for something that is surely answered: nothing may come before that.
    pub fn assert_silent(&self, known: &str) {
        let said = self.send(0xfffe, known).hear();
        assert_eq!(Message::parse(&said).unwrap().id, 0xfffe, "something was said before");
    }
}

/// Asks over TCP.
pub fn ask_over_tcp(balancer: SocketAddr, name: &str) -> Vec<u8> {
    let mut connection = Connection::connect(balancer, LONG).unwrap();
    dns::send(&mut connection, &query(7, &question(name), None)).unwrap();
    dns::receive(&mut connection, Some(Deadline::after(LONG)), LONG).unwrap().expect("an answer")
}

pub fn question(name: &str) -> Question {
    Question::new(name.parse().unwrap(), record_type::A)
}

/// The addresses of an answer.
pub fn addresses(said: &[u8]) -> Vec<Vec<u8>> {
    let message = Message::parse(said).unwrap();
    assert_eq!(message.rcode().to_string(), "NOERROR");
    message.records.iter().map(|record| message.data(record).to_vec()).collect()
}

/// How it went.
pub fn rcode(said: &[u8]) -> String {
    Message::parse(said).unwrap().rcode().to_string()
}
