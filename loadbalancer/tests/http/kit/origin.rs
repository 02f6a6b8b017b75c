//! An origin server that follows a script and records what it got, byte for byte. Its parser is its own, and as simple as
//! can be: it must not share mistakes with what is tested.

use super::SOON;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Its head, with all line ends.
    pub head: String,
    /// Its body, unframed.
    pub body: Vec<u8>,
    /// The fields behind a chunked body.
    pub trailer: String,
    /// On which connection it came, from 1.
    pub connection: usize,
    /// Whether it was read to its end: a body that was cut is not.
    pub whole: bool,
}

impl Heard {
    /// The values of the fields of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap()
    }
}

/// What an origin does with each request: says something; false ends the connection.
type Script = Arc<dyn Fn(&mut Talk) -> bool + Send + Sync>;

/// A request in hand at an origin.
pub struct Talk {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    /// What was heard so far of this request.
    pub heard: Heard,
    /// The how manieth request of this origin it is, from 1.
    pub number: usize,
    shared: Arc<Shared>,
}

struct Shared {
    heard: Mutex<Vec<Heard>>,
    raw: Mutex<Vec<u8>>,
    streams: Mutex<HashMap<usize, TcpStream>>,
    connections: AtomicUsize,
    requests: AtomicUsize,
    closed: AtomicBool,
}

/// An origin server.
pub struct Origin {
    pub id: String,
    pub address: SocketAddr,
    shared: Arc<Shared>,
    script: Script,
    /// The thread that accepts.
    door: Mutex<Option<JoinHandle<()>>>,
}

/// Answers every request with `hello`.
pub fn hello(talk: &mut Talk) -> bool {
    talk.body();
    talk.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
}

impl Origin {
    pub fn start(id: &str, script: impl Fn(&mut Talk) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            heard: Mutex::default(),
            raw: Mutex::default(),
            streams: Mutex::default(),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let origin = Self { id: id.to_owned(), address, shared, script: Arc::new(script), door: Mutex::default() };
        origin.listen(listener);
        origin
    }

    fn listen(&self, listener: TcpListener) {
        let (shared, script) = (Arc::clone(&self.shared), Arc::clone(&self.script));
        let door = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, script) = (Arc::clone(&shared), Arc::clone(&script));
                thread::spawn(move || serve(stream, shared, &*script));
            }
        });
        *self.door.lock() = Some(door);
    }

    /// What it has heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().clone()
    }

    /// Every byte that it has received.
    pub fn raw(&self) -> Vec<u8> {
        self.shared.raw.lock().clone()
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// As if its process was killed: the port is closed, and all connections are broken.
    pub fn kill(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        let door = self.door.lock().take();
        door.into_iter().for_each(|door| door.join().unwrap());
        self.hang_up();
    }

    /// Ends all connections.
    pub fn hang_up(&self) {
        for (_, stream) in self.shared.streams.lock().drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Listens again, on the same port.
    pub fn revive(&self) {
        self.shared.closed.store(false, Ordering::SeqCst);
        super::eventually("the port is free", || TcpListener::bind(self.address).map(|l| self.listen(l)).is_ok());
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(stream: TcpStream, shared: Arc<Shared>, script: &dyn Fn(&mut Talk) -> bool) {
    let connection = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
    shared.streams.lock().insert(connection, stream.try_clone().unwrap());
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(SOON * 3)).unwrap();
    let mut talk = Talk { stream, buffer: Vec::new(), heard: Heard::default(), number: 0, shared: Arc::clone(&shared) };
    while talk.next(connection) && script(&mut talk) {}
    // A connection that is broken off is not ended before.
    if shared.streams.lock().remove(&connection).is_some() {
        let _ = talk.stream.shutdown(Shutdown::Both);
    }
}

impl Talk {
    /// Reads the next head.
    fn next(&mut self, connection: usize) -> bool {
        let Some(head) = self.until(b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&head).into_owned();
        self.number = self.shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
        self.heard = Heard { head, connection, ..Heard::default() };
        self.shared.heard.lock().push(self.heard.clone());
        true
    }

    /// Reads more; false at the end.
    pub fn more(&mut self) -> bool {
        let mut part = [0; 64 * 1024];
        let Ok(n @ 1..) = self.stream.read(&mut part) else { return false };
        self.shared.raw.lock().extend_from_slice(&part[..n]);
        self.buffer.extend_from_slice(&part[..n]);
        true
    }

    fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                return Some(self.buffer.drain(..at + mark.len()).collect());
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.more() {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// Reads the body, however it is framed.
    pub fn body(&mut self) -> Vec<u8> {
        let (chunked, length) = (!self.heard.all("transfer-encoding").is_empty(), self.heard.all("content-length"));
        let length: usize = length.first().map_or(0, |length| length.parse().unwrap());
        let body = if chunked { self.chunks() } else { self.exactly(length) };
        self.heard.whole = body.is_some();
        self.heard.body = body.unwrap_or_default();
        let number = self.number;
        let mut heard = self.shared.heard.lock();
        if let Some(slot) = heard.get_mut(number - 1) {
            *slot = self.heard.clone();
        }
        self.heard.body.clone()
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.until(b"\r\n")?;
            let size = usize::from_str_radix(String::from_utf8_lossy(&size).trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            body.extend(self.exactly(size)?);
            assert_eq!(self.exactly(2)?, b"\r\n");
        }
        loop {
            let line = self.until(b"\r\n")?;
            if line == b"\r\n" {
                return Some(body);
            }
            self.heard.trailer.push_str(&String::from_utf8_lossy(&line));
        }
    }

    /// Says these bytes; whether they could be said.
    pub fn say(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(text.as_ref()).is_ok()
    }

    /// Breaks the connection off: it is reset. The script must end then.
    pub fn break_off(&mut self) {
        self.shared.streams.lock().remove(&self.heard.connection);
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits until the other side ends the connection.
    pub fn until_gone(&mut self) {
        while self.more() {}
    }
}
