//! The members: the [roll](super::roll), and for each claim on it the thread that speaks to that server.
//!
//! Three sources change it, each from a thread of its own: the file, the connections of servers that have joined, and a
//! person (through the administration). Each says what it wants; what follows is the same for all.

use super::{
    Membership,
    contact::Contact,
    roll::{Claim, Denied, Roll, Source},
    standing::{Standing, Teller},
};
use crate::event::Event;
use parking_lot::Mutex;
use protocol::{
    handshake::{Control, HandshakeError},
    limits::CONTROL_TIME,
    registry::{Entry, LAB, Reading},
};
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

/// How long it may take until a server that was just named is believed, or not: its contact connects, asks twice, and may
/// first have to wait for the end of another one.
pub(super) const FIRST_WORD: Duration = Duration::from_secs(6);

/// The servers that should be in the pool, and the threads that speak to them.
#[derive(Debug)]
pub struct Members {
    shared: Arc<Membership>,
    /// Held while the list changes. Under it threads may be started, but nothing is waited for, and no other lock is taken
    /// but that of a [`Standing`], for a look.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    roll: Roll,
    /// The contacts that count, by id.
    contacts: HashMap<String, Watched>,
    /// Contacts that have been told to end, and may still have their server in the pool.
    ending: HashMap<String, Contact>,
    /// Entries of the file of which it has been said that somebody else has their id or address.
    told: HashSet<u64>,
    /// The program is ending: nobody joins any more.
    ended: bool,
}

#[derive(Debug)]
struct Watched {
    claim: Claim,
    standing: Arc<Standing>,
    contact: Contact,
}

/// Why a server was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdded {
    /// Not with these addresses, this service, or after a person has removed it.
    #[error("{0}")]
    NotAllowed(String),
    /// Its id or its address belongs to another one, who lives.
    #[error("{0}")]
    Taken(String),
    /// At its control port nobody answers, or somebody else.
    #[error("Server {id} is not believed: {why}")]
    NotBelieved {
        /// The server.
        id: String,
        /// Why not.
        why: String,
    },
    /// At this address no server says who it is.
    #[error("No server answers at the control address {control}: {why}")]
    Nobody {
        /// The address.
        control: SocketAddr,
        /// Why not.
        why: String,
    },
    /// The load balancer is ending.
    #[error("The load balancer is ending.")]
    Ending,
}

/// A member, as the administration shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// What was said of it.
    pub entry: Entry,
    /// By whom.
    pub source: Source,
    /// Why it gets nothing, if it is not believed.
    pub why_not: Option<String>,
}

impl Members {
    /// Nobody yet.
    #[must_use]
    pub fn new(shared: Membership) -> Arc<Self> {
        Arc::new(Self { shared: Arc::new(shared), inner: Mutex::default() })
    }

    /// What all threads of the membership share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Membership> {
        &self.shared
    }

    // ------------------------------------------------------------------------------------------- a person

    /// A person adds the server of this entry. Returns when it is believed, or is not and has been forgotten again.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub fn add(&self, entry: Entry) -> Result<(), NotAdded> {
        self.shared.gate.check_entry(None, &entry).map_err(NotAdded::NotAllowed)?;
        let (number, standing) = self.claim(Source::Added, entry.clone(), None)?;
        match standing.wait(FIRST_WORD) {
            Ok(()) => {
                self.stays(number);
                Ok(())
            }
            Err(why) => {
                self.take_back(number);
                Err(NotAdded::NotBelieved { id: entry.id, why })
            }
        }
    }

    /// The same for the server that answers at this control address, and says itself who it is.
    ///
    /// # Errors
    /// As [`Members::add`], or if nobody answers.
    pub fn add_at(&self, control: SocketAddr) -> Result<Entry, NotAdded> {
        let entry = |address| Entry {
            id: String::new(),
            address,
            service: LAB.to_owned(),
            processing_time: 0.0,
            capacity: 1,
            control,
            pid: None,
        };
        // Before anybody connects anywhere.
        self.shared.gate.check_entry(None, &entry(control)).map_err(NotAdded::NotAllowed)?;
        let ask = || Control::connect(control, CONTROL_TIME)?.identify_with(self.shared.token.as_ref(), CONTROL_TIME);
        let nobody = |error: HandshakeError| NotAdded::Nobody { control, why: error.to_string() };
        let identity = ask().map_err(nobody)?;
        let (processing_time, capacity) = (identity.processing_time, identity.capacity);
        let (id, service, pid) = (identity.id, identity.service, Some(identity.pid));
        let entry = Entry { id, service, processing_time, capacity, pid, ..entry(identity.address) };
        // What came over the network is held to the same rules as a file.
        let value = serde_json::to_value(&entry).unwrap_or_default();
        let entry = Entry::from_value(&value).map_err(|why| NotAdded::Nobody { control, why })?;
        self.add(entry.clone()).map(|()| entry)
    }

    /// A person removes the server of this id, whoever named it. Requests that it has go on. Its entry in the file does not
    /// count any more and its attempts to join are refused, until another process has the id, or it is added.
    /// Returns what it was; nothing if there is no such server.
    pub fn remove(&self, id: &str) -> Option<Member> {
        let mut inner = self.inner.lock();
        let Claim { entry, source, .. } = inner.roll.remove(id)?;
        let standing = inner.contacts.get(id).map(|watched| Arc::clone(&watched.standing));
        let why_not = standing.as_ref().and_then(|standing| standing.why_not());
        self.reconcile(&mut inner);
        drop(inner);
        // Whoever has started it is told.
        standing.iter().for_each(|standing| standing.removed());
        // What was decided about it was about that server, not about the next one of its id.
        self.shared.pools.of(&entry.service).into_iter().for_each(|pool| pool.forget(id));
        self.shared.events.emit(|| Event::ServerRemoved { server: id.to_owned() });
        Some(Member { entry, source, why_not })
    }

    /// All members, by id.
    #[must_use]
    pub fn list(&self) -> Vec<Member> {
        let inner = self.inner.lock();
        let member = |watched: &Watched| Member {
            entry: watched.claim.entry.clone(),
            source: watched.claim.source,
            why_not: watched.standing.why_not(),
        };
        let mut list: Vec<Member> = inner.contacts.values().map(member).collect();
        drop(inner);
        list.sort_by(|a, b| a.entry.id.cmp(&b.entry.id));
        list
    }

    // ------------------------------------------------------------------------------------------ our own

    /// The load balancer has started this server itself. `tell` is called with what is found out about it, now and
    /// whenever that changes, by the thread that finds it out. The number of its claim, to take it back.
    ///
    /// # Errors
    /// If its id or address is another one's, or the program is ending.
    pub fn employ(&self, entry: Entry, tell: Teller) -> Result<u64, NotAdded> {
        let (number, standing) = self.claim(Source::Replica, entry, None)?;
        self.stays(number);
        standing.tell(tell);
        Ok(number)
    }

    /// Whether anybody has this id, or a server of the command line in the pool for this service.
    #[must_use]
    pub fn has(&self, service: &str, id: &str) -> bool {
        self.shared.pools.is_named(service, id) || self.inner.lock().contacts.contains_key(id)
    }

    // -------------------------------------------------------------------------------------------- the file

    /// The file has been read.
    pub fn file_says(&self, reading: &Reading) {
        let Membership { events, gate, .. } = &*self.shared;
        for rejected in &reading.rejected {
            let why = format!("An entry of the registry is passed over: {} ({})", rejected.why, rejected.text);
            events.emit(|| Event::RegistryTrouble { why });
        }
        let (own, others): (Vec<&Entry>, Vec<&Entry>) = reading
            .entries
            .iter()
            .filter(|entry| self.shared.pools.of(&entry.service).is_some())
            .partition(|entry| gate.is_own(entry.address) || gate.is_own(entry.control));
        for entry in own {
            let why = format!("Server {} of the registry has an address of this load balancer: passed over.", entry.id);
            events.emit(|| Event::RegistryTrouble { why });
        }
        let (named, others): (Vec<&Entry>, Vec<&Entry>) =
            others.into_iter().partition(|entry| self.shared.pools.is_named(&entry.service, &entry.id));
        for entry in named {
            let why = format!("{} It is passed over.", named_already(&entry.id));
            events.emit(|| Event::RegistryTrouble { why });
        }
        let mut inner = self.inner.lock();
        inner.roll.file_says(others.into_iter().cloned());
        self.reconcile(&mut inner);
    }

    // ------------------------------------------------------------------------------------------ the network

    /// A server asks to join, from an address that was looked at. The number of its claim, and what will be found out.
    pub(super) fn join(&self, entry: Entry, incarnation: u64) -> Result<(u64, Arc<Standing>), NotAdded> {
        self.claim(Source::Joined, entry, Some(incarnation))
    }

    /// The server of this claim is believed: nobody who gave way to it returns.
    pub(super) fn stays(&self, number: u64) {
        self.inner.lock().roll.stays(number);
    }

    /// A lease has ended, a replica has, or an attempt to join has failed.
    pub(crate) fn take_back(&self, number: u64) {
        let mut inner = self.inner.lock();
        if inner.roll.take_back(number) {
            self.reconcile(&mut inner);
        }
    }

    /// Whether this claim still counts.
    pub(super) fn counts(&self, number: u64) -> bool {
        self.inner.lock().roll.wanted().any(|claim| claim.number == number)
    }

    // --------------------------------------------------------------------------------------------- the end

    /// Nobody is a member any more, and nobody becomes one: the program is ending.
    pub fn end(&self) {
        let mut inner = self.inner.lock();
        inner.ended = true;
        inner.contacts.clear();
        inner.ending.clear();
    }

    // --------------------------------------------------------------------------------------------- all alike

    fn claim(&self, source: Source, entry: Entry, incarnation: Option<u64>) -> Result<(u64, Arc<Standing>), NotAdded> {
        if self.shared.pools.of(&entry.service).is_none() {
            return Err(NotAdded::NotAllowed(format!("Nobody asks here for the service {}.", entry.service)));
        }
        if self.shared.pools.is_named(&entry.service, &entry.id) {
            return Err(NotAdded::Taken(named_already(&entry.id)));
        }
        let mut inner = self.inner.lock();
        if inner.ended {
            return Err(NotAdded::Ending);
        }
        let id = entry.id.clone();
        let Inner { roll, contacts, .. } = &mut *inner;
        let lives = |claim: &Claim| {
            let watched = contacts.get(&claim.entry.id);
            watched.is_some_and(|watched| watched.claim.is_same(claim) && watched.standing.is_believed())
        };
        let number = roll.add(source, entry, incarnation, lives).map_err(|denied| explain(&denied))?;
        self.reconcile(&mut inner);
        match inner.contacts.get(&id) {
            Some(watched) => Ok((number, Arc::clone(&watched.standing))),
            None => {
                inner.roll.take_back(number);
                self.reconcile(&mut inner);
                Err(NotAdded::NotBelieved { id, why: "the system gives no thread to speak to it".to_owned() })
            }
        }
    }

    /// Ends the contacts whose claim does not count any more, begins those that are new.
    fn reconcile(&self, inner: &mut Inner) {
        if inner.ended {
            return;
        }
        let wanted: Vec<Claim> = inner.roll.wanted().cloned().collect();
        let over = |watched: &Watched| !wanted.iter().any(|claim| claim.is_same(&watched.claim));
        inner.ending.retain(|_, contact| !contact.is_over());
        for (id, mut watched) in inner.contacts.extract_if(|_, watched| over(watched)) {
            watched.contact.stop();
            inner.ending.insert(id, watched.contact);
        }
        for claim in wanted {
            match inner.contacts.get_mut(&claim.entry.id) {
                Some(watched) => watched.claim = claim,
                None => self.begin(inner, claim),
            }
        }
        self.tell_passed_over(inner);
    }

    fn begin(&self, inner: &mut Inner, claim: Claim) {
        let id = claim.entry.id.clone();
        let standing = Arc::new(Standing::default());
        let before = inner.ending.remove(&id);
        match Contact::begin(&self.shared, claim.clone(), Arc::clone(&standing), before) {
            Ok(contact) => drop(inner.contacts.insert(id, Watched { claim, standing, contact })),
            Err(error) => self.shared.events.emit(|| Event::RegistryTrouble {
                why: format!("Server {id} cannot be watched, the system gives no thread: {error}."),
            }),
        }
    }

    /// Says, once for each, which entries of the file do not count.
    fn tell_passed_over(&self, inner: &mut Inner) {
        let passed: Vec<_> = inner.roll.passed_over().map(|(claim, by)| (claim.number, claim, by)).collect();
        for (_, claim, by) in passed.iter().filter(|(number, ..)| !inner.told.contains(number)) {
            let (entry, by) = (&claim.entry, &by.entry);
            let why = format!(
                "The registry's server {} at {} is passed over: server {} at {} has its id or address, and has joined.",
                entry.id, entry.address, by.id, by.address
            );
            self.shared.events.emit(|| Event::RegistryTrouble { why });
        }
        inner.told = passed.into_iter().map(|(number, ..)| number).collect();
    }
}

fn named_already(id: &str) -> String {
    format!("The load balancer's command line names a server {id}: another one needs another id.")
}

fn explain(denied: &Denied) -> NotAdded {
    match denied {
        Denied::Taken(claim) => {
            let Entry { id, address, .. } = &claim.entry;
            NotAdded::Taken(format!(
                "Server {id} at {address} has this id or this address, and lives. Choose another one, or end that server."
            ))
        }
        Denied::Removed => NotAdded::NotAllowed(
            "This server was removed by hand. It is welcome again when somebody adds it, or it is started anew."
                .to_owned(),
        ),
    }
}
