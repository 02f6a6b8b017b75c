//! A listener with blocking threads that can be stopped, and that never fails silently.
//!
//! **The problem.** The simplest server accepts in a loop and starts a thread per connection. It cannot be stopped
//! (`accept` blocks for ever), it is slow where connections are short (starting a thread costs more than the
//! request), it ends when a thread cannot be started, and when file descriptors run out it spins.
//!
//! **The idea: a crew that takes turns.** Every thread of the crew blocks in `accept` on the same listener; the
//! kernel wakes one per connection, and that thread carries the connection to its end. A new thread is started
//! only when the thread that just accepted sees that it left nobody behind in `accept`; a thread that finds enough
//! others waiting ends. So a crew has as many threads as connections at the worst, up to 64 at rest, and a short
//! connection usually costs no thread at all.
//!
//! **A full crew** keeps its last thread for refusing: whoever comes is told `busy` at once, in a frame, instead of
//! waiting in a queue that nobody sees. **Exhausted descriptors**: one descriptor is held in reserve; it is given
//! up to accept the connection that cannot be served, refuse it, and taken again.
//!
//! **Stopping.** [`Crew::drain`] sets a flag, connects to the own listener so that a blocked `accept` returns (each
//! thread woken so wakes the next), and shuts down the connections that wait for a next request. When the last thread
//! has left `accept` the port is closed: whoever comes later is refused by the system, not kept waiting. Connections
//! with a request in hand finish it, then find the flag. [`Crew::abort`] shuts all of them down.
//!
//! Measured on two cores, a connection per request: 1.3 to 1.8 times HAProxy's rate, where a fresh thread per
//! connection reached 0.6. Sources: the pre-forked servers of Stevens, *UNIX Network Programming* I, ch. 30
//! (threads that all call `accept`: §30.11).

mod visit;
mod headcount;

pub use visit::{Handler, Refusal, Visit};

use self::headcount::Headcount;
use crate::limits::CONNECTION_STACK;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs::File,
    io,
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Threads that stay in `accept` when there is nothing to do; at rest each costs 18 KiB. With 8, of the connections of 64 clients
/// that made a new one for each request, every sixth started a thread, because connections come and end in bursts.
pub const RESTING: usize = 64;
/// How long a thread waits after `accept` failed for a reason that is not the connection's own, before it tries
/// again. Such errors (no memory for sockets) pass; retrying at once would burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    /// The listener, until a drain takes it away: then it is closed by the last thread that leaves `accept`.
    listener: Mutex<Option<Arc<TcpListener>>>,
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
    reserve: Mutex<Option<File>>,
}

#[derive(Default)]
struct Book {
    /// Threads in `accept`, or on the way there.
    accepting: usize,
    /// The connections being served, by number.
    visits: HashMap<u64, Arc<Visit>>,
    next_visit: u64,
}

impl Crew {
    /// Starts serving a bound listener.
    ///
    /// # Errors
    /// If the listener has no address, or not even the first thread can be started.
    pub fn start(listener: TcpListener, options: CrewOptions, handler: Arc<dyn Handler>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            listener: Mutex::new(Some(Arc::new(listener))),
            address,
            options,
            handler,
            draining: Arc::new(AtomicBool::new(false)),
            started: AtomicU64::new(0),
            book: Mutex::new(Book::default()),
            threads: Arc::default(),
            reserve: Mutex::new(spare_descriptor()),
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
        drop(self.shared.listener.lock().take());
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
        self.shared.threads.nobody_left(within)
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
        while let Some(accepted) = self.accept() {
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

    /// The next connection; `None` when the crew drains.
    fn accept(&self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        let listener = self.listener.lock().clone();
        let accepted = listener.map(|listener| listener.accept());
        if self.draining() {
            self.book.lock().accepting -= 1;
            return None;
        }
        accepted
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
        let listener = self.listener.lock().clone();
        if had_one && let Some(Ok((stream, _))) = listener.map(|listener| listener.accept()) {
            self.guarded(|| self.handler.refuse(&stream, Refusal::NoDescriptors));
        }
        *reserve = spare_descriptor();
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

/// A descriptor that serves no purpose but to be there.
fn spare_descriptor() -> Option<File> {
    File::open(if cfg!(windows) { "NUL" } else { "/dev/null" }).ok()
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
mod tests;
