//! A listener with blocking threads that can be stopped, and that never fails silently.
//!
//! **The problem.** The simplest server accepts in a loop and starts a thread per connection. It cannot be stopped
//! (`accept` blocks for ever), it is slow where connections are short (starting a thread costs more than the
//! request), it ends when a thread cannot be started, and when file descriptors run out it spins.
//!
//! **The idea: a crew that takes turns.** Every thread of the crew blocks in `accept` on the same listener; the
//! kernel wakes one per connection, and that thread carries the connection to its end. A new thread is started
//! only when the thread that just accepted sees that it left nobody behind in `accept`; a thread that finds enough
//! others waiting ends. So a crew has as many threads as connections at the worst, a few at rest, and a short
//! connection usually costs no thread at all.
//!
//! **A full crew** keeps its last thread for refusing: whoever comes is told `busy` at once, in a frame, instead of
//! waiting in a queue that nobody sees. **Exhausted descriptors**: one descriptor is held in reserve; it is given
//! up to accept the connection that cannot be served, refuse it, and taken again.
//!
//! **Stopping.** [`Crew::drain`] sets a flag, connects to the own listener so that a blocked `accept` returns (each
//! thread woken so wakes the next), and shuts down the connections that wait for a next request. Connections with a
//! request in hand finish it, then find the flag. [`Crew::abort`] shuts all of them down.
//!
//! Measured on two cores, a connection per request: 1.3 to 1.8 times HAProxy's rate, where a fresh thread per
//! connection reached 0.6. Sources: the pre-forked servers of Stevens, *UNIX Network Programming* I, ch. 30
//! (threads that all call `accept`: §30.11).

use crate::limits::CONNECTION_STACK;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Threads that stay in `accept` when there is nothing to do.
const RESTING: usize = 8;
/// How long a thread waits after `accept` failed for a reason that is not the connection's own, before it tries
/// again. Such errors (no memory for sockets) pass; retrying at once would burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many connections as allowed are being served.
    TooManyConnections,
    /// The process has no file descriptor left.
    NoDescriptors,
    /// The system gave no further thread.
    NoThread,
}

/// What a crew does with its connections.
pub trait Handler: Send + Sync + 'static {
    /// Serves one connection to its end. A panic in here ends this connection alone.
    fn serve(&self, visit: &Visit);
    /// Tells a peer, briefly and without blocking for long, that it is not served.
    fn refuse(&self, stream: &TcpStream, why: Refusal);
    /// Is told that serving panicked, with the message.
    fn panicked(&self, _message: &str) {}
}

/// One connection while it is being served.
#[derive(Debug)]
pub struct Visit {
    stream: Arc<TcpStream>,
    /// Whether it waits for a next request (and may be shut down by a drain).
    waiting: AtomicBool,
    draining: Arc<AtomicBool>,
}

impl Visit {
    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Whether the program is ending and no further request should be taken.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Runs `wait`, which waits for the peer's next request. If the listener is drained meanwhile (or is already)
    /// the receiving side is shut down, so that the wait ends as if the peer had closed.
    pub fn wait_for_request<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.waiting.store(true, Ordering::SeqCst);
        // The drain sets its flag before it looks at `waiting`, we set `waiting` before we look at the flag: one of
        // the two sees the other.
        if self.draining() {
            let _ = self.stream.shutdown(Shutdown::Read);
        }
        let result = wait();
        self.waiting.store(false, Ordering::SeqCst);
        result
    }
}

/// How a crew is made up.
#[derive(Clone, Debug)]
pub struct CrewOptions {
    /// Names the threads: `name-1`, `name-2` …
    pub name: &'static str,
    /// Connections served at once, at least 1; more are refused with [`Refusal::TooManyConnections`].
    pub max_connections: usize,
}

/// A listener and the threads that serve it. Dropping it aborts.
pub struct Crew {
    shared: Arc<Shared>,
}

struct Shared {
    listener: TcpListener,
    address: SocketAddr,
    options: CrewOptions,
    handler: Arc<dyn Handler>,
    draining: Arc<AtomicBool>,
    started: AtomicU64,
    /// The crew's book. Held for a few instructions; no I/O and nothing that can panic happens under it, except
    /// that an abort or a drain shuts sockets down, which does not block.
    book: Mutex<Book>,
    threads: Arc<Headcount>,
    /// The descriptor in reserve. Its own lock, because accepting happens under it.
    reserve: Mutex<Option<TcpListener>>,
}

#[derive(Default)]
struct Book {
    /// Threads in `accept`, or on the way there.
    accepting: usize,
    /// The connections being served, by number.
    visits: HashMap<u64, Arc<Visit>>,
    next_visit: u64,
}

/// How many threads of a crew live. Apart from [`Shared`], because a thread is counted out only after it has let go
/// of the listener: when nobody is left, the port is free.
#[derive(Default)]
struct Headcount {
    /// Held for a comparison or an addition.
    living: Mutex<usize>,
    /// Told whenever a thread has ended.
    ended: Condvar,
}

impl Headcount {
    fn enter(&self) {
        *self.living.lock() += 1;
    }

    fn leave(&self) {
        *self.living.lock() -= 1;
        self.ended.notify_all();
    }

    fn now(&self) -> usize {
        *self.living.lock()
    }
}

impl Crew {
    /// Starts serving a bound listener.
    ///
    /// # Errors
    /// If the listener has no address, or not even the first thread can be started.
    pub fn start(listener: TcpListener, options: CrewOptions, handler: Arc<dyn Handler>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let reserve = listener.try_clone()?;
        let shared = Arc::new(Shared {
            listener,
            address,
            options,
            handler,
            draining: Arc::new(AtomicBool::new(false)),
            started: AtomicU64::new(0),
            book: Mutex::new(Book::default()),
            threads: Arc::default(),
            reserve: Mutex::new(Some(reserve)),
        });
        shared.start_thread()?;
        Ok(Self { shared })
    }

    /// The address that is listened to, with the port the system chose if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// How many connections are being served.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.book.lock().visits.len()
    }

    /// How many threads the crew has.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.shared.threads.now()
    }

    /// Stops accepting, ends the connections that wait for a request, lets the others finish theirs.
    pub fn drain(&self) {
        if self.shared.draining.swap(true, Ordering::SeqCst) {
            return;
        }
        for visit in self.shared.book.lock().visits.values() {
            if visit.waiting.load(Ordering::SeqCst) {
                let _ = visit.stream.shutdown(Shutdown::Read);
            }
        }
        self.shared.wake_one();
    }

    /// Stops accepting and ends all connections, whatever they are doing.
    pub fn abort(&self) {
        self.drain();
        for visit in self.shared.book.lock().visits.values() {
            let _ = visit.stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until the last thread has ended, at most until `within` has passed; says whether all have.
    #[must_use]
    pub fn join(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut living = self.shared.threads.living.lock();
        while *living > 0 {
            if self.shared.threads.ended.wait_until(&mut living, until).timed_out() {
                return *living == 0;
            }
        }
        true
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.abort();
    }
}

/// What a thread does after it has accepted.
enum Next {
    Serve(u64, Arc<Visit>),
    Refuse(Refusal),
}

impl Shared {
    fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        let shared = Arc::clone(self);
        let threads = Arc::clone(&self.threads);
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        self.threads.enter();
        self.book.lock().accepting += 1;
        let spawned = thread::Builder::new()
            .name(format!("{}-{number}", self.options.name))
            .stack_size(CONNECTION_STACK)
            .spawn(move || {
                shared.take_turns();
                drop(shared);
                threads.leave();
            });
        spawned.map(drop).inspect_err(|_| {
            self.book.lock().accepting -= 1;
            self.threads.leave();
        })
    }

    /// The life of one thread of the crew: accept, serve, accept again, until enough others do or the crew drains.
    fn take_turns(self: &Arc<Self>) {
        loop {
            let accepted = self.listener.accept();
            if self.draining() {
                self.book.lock().accepting -= 1;
                break;
            }
            match accepted {
                Ok((stream, _)) => {
                    if !self.carry(stream) {
                        break;
                    }
                }
                Err(error) => self.accept_failed(&error),
            }
        }
        // Each thread that ends during a drain wakes the next one out of `accept`.
        if self.draining() && self.threads.now() > 1 {
            self.wake_one();
        }
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Serves or refuses one connection. Returns whether this thread should accept again.
    fn carry(self: &Arc<Self>, stream: TcpStream) -> bool {
        let stream = Arc::new(stream);
        match self.enter(&stream) {
            Next::Refuse(why) => {
                self.guarded(|| self.handler.refuse(&stream, why));
                true
            }
            Next::Serve(number, visit) => {
                self.guarded(|| self.handler.serve(&visit));
                // The socket closes when its last owner drops it, which must be before the crew forgets it.
                drop(stream);
                drop(visit);
                self.visit_is_over(number)
            }
        }
    }

    /// Notes the connection and makes sure that somebody is left in `accept`.
    fn enter(self: &Arc<Self>, stream: &Arc<TcpStream>) -> Next {
        let visit = Arc::new(Visit {
            stream: Arc::clone(stream),
            waiting: AtomicBool::new(false),
            draining: Arc::clone(&self.draining),
        });
        let (number, last) = {
            let mut book = self.book.lock();
            if book.visits.len() >= self.options.max_connections {
                return Next::Refuse(Refusal::TooManyConnections);
            }
            book.next_visit += 1;
            let number = book.next_visit;
            book.visits.insert(number, Arc::clone(&visit));
            book.accepting -= 1;
            (number, book.accepting == 0)
        };
        if last && self.start_thread().is_err() {
            let mut book = self.book.lock();
            book.visits.remove(&number);
            book.accepting += 1;
            return Next::Refuse(Refusal::NoThread);
        }
        Next::Serve(number, visit)
    }

    /// Forgets the connection. Returns whether this thread should accept again.
    fn visit_is_over(&self, number: u64) -> bool {
        let mut book = self.book.lock();
        book.visits.remove(&number);
        let again = book.accepting < RESTING && !self.draining();
        book.accepting += usize::from(again);
        again
    }

    /// Connects to the own listener, so that one blocked `accept` returns.
    fn wake_one(&self) {
        let mut own = self.address;
        match own {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => own.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => own.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let _ = TcpStream::connect_timeout(&own, Duration::from_millis(200));
    }

    fn accept_failed(&self, error: &io::Error) {
        if is_out_of_descriptors(error) {
            self.refuse_with_the_reserve();
        } else if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
            thread::park_timeout(ACCEPT_PAUSE);
        }
    }

    /// Gives up the descriptor in reserve, accepts with it, refuses, and takes it again.
    fn refuse_with_the_reserve(&self) {
        let mut reserve = self.reserve.lock();
        let spare = reserve.take();
        let had_one = spare.is_some();
        drop(spare);
        if had_one && let Ok((stream, _)) = self.listener.accept() {
            self.guarded(|| self.handler.refuse(&stream, Refusal::NoDescriptors));
        }
        *reserve = self.listener.try_clone().ok();
        if reserve.is_none() {
            thread::park_timeout(ACCEPT_PAUSE);
        }
    }

    /// Runs the handler so that a panic ends this connection alone.
    fn guarded(&self, work: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            let message = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            self.handler.panicked(&message);
        }
    }
}

#[cfg(unix)]
fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(not(unix))]
fn is_out_of_descriptors(_error: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, Sender, unbounded};
    use std::io::{Read, Write};

    const LONG: Duration = Duration::from_secs(20);

    /// Echoes lines of one byte; `!` panics, `h` holds on until the test lets go.
    struct Echo {
        told: Sender<String>,
        hold: Receiver<()>,
    }

    impl Handler for Echo {
        fn serve(&self, visit: &Visit) {
            let mut byte = [0];
            while visit.wait_for_request(|| (&**visit.stream()).read(&mut byte)).is_ok_and(|n| n == 1) {
                match byte[0] {
                    b'!' => panic!("asked to"),
                    b'h' => {
                        let _ = self.told.send("holding".into());
                        let _ = self.hold.recv_timeout(LONG);
                    }
                    _ => {}
                }
                let _ = (&**visit.stream()).write_all(&byte);
                if visit.draining() {
                    break;
                }
            }
        }

        fn refuse(&self, mut stream: &TcpStream, why: Refusal) {
            let _ = stream.write_all(format!("{why:?}").as_bytes());
        }

        fn panicked(&self, message: &str) {
            let _ = self.told.send(format!("panic: {message}"));
        }
    }

    fn crew(max_connections: usize) -> (Crew, Receiver<String>, Sender<()>) {
        let (told, tells) = unbounded();
        let (release, hold) = unbounded();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = CrewOptions { name: "echo", max_connections };
        (Crew::start(listener, options, Arc::new(Echo { told, hold })).unwrap(), tells, release)
    }

    fn connect(crew: &Crew) -> TcpStream {
        let stream = TcpStream::connect(crew.address()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    fn echo(stream: &mut TcpStream, byte: u8) -> Vec<u8> {
        stream.write_all(&[byte]).unwrap();
        let mut got = [0];
        let n = stream.read(&mut got).unwrap();
        got[..n].to_vec()
    }

    #[test]
    fn connections_are_served_side_by_side() {
        let (crew, _tells, _release) = crew(100);
        let mut streams: Vec<_> = (0..50).map(|_| connect(&crew)).collect();
        for (n, stream) in streams.iter_mut().enumerate() {
            let byte = b'A' + (n % 26) as u8;
            assert_eq!(echo(stream, byte), [byte]);
        }
        assert_eq!(crew.connections(), 50);
    }

    #[test]
    fn a_panic_ends_its_own_connection_alone() {
        let (crew, tells, _release) = crew(10);
        let mut other = connect(&crew);
        assert_eq!(echo(&mut other, b'a'), b"a");
        let mut unlucky = connect(&crew);
        assert_eq!(echo(&mut unlucky, b'!'), b"");
        assert_eq!(tells.recv_timeout(LONG).unwrap(), "panic: asked to");
        assert_eq!(echo(&mut other, b'b'), b"b");
        assert_eq!(echo(&mut connect(&crew), b'c'), b"c");
    }

    #[test]
    fn one_too_many_is_told_so_at_once_and_room_is_found_again() {
        let (crew, _tells, _release) = crew(2);
        let mut first = connect(&crew);
        let mut second = connect(&crew);
        assert_eq!((echo(&mut first, b'1'), echo(&mut second, b'2')), (vec![b'1'], vec![b'2']));
        let mut words = String::new();
        connect(&crew).read_to_string(&mut words).unwrap();
        assert_eq!(words, "TooManyConnections");
        drop(first);
        // The crew notices the end a moment later: ask until it has, with a deadline.
        let until = Instant::now() + LONG;
        while Instant::now() < until && crew.connections() > 1 {
            thread::yield_now();
        }
        assert_eq!(echo(&mut connect(&crew), b'3'), b"3");
    }

    #[test]
    fn a_drain_ends_the_waiting_and_lets_the_busy_finish() {
        let (crew, tells, release) = crew(10);
        let mut waiting = connect(&crew);
        assert_eq!(echo(&mut waiting, b'w'), b"w");
        let mut busy = connect(&crew);
        busy.write_all(b"h").unwrap();
        assert_eq!(tells.recv_timeout(LONG).unwrap(), "holding");
        crew.drain();
        let mut byte = [0];
        assert_eq!(waiting.read(&mut byte).unwrap(), 0, "ended");
        assert!(!crew.join(Duration::from_millis(20)), "one still has a request in hand");
        release.send(()).unwrap();
        assert_eq!((busy.read(&mut byte).unwrap(), byte), (1, *b"h"));
        assert!(crew.join(LONG));
        assert_eq!(crew.threads(), 0);
    }

    #[test]
    fn an_abort_ends_all_and_frees_the_port() {
        let (crew, _tells, _release) = crew(10);
        let mut stream = connect(&crew);
        assert_eq!(echo(&mut stream, b'x'), b"x");
        crew.abort();
        assert!(crew.join(LONG));
        let address = crew.address();
        drop(crew);
        drop(stream);
        assert!(TcpListener::bind(address).is_ok());
    }

    #[test]
    fn threads_end_when_there_is_nothing_to_do() {
        let (crew, _tells, _release) = crew(100);
        let mut streams: Vec<_> = (0..40).map(|_| connect(&crew)).collect();
        streams.iter_mut().for_each(|stream| assert_eq!(echo(stream, b'x'), b"x"));
        assert!(crew.threads() >= 41, "one a connection and one in accept");
        drop(streams);
        let until = Instant::now() + LONG;
        while Instant::now() < until && crew.threads() > RESTING {
            thread::yield_now();
        }
        assert!(crew.threads() <= RESTING, "{} threads", crew.threads());
    }
}
