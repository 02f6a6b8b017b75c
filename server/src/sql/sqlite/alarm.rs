//! How SQLite is made to ask the watch.
//!
//! SQLite calls a function of ours every thousand steps of its virtual machine (some ten microseconds) and
//! whenever it waits for a lock. That function asks the [`Watch`] of the request that is being served whether to go on;
//! but a look at a socket is a system call, so it asks at most every [`LOOK_EVERY`].

use crate::sql::watch::{Interrupt, LOOK_EVERY, Watch};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a statement that waits for another process' lock sleeps between two attempts. SQLite's locks are file locks, which
/// wake nobody: this is the one place where waiting means asking again.
const RETRY_EVERY: Duration = Duration::from_millis(2);

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
