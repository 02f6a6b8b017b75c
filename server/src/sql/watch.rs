//! Ending a statement from outside.
//!
//! SQLite calls a function of ours every thousand steps of its virtual machine (some ten microseconds) and
//! whenever it waits for a lock. That function asks the [`Watch`] of the request that is being served whether to go on;
//! but a look at a socket is a system call, so it asks at most every 20 ms.

use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How often the watch is asked at most. A system call every 20 ms costs nothing, and nobody notices that a
/// statement ends 20 ms late.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a statement that waits for another process' lock sleeps between two attempts. SQLite's locks are file locks, which
/// wake nobody: this is the one place where waiting means asking again.
const RETRY_EVERY: Duration = Duration::from_millis(2);

/// Why a statement was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupt {
    /// Its time was over.
    #[error("The statement was ended: its time was over.")]
    TimeLimit,
    /// It waited for the database's write lock until its time was over.
    #[error("Another server holds the database's write lock; the statement waited for it until its time was over.")]
    Locked,
    /// Its client took it back.
    #[error("The request was taken back by its client.")]
    Cancelled,
    /// Nobody waits for the answer any more.
    #[error("The request was given up: its connection was closed.")]
    Gone,
}

/// Says whether a statement shall go on.
pub trait Watch: Send + Sync {
    /// Why it shall end, if it shall. Asked about every 20 ms from within the database; must neither wait nor panic.
    fn interrupted(&self) -> Option<Interrupt>;
}

/// What hangs between one database connection and the watch of the request it works for.
#[derive(Default)]
pub(super) struct Alarm {
    /// Locked for the time of one look. Only the thread that runs the statement takes it, so nobody waits for it; it
    /// is here because SQLite's callbacks must be `Send`.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watch: Option<Arc<dyn Watch>>,
    fired: Option<Interrupt>,
    next_look: Option<Instant>,
    waited_for_lock: bool,
}

impl Alarm {
    /// Lets this watch decide until the value returned is dropped. Nothing of the watch may stay behind: it holds
    /// a request's connection open.
    pub(super) fn arm(&self, watch: &Arc<dyn Watch>) -> Armed<'_> {
        *self.state.lock() = State { watch: Some(Arc::clone(watch)), ..State::default() };
        Armed(self)
    }

    /// Why the statement was ended, if it was.
    pub(super) fn fired(&self) -> Option<Interrupt> {
        let state = self.state.lock();
        match state.fired {
            Some(Interrupt::TimeLimit) if state.waited_for_lock => Some(Interrupt::Locked),
            fired => fired,
        }
    }

    /// Whether the statement shall end.
    pub(super) fn rings(&self) -> bool {
        let mut state = self.state.lock();
        if state.fired.is_some() {
            return true;
        }
        let now = Instant::now();
        if state.next_look.is_some_and(|next| now < next) {
            return false;
        }
        state.next_look = Some(now + LOOK_EVERY);
        state.waited_for_lock = false;
        state.fired = state.watch.as_ref().and_then(|watch| watch.interrupted());
        state.fired.is_some()
    }

    /// Called when another process holds a lock: whether to try again.
    pub(super) fn wait_for_lock(&self) -> bool {
        if self.state.lock().watch.is_none() || self.rings() {
            self.state.lock().waited_for_lock = true;
            return false;
        }
        std::thread::sleep(RETRY_EVERY);
        true
    }
}

/// An alarm that is set.
pub(super) struct Armed<'a>(&'a Alarm);

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.0.state.lock().watch = None;
    }
}
