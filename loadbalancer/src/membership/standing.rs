//! What the load balancer thinks of a server, for others to look at and to wait for.

use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// What the thread that speaks to a server has found out about it. Shared by that thread and whoever asked for it.
#[derive(Debug, Default)]
pub struct Standing {
    /// Held for a look or a change.
    known: Mutex<Known>,
    /// Told whenever it changes.
    changed: Condvar,
}

#[derive(Debug, Default, PartialEq)]
enum Known {
    /// Nobody has spoken to it yet.
    #[default]
    Nothing,
    /// It is who it should be, and answers.
    Believed,
    /// It is not, or does not.
    Not(String),
}

impl Standing {
    /// It has said who it is, and is believed.
    pub fn believed(&self) {
        self.set(Known::Believed);
    }

    /// It is not believed, or does not answer any more.
    pub fn not(&self, why: &str) {
        self.set(Known::Not(why.to_owned()));
    }

    fn set(&self, known: Known) {
        let mut now = self.known.lock();
        if *now != known {
            *now = known;
            self.changed.notify_all();
        }
    }

    /// Whether it is believed, and answers.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        *self.known.lock() == Known::Believed
    }

    /// Why it is not.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        match &*self.known.lock() {
            Known::Not(why) => Some(why.clone()),
            _ => None,
        }
    }

    /// Waits until something is known.
    ///
    /// # Errors
    /// Why it is not believed, or that nothing was found out in this time.
    pub fn wait(&self, within: Duration) -> Result<(), String> {
        let until = Instant::now() + within;
        let mut known = self.known.lock();
        loop {
            match &*known {
                Known::Believed => return Ok(()),
                Known::Not(why) => return Err(why.clone()),
                Known::Nothing => {}
            }
            if self.changed.wait_until(&mut known, until).timed_out() && *known == Known::Nothing {
                return Err(format!("nothing could be found out about it in {} seconds", within.as_secs()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread};

    #[test]
    fn whoever_waits_is_told() {
        let standing = Arc::new(Standing::default());
        assert!(standing.wait(Duration::ZERO).is_err() && standing.why_not().is_none());
        let waiting = Arc::clone(&standing);
        let thread = thread::spawn(move || waiting.wait(Duration::from_secs(20)));
        standing.believed();
        assert_eq!(thread.join().unwrap(), Ok(()));
        standing.not("it is another one");
        assert_eq!(standing.wait(Duration::from_secs(20)), Err("it is another one".to_owned()));
        assert!(!standing.is_believed());
    }
}
