//! Programs that know nothing of load balancers, and one in front of them.

use crossbeam_channel::Receiver;
use loadbalancer::{
    LoadBalancer,
    config::Config,
    event::{Event, Events, Record},
    pool::Pool,
};
use socket2::SockRef;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
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

/// A program that says back what it hears.
pub struct Echo {
    pub address: SocketAddr,
    closed: Arc<AtomicBool>,
}

impl Echo {
    pub fn start() -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// At an address that was used before.
    pub fn start_at(address: SocketAddr) -> Self {
        Self::serve(TcpListener::bind(address).unwrap())
    }

    fn serve(listener: TcpListener) -> Self {
        let (address, closed) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let over = Arc::clone(&closed);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                thread::spawn(move || echo(&stream.unwrap()));
            }
        });
        Self { address, closed }
    }

    /// Nobody is accepted any more.
    pub fn close(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        let until = Instant::now() + LONG;
        while TcpStream::connect(self.address).is_ok() {
            assert!(Instant::now() < until, "the listener does not close");
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::SeqCst) {
            self.close();
        }
    }
}

fn echo(stream: &TcpStream) {
    let _broken = io::copy(&mut &*stream, &mut &*stream);
    let _gone = stream.shutdown(Shutdown::Write);
}

/// A program that accepts and says nothing.
pub struct Silent {
    pub address: SocketAddr,
    held: Arc<Mutex<Vec<TcpStream>>>,
}

impl Silent {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, held) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let all = Arc::clone(&held);
        thread::spawn(move || listener.incoming().for_each(|stream| all.lock().unwrap().push(stream.unwrap())));
        Self { address, held }
    }

    /// It breaks all its connections, once it has heard something on one of them.
    pub fn breaks(&self) {
        let until = Instant::now() + LONG;
        let heard = |stream: &TcpStream| {
            stream.set_nonblocking(true).unwrap();
            matches!(stream.peek(&mut [0]), Ok(1))
        };
        while !self.held.lock().unwrap().iter().any(heard) {
            assert!(Instant::now() < until, "nobody said anything");
            thread::park_timeout(Duration::from_millis(1));
        }
        for stream in self.held.lock().unwrap().drain(..) {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

/// A load balancer in front of such programs.
pub struct Lab {
    balancer: Option<LoadBalancer>,
    pool: Arc<Pool>,
    pub address: SocketAddr,
    events: Receiver<Arc<Record>>,
    _folder: TempDir,
}

impl Lab {
    pub fn new(flags: &[&str], servers: &[SocketAddr]) -> Self {
        let named: Vec<String> =
            servers.iter().flat_map(|server| ["--server".to_owned(), server.to_string()]).collect();
        Self::start(flags, &named)
    }

    pub fn with_server(flags: &[&str], server: &str) -> Self {
        Self::start(flags, &["--server".to_owned(), server.to_owned()])
    }

    fn start(flags: &[&str], servers: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("servers.json");
        let mut args =
            vec!["loadbalancer", "--listen", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--no-journal", "--no-admin"];
        args.extend(["--registry", registry.to_str().unwrap()]);
        args.extend(flags);
        args.extend(servers.iter().map(String::as_str));
        let config = <Config as clap::Parser>::try_parse_from(args).unwrap();
        let (events, mut heard) = Events::with_listeners(1);
        let balancer = LoadBalancer::start_heard(&config, events).unwrap();
        let side = balancer.side("tcp").unwrap();
        let (pool, address) = (Arc::clone(side.pool()), side.address());
        Self { balancer: Some(balancer), pool, address, events: heard.remove(0), _folder: folder }
    }

    /// Waits until this is true of the pool.
    pub fn until(&self, what: &str, holds: impl Fn(&Pool) -> bool) {
        let until = Instant::now() + LONG;
        while !holds(&self.pool) {
            assert!(Instant::now() < until, "waited in vain until {what}");
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    pub fn take(&mut self) -> LoadBalancer {
        self.balancer.take().unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// Says something, ends its half, and tells what came back.
    pub fn asks(&self, question: &[u8]) -> Vec<u8> {
        let mut client = self.connect();
        // Whoever is refused may find the connection closed before it has said everything.
        let _refused = client.write_all(question).and_then(|()| client.shutdown(Shutdown::Write));
        read_all(&client)
    }

    pub fn until_event(&self, what: &str, mut wanted: impl FnMut(&Event) -> bool) {
        let until = Instant::now() + LONG;
        while !wanted(&self.events.recv_deadline(until).unwrap_or_else(|_| panic!("waited in vain for {what}")).event) {
        }
    }
}

/// Everything until the other side ends; what a reset leaves of it.
pub fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => all,
    }
}

/// Sends bytes in two packets; the second only when the first has surely left.
pub fn send_split(mut stream: &TcpStream, bytes: &[u8], cut: usize) {
    stream.set_nodelay(true).unwrap();
    stream.write_all(&bytes[..cut]).unwrap();
    stream.write_all(&bytes[cut..]).unwrap();
}
