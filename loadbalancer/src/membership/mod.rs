//! Where the servers of the pool come from, and whether they live.
//!
//! One thread ("registry") looks at `servers.json` four times a second. For each entry it keeps a thread of its own
//! ([`contact`]), which speaks to that server's control port: a server that hangs holds up nobody but the thread
//! that is there for it.

pub mod contact;

use crate::{
    event::{Event, Events},
    pool::Pool,
};
use contact::Contact;
use protocol::{
    registry::{Entry, LAB, POLL_EVERY, Reading, Registry, Watcher},
    stop::Stop,
};
use std::{collections::HashMap, sync::Arc};

/// What the threads of the membership share.
#[derive(Debug)]
pub struct Membership {
    /// Where servers join and leave.
    pub pool: Arc<Pool>,
    /// Where they register.
    pub registry: Registry,
    /// Where what happens is told.
    pub events: Events,
}

/// Follows the registry until the program ends (thread "registry").
pub fn follow(membership: &Arc<Membership>, stop: &Stop) {
    let mut watcher = Watcher::new(membership.registry.clone());
    let mut contacts: HashMap<String, (Entry, Contact)> = HashMap::new();
    loop {
        match watcher.changed() {
            Some(Ok(reading)) => reconcile(membership, &mut contacts, &reading),
            Some(Err(error)) => membership.events.emit(|| Event::RegistryTrouble { why: error.to_string() }),
            None => {}
        }
        if stop.wait_timeout(POLL_EVERY) {
            return;
        }
    }
}

/// Ends the contacts whose entry is gone or names another process now, begins those that are new.
fn reconcile(membership: &Arc<Membership>, contacts: &mut HashMap<String, (Entry, Contact)>, reading: &Reading) {
    for rejected in &reading.rejected {
        let why = format!("An entry of the registry is passed over: {} ({})", rejected.why, rejected.text);
        membership.events.emit(|| Event::RegistryTrouble { why });
    }
    let wanted: Vec<&Entry> = reading.entries.iter().filter(|entry| entry.service == LAB).collect();
    let mut gone: HashMap<String, (Entry, Contact)> =
        contacts.extract_if(|_, (entry, _)| !wanted.iter().any(|other| other.is_same_process(entry))).collect();
    for entry in wanted {
        if !contacts.contains_key(&entry.id) {
            let before = gone.remove(&entry.id).map(|(_, contact)| contact);
            match Contact::begin(membership, entry.clone(), before) {
                Ok(contact) => drop(contacts.insert(entry.id.clone(), (entry.clone(), contact))),
                Err(error) => membership.events.emit(|| Event::RegistryTrouble {
                    why: format!("Server {} cannot be watched, the system gives no thread: {error}.", entry.id),
                }),
            }
        }
    }
}
