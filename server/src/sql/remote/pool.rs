//! Kept connections: opening one costs a login, and a database server has room for a hundred or so.

use super::{Link, Trouble};
use crate::sql::{Watch, watch::LOOK_EVERY};
use parking_lot::{Condvar, Mutex};

/// Most connections of one server process, in use and kept. PostgreSQL takes 100 altogether unless told otherwise, and
/// MySQL 151; whoever needs one more than these waits until one is given back.
pub(super) const MOST: usize = 16;

/// The connections of a server process.
pub(super) struct Pool<L: Link> {
    place: L::Place,
    /// Held for the time of a push or a pop; nothing is sent, and nobody waits for the database, while it is held.
    state: Mutex<State<L>>,
    given_back: Condvar,
}

struct State<L> {
    /// Those that nobody uses.
    kept: Vec<L>,
    /// How many more may be opened.
    free: usize,
}

impl<L: Link> Pool<L> {
    pub(super) fn new(place: L::Place) -> Self {
        Self { place, state: Mutex::new(State { kept: Vec::new(), free: MOST }), given_back: Condvar::new() }
    }

    /// Does a piece of work on a connection: a kept one that is still open, or a new one.
    pub(super) fn with<T>(
        &self,
        watch: &dyn Watch,
        work: impl FnOnce(&mut L) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut permit = Permit { pool: self, link: self.take(watch)? };
        loop {
            match &mut permit.link {
                Some(link) if link.is_fit() => {
                    let done = work(link);
                    // What failed may have left a transaction open, which ends with its connection.
                    if done.is_err() && !link.is_fit() {
                        permit.link = None;
                    }
                    return done;
                }
                Some(_) => permit.link = None,
                None => permit.link = Some(L::open(&self.place, watch)?),
            }
        }
    }

    /// The right to use a connection, and a kept one if there is one.
    fn take(&self, watch: &dyn Watch) -> Result<Option<L>, Trouble> {
        let mut state = self.state.lock();
        loop {
            if let Some(link) = state.kept.pop() {
                return Ok(Some(link));
            }
            if state.free > 0 {
                state.free -= 1;
                return Ok(None);
            }
            self.given_back.wait_for(&mut state, LOOK_EVERY);
            if let Some(interrupt) = watch.interrupted() {
                return Err(interrupt.into());
            }
        }
    }
}

/// The right to use a connection; it goes back when the value is dropped, with the connection if that may be kept.
struct Permit<'a, L: Link> {
    pool: &'a Pool<L>,
    link: Option<L>,
}

impl<L: Link> Drop for Permit<'_, L> {
    fn drop(&mut self) {
        // What a panic left behind is not worth finding out.
        let link = self.link.take().filter(|_| !std::thread::panicking());
        let mut state = self.pool.state.lock();
        match link {
            Some(link) => state.kept.push(link),
            None => state.free += 1,
        }
        drop(state);
        self.pool.given_back.notify_one();
    }
}
