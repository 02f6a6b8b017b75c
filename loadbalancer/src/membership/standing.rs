//! What the load balancer thinks of a server, for others to look at and to wait for.

use parking_lot::{Condvar, Mutex};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// What was found out about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is who it should be, and answers.
    Believed,
    /// It is not, or does not: why.
    Not(String),
    /// A person has removed it.
    Removed,
}

impl Found {
    fn why_not(&self) -> Option<&str> {
        match self {
            Self::Believed => None,
            Self::Not(why) => Some(why),
            Self::Removed => Some("a person has removed it"),
        }
    }
}

/// Called with what was found out.
#[derive(Clone)]
pub struct Teller(pub Arc<dyn Fn(Found) + Send + Sync>);

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

/// What the thread that speaks to a server has found out about it. Shared by that thread and whoever asked for it.
#[derive(Debug, Default)]
pub struct Standing {
    /// Nothing, until somebody has spoken to it. Held for a look or a change.
    known: Mutex<Option<Found>>,
    /// Told whenever it changes.
    changed: Condvar,
    /// Who is told, too. Held for a look or a change.
    teller: Mutex<Option<Teller>>,
}

impl Standing {
    /// It has said who it is, and is believed.
    pub fn believed(&self) {
        self.set(Found::Believed);
    }

    /// It is not believed, or does not answer any more.
    pub fn not(&self, why: &str) {
        self.set(Found::Not(why.to_owned()));
    }

    /// A person has removed it.
    pub fn removed(&self) {
        self.set(Found::Removed);
    }

    fn set(&self, found: Found) {
        let mut known = self.known.lock();
        if known.as_ref() != Some(&found) {
            *known = Some(found);
            self.changed.notify_all();
            drop(known);
            self.tell_now();
        }
    }

    /// From now on this one is told, too; at once, if something is known.
    pub fn tell(&self, teller: Teller) {
        *self.teller.lock() = Some(teller);
        self.tell_now();
    }

    fn tell_now(&self) {
        let known = self.known.lock().clone();
        let teller = self.teller.lock().clone();
        if let (Some(found), Some(Teller(tell))) = (known, teller) {
            tell(found);
        }
    }

    /// Whether it is believed, and answers.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        *self.known.lock() == Some(Found::Believed)
    }

    /// Why it is not.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        self.known.lock().as_ref().and_then(Found::why_not).map(str::to_owned)
    }

    /// Waits until something is known.
    ///
    /// # Errors
    /// Why it is not believed, or that nothing was found out in this time.
    pub fn wait(&self, within: Duration) -> Result<(), String> {
        let until = Instant::now() + within;
        let mut known = self.known.lock();
        loop {
            if let Some(found) = &*known {
                return found.why_not().map_or(Ok(()), |why| Err(why.to_owned()));
            }
            if self.changed.wait_until(&mut known, until).timed_out() && known.is_none() {
                return Err(format!("nothing could be found out about it in {} seconds", within.as_secs()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

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
