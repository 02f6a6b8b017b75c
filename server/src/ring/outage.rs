//! Being down: the service answers nothing.
//!
//! **What "down" means.** As from outside a server would look that has been pulled out of the wall, except that it
//! can come back: of a TCP service and of the control port all connections are ended at the beginning, and new ones are
//! closed without a word, so the load balancer's checks fail and its requests go elsewhere; a UDP service drops what comes. The
//! entry in `servers.json` stays: a server that is down is still a member.
//!
//! **It ends by itself.** Being down is a time, not a flag: whoever wants to know compares it with the clock. So no server
//! stays down because a thread had no turn, and none is down for longer than the others have promised.

use parking_lot::Mutex;
use protocol::listener::{Handler, Refusal, Visit};
use std::{
    collections::HashMap,
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Whether this server is down, and what is cut off when it is.
#[derive(Debug)]
pub(crate) struct Outage {
    epoch: Instant,
    /// Microseconds after the epoch.
    until: AtomicU64,
    /// The connections to be ended. Held for an insertion, a removal, or while sockets are shut down, which does not block.
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, Arc<TcpStream>>,
}

impl Outage {
    /// A server that is up.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { epoch: Instant::now(), until: AtomicU64::new(0), connections: Mutex::default() })
    }

    /// The time since the server was made, which [`Outage::begin`] counts in.
    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Whether it is down.
    pub(crate) fn is_down(&self) -> bool {
        let until = self.until.load(Ordering::SeqCst);
        until > 0 && self.now() < Duration::from_micros(until)
    }

    /// Goes down until then.
    pub(crate) fn begin(&self, until: Duration) {
        // Before the connections are ended: who enters now looks at this after having entered.
        self.until.store(u64::try_from(until.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
        for stream in self.connections.lock().open.values() {
            let _gone_already = stream.shutdown(Shutdown::Both);
        }
    }

    /// Is up.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::SeqCst);
    }

    fn enter(&self, stream: &Arc<TcpStream>) -> u64 {
        let mut connections = self.connections.lock();
        connections.next += 1;
        let number = connections.next;
        connections.open.insert(number, Arc::clone(stream));
        number
    }
}

/// A handler of connections that is cut off while the server is down.
pub(crate) struct CutOff<H: ?Sized> {
    inner: Arc<H>,
    outage: Arc<Outage>,
}

impl<H: Handler + ?Sized> CutOff<H> {
    /// This handler, while the server is up.
    pub(crate) fn new(inner: Arc<H>, outage: &Arc<Outage>) -> Arc<Self> {
        Arc::new(Self { inner, outage: Arc::clone(outage) })
    }
}

/// A connection that is served. It leaves the list also when serving it panics.
struct Entered<'a>(&'a Outage, u64);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.connections.lock().open.remove(&self.1);
    }
}

impl<H: Handler + ?Sized> Handler for CutOff<H> {
    fn serve(&self, visit: &Visit) {
        let entered = Entered(&self.outage, self.outage.enter(visit.stream()));
        if !self.outage.is_down() {
            self.inner.serve(visit);
        }
        drop(entered);
    }

    fn refuse(&self, stream: &TcpStream, why: Refusal) {
        if !self.outage.is_down() {
            self.inner.refuse(stream, why);
        }
    }

    fn panicked(&self, message: &str) {
        self.inner.panicked(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::deadline::Deadline;

    #[test]
    fn an_outage_ends_by_itself_and_by_word() {
        let outage = Outage::new();
        assert!(!outage.is_down());
        outage.begin(outage.now() + Duration::from_secs(3600));
        assert!(outage.is_down());
        outage.end();
        assert!(!outage.is_down());
        outage.begin(outage.now() + Duration::from_millis(20));
        let late = Deadline::after(Duration::from_secs(20));
        while outage.is_down() {
            assert!(!late.has_passed());
            std::thread::yield_now();
        }
    }
}
