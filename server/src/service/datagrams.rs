//! The threads of a service that answers datagrams.
//!
//! One per place, each of which blocks on the one socket and answers what comes: so a server of capacity 1 does one at a time,
//! and what comes meanwhile waits in the kernel. What does not fit there is lost without a word, so the buffer is as large
//! as the system allows.
//!
//! **Many at once, where that is nobody's loss.** A service whose work takes no time takes all that has come in one system call and
//! answers it in another ([`Inbox`], [`Outbox`]), in one thread whatever the capacity. One whose work takes time takes one by one: otherwise the last of a batch would wait
//! behind the first while another place is free.
//!
//! **A panic** in the work of a datagram ends that datagram alone: it is told, and gets no answer.
//!
//! **The end.** A server that goes says `d` to its agents, as one that goes down, and answers on until nothing comes any more: what
//! was sent before the agents heard of it is not lost.

use crate::{
    ring::{Agents, Announcer, DOWN},
    sql::Interrupt,
    work::Interest,
};
use parking_lot::{Condvar, Mutex};
use protocol::{
    datagrams::{BATCH, Inbox, LONGEST, Outbox, Sent, make_room},
    deadline::Deadline,
    output::{Plain, warn},
};
use std::{
    collections::HashSet,
    io,
    net::{SocketAddr, UdpSocket},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Bytes that may wait in the kernel, if it allows that many: a thousand clients' requests and more.
const RECEIVE_BUFFER: usize = 8 * 1024 * 1024;

/// Most threads, whatever the capacity: they wait for nothing but the processing time.
const MAX_THREADS: u32 = 64;

/// How often a thread that gets nothing looks whether the server ends; and for how long nothing must come before it does.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a server that ends answers on at most, however much comes.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often the figures are told, unless the service is told.
pub(crate) const TELL_EVERY: Duration = Duration::from_secs(10);

/// How often an agent that asks all the time is noted.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Of how many agents a thread remembers that it has noted them.
const MOST_NOTED: usize = 1_024;

/// What is done with datagrams.
pub(crate) trait Clerk: Send + Sync {
    /// A datagram has come from there: its answer is put into the outbox, or there is none. `ending` cuts work short.
    fn take(&self, datagram: &mut [u8], from: SocketAddr, outbox: &mut Outbox, ending: &Ending);

    /// Answers were sent.
    fn sent(&self, sent: &Sent);

    /// Whether the work takes no time.
    fn is_quick(&self) -> bool;

    /// Whether those who ask are agents, who are told when the server goes.
    fn has_agents(&self) -> bool;

    /// How often it tells its figures.
    fn tells_every(&self) -> Duration;

    /// Tells its figures.
    fn tell(&self);
}

/// Threads that take datagrams. Dropping this ends them.
pub(crate) struct Datagrams {
    shared: Arc<Shared>,
}

struct Shared {
    socket: Arc<UdpSocket>,
    clerk: Arc<dyn Clerk>,
    /// Who has asked lately, if those who ask are agents.
    agents: Option<Arc<Agents>>,
    /// Whether nothing new is wanted.
    drains: AtomicBool,
    ending: Ending,
    /// How many threads there are; guards nothing else.
    threads: Mutex<u32>,
    fewer: Condvar,
}

/// Whether the server ends at once. Who asked with a datagram cannot be seen to lose interest; only that ends the work.
#[derive(Debug, Default)]
pub(crate) struct Ending(AtomicBool);

impl Datagrams {
    /// Begins to serve what comes to this socket, with so many threads of this name.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(crate) fn start(socket: UdpSocket, clerk: Arc<dyn Clerk>, name: &str, threads: u32) -> io::Result<Self> {
        let _as_much_as_it_allows = make_room(&socket, RECEIVE_BUFFER);
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let shared = Arc::new(Shared {
            socket: Arc::new(socket),
            agents: clerk.has_agents().then(Arc::default),
            clerk,
            drains: AtomicBool::new(false),
            ending: Ending::default(),
            threads: Mutex::new(0),
            fewer: Condvar::new(),
        });
        // Several threads on one socket are woken for each other's datagrams, and take smaller batches.
        let threads = if shared.clerk.is_quick() { 1 } else { threads.clamp(1, MAX_THREADS) };
        let datagrams = Self { shared };
        for number in 1..=threads {
            datagrams.start_thread(name, number)?;
        }
        Ok(datagrams)
    }

    fn start_thread(&self, name: &str, number: u32) -> io::Result<()> {
        let counted = Counted::new(&self.shared);
        let spawned = thread::Builder::new().name(format!("{name}-{number}"));
        spawned.spawn(move || counted.0.serve(number == 1)).map(drop)
    }

    /// Who tells the agents when the server is down and up; nobody, if those who ask are none.
    ///
    /// # Errors
    /// If the socket, from which they are told, cannot be shared.
    pub(crate) fn announcer(&self) -> io::Result<Option<Announcer>> {
        let Some(agents) = &self.shared.agents else { return Ok(None) };
        Ok(Some(Announcer::new(Arc::clone(agents), self.shared.socket.try_clone()?)))
    }

    /// Says to the agents that the server goes, and ends when nothing comes any more.
    pub(crate) fn drain(&self) {
        if !self.shared.drains.swap(true, Ordering::SeqCst)
            && let Some(agents) = &self.shared.agents
        {
            agents.tell(&self.shared.socket, DOWN);
        }
    }

    /// Ends at once.
    pub(crate) fn abort(&self) {
        self.drain();
        self.shared.ending.0.store(true, Ordering::SeqCst);
    }

    /// Waits until the last thread has ended, at most until `within` has passed; says whether all have.
    #[must_use]
    pub(crate) fn join(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut threads = self.shared.threads.lock();
        while *threads > 0 {
            if self.shared.fewer.wait_until(&mut threads, until).timed_out() {
                return *threads == 0;
            }
        }
        true
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Shared {
    /// The life of one thread. Blocks on the socket, and in the processing time; ends with the service. One of them tells the
    /// figures.
    fn serve(&self, tells: bool) {
        let at_once = if self.clerk.is_quick() { BATCH } else { 1 };
        let (mut inbox, mut outbox) = (Inbox::new(Arc::clone(&self.socket), at_once, LONGEST), Outbox::new());
        let (mut noted, mut told) = (Noted::new(), Instant::now());
        let mut goes_until = None;
        while !self.ending.is_near() {
            match inbox.receive() {
                Ok(0) if goes_until.is_some() => break,
                Ok(0) => {}
                Ok(_) => self.answer(&mut inbox, &mut outbox, &mut noted),
                // Somebody who asked is gone (some systems say so here), or the system is short of something.
                Err(_) => thread::park_timeout(Duration::from_millis(1)),
            }
            if tells && told.elapsed() >= self.clerk.tells_every() {
                told = Instant::now();
                self.clerk.tell();
            }
            if self.drains.load(Ordering::Relaxed)
                && goes_until.get_or_insert_with(|| Deadline::after(FAREWELL)).has_passed()
            {
                break;
            }
        }
        if tells {
            self.clerk.tell();
        }
    }

    fn answer(&self, inbox: &mut Inbox, outbox: &mut Outbox, noted: &mut Noted) {
        for (datagram, from) in inbox.iter_mut() {
            if let Some(agents) = &self.agents
                && noted.is_new(from)
            {
                agents.heard(from);
            }
            let work = AssertUnwindSafe(|| self.clerk.take(datagram, from, outbox, &self.ending));
            if let Err(panic) = catch_unwind(work) {
                let words = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                warn!("A defect of the server left a datagram without an answer: {}", Plain(&words));
            }
        }
        if !outbox.is_empty() {
            self.clerk.sent(&outbox.send(&self.socket));
        }
    }
}

/// A thread that is there, and is counted until it is not, however it ends.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        *shared.threads.lock() += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.threads.lock() -= 1;
        self.0.fewer.notify_all();
    }
}

/// Whom a thread has noted lately, so that the common list is not locked for each datagram.
struct Noted {
    lately: HashSet<SocketAddr>,
    last: Option<SocketAddr>,
    since: Instant,
}

impl Noted {
    fn new() -> Self {
        Self { lately: HashSet::new(), last: None, since: Instant::now() }
    }

    /// Whether he was not noted in this second.
    fn is_new(&mut self, agent: SocketAddr) -> bool {
        if self.since.elapsed() >= NOTE_EVERY || self.lately.len() >= MOST_NOTED {
            self.lately.clear();
            (self.last, self.since) = (None, Instant::now());
        }
        // Usually there is one agent, and no need to look him up.
        if self.last == Some(agent) {
            return false;
        }
        self.last = Some(agent);
        self.lately.insert(agent)
    }
}

impl Ending {
    /// Whether it does.
    pub(crate) fn is_near(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Interest for Ending {
    fn lost(&self) -> Option<Interrupt> {
        self.is_near().then_some(Interrupt::Cancelled)
    }

    fn wait(&self, until: Deadline) -> Result<(), Interrupt> {
        while !until.has_passed() {
            if let Some(interrupt) = self.lost() {
                return Err(interrupt);
            }
            thread::park_timeout(until.remaining().min(LOOK_EVERY));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
