//! A server of the pool: who it is, and the connections to it that are kept.

use super::{Admin, statistics::Statistics};
use crate::policy::{Ended, ServerKey};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use protocol::{
    message::Identity,
    wire::{Connection, Pending, WireError},
};
use std::{
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

/// Connections kept to one server at the most; each costs a descriptor here and a thread there.
const MAX_KEPT: usize = 256;

/// Why a server may get no requests. Each cause comes and goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its [`State`](super::State).
    State,
    /// How its requests ended.
    Ejection,
    /// A person.
    Admin,
}

/// A server that has said who it is.
#[derive(Debug)]
pub struct Server {
    /// Its name in the pool.
    pub key: ServerKey,
    /// The id it was started with.
    pub id: String,
    /// Where it serves.
    pub address: SocketAddr,
    /// What it spends on each request.
    pub processing_time: Duration,
    /// How many requests it serves at once.
    pub capacity: u32,
    /// Which of its lives this is.
    pub incarnation: u64,
    /// The identity of its database: a statement that may have been carried out never leaves it.
    pub database: Option<Arc<str>>,
    /// Idle connections to it; `None` while it is down or has left, so that none is worth keeping. The lock is held
    /// to push or pop one; connecting and closing happen outside.
    kept: Mutex<Option<Vec<Connection>>>,
    /// All connections to it, so that they can be cut when it is down: whoever waits on one learns it at once. The
    /// lock is held to add one, or to shut them down, which does not block.
    all: Mutex<Vec<Weak<TcpStream>>>,
    /// What has happened here.
    pub statistics: Statistics,
    /// For each [`Cause`] why, and since when. The lock is held to read or replace one.
    reasons: Mutex<[(Option<String>, Instant); 3]>,
    /// Since when it has been down, if it is, and how long it was down before. The lock is held to read or change it.
    down: Mutex<(Option<Instant>, Duration)>,
    /// Wakes the thread that speaks to its control port.
    ask: Sender<()>,
}

impl Server {
    pub(super) fn new(key: ServerKey, identity: &Identity, processing_time: Duration, ask: Sender<()>) -> Self {
        Self {
            key,
            id: identity.id.clone(),
            address: identity.address,
            processing_time,
            capacity: identity.capacity.max(1),
            incarnation: identity.incarnation,
            database: identity.database.as_deref().map(Arc::from),
            all: Mutex::new(Vec::new()),
            kept: Mutex::new(Some(Vec::new())),
            statistics: Statistics::default(),
            reasons: Mutex::new([const { None }; 3].map(|none| (none, Instant::now()))),
            down: Mutex::default(),
            ask,
        }
    }

    /// A connection to the server: one that was kept and is still quiet, or a new one.
    ///
    /// A kept connection on which something has arrived unasked is not trusted: it is closed.
    ///
    /// # Errors
    /// If the server does not accept a connection in time.
    pub fn connection(&self, within: Duration) -> Result<Connection, WireError> {
        self.kept_connection().map_or_else(|| self.fresh_connection(within), Ok)
    }

    /// A connection to the server that was kept, if there is one that is still quiet.
    pub fn kept_connection(&self) -> Option<Connection> {
        loop {
            let kept = self.kept.lock().as_mut().and_then(Vec::pop)?;
            if kept.pending() == Pending::Nothing {
                return Some(kept);
            }
        }
    }

    /// A new connection to the server.
    ///
    /// # Errors
    /// If the server does not accept a connection in time.
    pub fn fresh_connection(&self, within: Duration) -> Result<Connection, WireError> {
        let connected = Connection::connect(self.address, within);
        let connection = connected.inspect_err(|_| self.statistics.connect_errors.add_one())?;
        self.note(&connection);
        Ok(connection)
    }

    fn note(&self, connection: &Connection) {
        let mut all = self.all.lock();
        // Closed ones are dropped whenever the list would have to grow, so it is at most twice as long as needed.
        if all.len() == all.capacity() {
            all.retain(|stream| stream.strong_count() > 0);
        }
        all.push(Arc::downgrade(connection.stream()));
    }

    /// Keeps a connection whose last answer has been read to its end.
    pub fn keep(&self, connection: Connection) {
        let mut kept = self.kept.lock();
        if let Some(kept) = kept.as_mut().filter(|kept| kept.len() < MAX_KEPT) {
            return kept.push(connection);
        }
        // Closed without the lock.
        drop(kept);
        drop(connection);
    }

    /// Ends all connections: the server does not answer, and nobody should go on waiting for it.
    pub(super) fn cut_connections(&self) {
        self.forget_connections();
        for stream in self.all.lock().drain(..).filter_map(|stream| stream.upgrade()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether this connection to it was cut, because it was declared down: then its end is ours, not the server's.
    #[must_use]
    pub fn has_cut(&self, connection: &Connection) -> bool {
        // Those that are cut leave the list, and nobody else does who is still in use.
        let stream = Arc::as_ptr(connection.stream());
        !self.all.lock().iter().any(|noted| noted.as_ptr() == stream)
    }

    /// Closes the kept connections: the server is down or has left.
    pub(super) fn forget_connections(&self) {
        let kept = self.kept.lock().take();
        drop(kept);
    }

    /// Keeps connections (again): the server answers.
    pub(super) fn remember_connections(&self) {
        self.kept.lock().get_or_insert_with(Vec::new);
    }

    /// Has the server asked soon what it is doing.
    pub fn ask(&self) {
        // One place: if the thread has been told already it will ask anyway.
        let _ = self.ask.try_send(());
    }

    pub(super) fn count(&self, ended: Ended, took: Duration) {
        self.statistics.count(ended, took);
    }

    /// From now on this cause holds, and why; or holds no more.
    pub(super) fn because(&self, cause: Cause, why: Option<&str>) {
        self.reasons.lock()[cause as usize] = (why.map(str::to_owned), Instant::now());
    }

    /// A person has decided about it.
    pub(super) fn decided(&self, admin: Admin) {
        self.because(Cause::Admin, (admin != Admin::Ready).then_some("a person has decided so."));
    }

    /// It is down from now on, or not any more.
    pub(super) fn is_down(&self, down: bool) {
        let (since, before) = &mut *self.down.lock();
        match (down, *since) {
            (true, None) => *since = Some(Instant::now()),
            (false, Some(then)) => {
                *before += then.elapsed();
                *since = None;
            }
            _ => {}
        }
    }

    /// How long it has been down in all, since it joined.
    #[must_use]
    pub fn downtime(&self) -> Duration {
        let (since, before) = *self.down.lock();
        before + since.map(|then| then.elapsed()).unwrap_or_default()
    }

    /// Why this cause holds, and since when. Without a cause: since when none does.
    #[must_use]
    pub fn reason(&self, cause: Option<Cause>) -> (Option<String>, Instant) {
        let reasons = self.reasons.lock();
        match cause {
            Some(cause) => reasons[cause as usize].clone(),
            None => (None, reasons.iter().map(|(_, since)| *since).max().unwrap_or_else(Instant::now)),
        }
    }
}
