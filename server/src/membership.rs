//! Being in `servers.json`: claiming the id, staying in the list, leaving it.
//!
//! An entry says where a server was, perhaps a week ago. So before a server takes an id, it asks at the entry's control
//! port who is there; and while it runs it looks whether its own entry is still in the file, because somebody may have
//! emptied it by hand, as courses used to demand.

use protocol::{
    handshake::who_is_there,
    limits::CONTROL_TIME,
    output::{say, warn},
    registry::{Change, Entry, POLL_EVERY, Reading, Registry, RegistryError, Watcher},
    stop::Stop,
};
use std::{io, net::SocketAddr, thread};

/// Why a server cannot have its id.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another one has it, and lives.
    #[error("Server {id} runs already, at {address} ({process}). Choose another id, or end that one.", id = .0.id, address = .0.address, process = process(.0))]
    Taken(Box<Entry>),
    /// Another one has it, accepts connections, and does not answer.
    #[error(
        "The registry names a server {id} at {address} ({process}), which neither answers nor is gone: it may be stopped. \
         End it, choose another id, or remove its entry.", id = .0.id, address = .0.address, process = process(.0)
    )]
    Silent(Box<Entry>),
    /// The registry cannot be read or written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

fn process(entry: &Entry) -> String {
    entry.pid.map_or_else(|| "its process number is not known".into(), |pid| format!("process {pid}"))
}

/// What stands behind an entry.
enum Behind {
    /// The server that the entry says, alive.
    Alive,
    /// Certainly not that server.
    Gone,
    /// Something that does not answer in time.
    Silent,
}

fn behind(entry: &Entry) -> Behind {
    match who_is_there(entry.control, CONTROL_TIME) {
        Ok(identity) if identity.id == entry.id && identity.address.port() == entry.address.port() => Behind::Alive,
        // Somebody else answers there, or speaks something else.
        Ok(_) => Behind::Gone,
        Err(error) if error.is_refused() => Behind::Gone,
        Err(protocol::handshake::HandshakeError::Wire(error)) if error.is_protocol_violation() => Behind::Gone,
        Err(_) => Behind::Silent,
    }
}

/// Makes sure that no other server has this id.
///
/// # Errors
/// [`ClaimError`], with what to do.
pub(crate) fn claim(registry: &Registry, id: &str) -> Result<(), ClaimError> {
    // What cannot be read here is put right, or told, when the entry is written.
    let Ok(reading) = registry.read() else { return Ok(()) };
    let Some(entry) = reading.find(id) else { return Ok(()) };
    match behind(entry) {
        Behind::Alive => Err(ClaimError::Taken(Box::new(entry.clone()))),
        Behind::Silent => Err(ClaimError::Silent(Box::new(entry.clone()))),
        Behind::Gone => {
            say!("The registry still names a server {id} at {}, which is gone: its entry is replaced.", entry.address);
            Ok(())
        }
    }
}

/// A server's entry, kept in the registry by the thread "membership" until [`Membership::leave`].
pub(crate) struct Membership {
    registry: Registry,
    entry: Entry,
    /// Ends the thread.
    end: Stop,
    thread: Option<thread::JoinHandle<()>>,
}

impl Membership {
    /// Writes the entry and keeps it there. If another living server takes the id all the same, `server` is drained.
    pub(crate) fn join(registry: &Registry, entry: Entry, server: Stop) -> Result<Self, JoinError> {
        tell(&registry.register(&entry)?);
        let end = Stop::new();
        let keeper = Keeper { registry: registry.clone(), entry: entry.clone(), end: end.clone(), server };
        let thread = thread::Builder::new().name("membership".into()).spawn(move || keeper.keep())?;
        Ok(Self { registry: registry.clone(), entry, end, thread: Some(thread) })
    }

    /// Takes the entry out.
    pub(crate) fn leave(&mut self) {
        self.end.drain();
        let Some(thread) = self.thread.take() else { return };
        // It ends within the time of one look, and nothing in it can panic; either way the entry goes.
        let _ended = thread.join();
        if let Err(error) = self.registry.unregister(&self.entry.id, self.entry.address, self.entry.pid) {
            warn!("The entry of server {} could not be removed: {error}", self.entry.id);
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Why a server cannot become a member.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The registry cannot be written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The load balancer refuses, and would refuse again.
    #[error("The load balancer at {balancer} does not let this server join: {why}")]
    Refused {
        /// Its registration port.
        balancer: SocketAddr,
        /// Why.
        why: String,
    },
    /// No thread can be had.
    #[error("The thread that keeps this server a member cannot be started: {0}.")]
    Thread(#[from] io::Error),
}

fn tell(change: &Change) {
    if let Some(aside) = &change.saved_aside {
        warn!(
            "The registry could not be understood. Its content was saved as {}, and a new list begun.",
            aside.display()
        );
    }
}

/// What the thread "membership" works with.
struct Keeper {
    registry: Registry,
    entry: Entry,
    end: Stop,
    server: Stop,
}

impl Keeper {
    /// Looks four times a second whether the entry is there. Blocks in the wait between, takes the registry's lock
    /// file when it must write, and ends when the membership does.
    fn keep(&self) {
        let mut watcher = Watcher::new(self.registry.clone());
        let mut failed = false;
        while !self.end.wait_timeout(POLL_EVERY) {
            let missing = match watcher.changed() {
                Some(Ok(reading)) => self.is_missing(&reading),
                Some(Err(_)) => true,
                None => failed,
            };
            if missing {
                failed = self.put_back(failed).is_err();
            }
        }
    }

    fn is_missing(&self, reading: &Reading) -> bool {
        match reading.find(&self.entry.id) {
            Some(entry) if entry.is_same_process(&self.entry) => false,
            Some(other) => !self.gives_way_to(other),
            None => true,
        }
    }

    /// Two servers that started with one id in the same moment have both found it free. The one whose entry was
    /// replaced by a living server's ends; otherwise they would replace each other for ever.
    fn gives_way_to(&self, other: &Entry) -> bool {
        let alive = matches!(behind(other), Behind::Alive);
        if alive && !self.server.is_set() {
            let (id, address) = (&other.id, other.address);
            warn!(
                "Another server {id} has started at {address} and taken the id. This one ends; choose another id for it."
            );
            self.server.drain();
        }
        alive
    }

    fn put_back(&self, failed_before: bool) -> Result<(), RegistryError> {
        let put = self.registry.register(&self.entry);
        match &put {
            Ok(change) => {
                tell(change);
                say!("The entry of server {} was missing in the registry and is there again.", self.entry.id);
            }
            Err(error) if !failed_before => warn!("{error}"),
            Err(_) => {}
        }
        put.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{deadline::Deadline, registry::LAB};
    use std::{net::TcpListener, time::Duration};

    const LONG: Duration = Duration::from_secs(20);

    fn entry(id: &str, port: u16) -> Entry {
        Entry {
            id: id.into(),
            address: ([127, 0, 0, 1], port).into(),
            service: LAB.into(),
            processing_time: 0.1,
            capacity: 1,
            control: ([127, 0, 0, 1], port).into(),
            pid: Some(std::process::id()),
        }
    }

    fn registry() -> (tempfile::TempDir, Registry) {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::new(folder.path().join("servers.json"));
        (folder, registry)
    }

    /// A port that nobody listens on any more.
    fn dead_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn an_entry_that_nobody_is_behind_does_not_block_the_id() {
        let (_folder, registry) = registry();
        claim(&registry, "1").unwrap();
        registry.register(&entry("1", dead_port())).unwrap();
        claim(&registry, "1").unwrap();
    }

    #[test]
    fn an_entry_behind_which_somebody_is_silent_blocks_it() {
        let (_folder, registry) = registry();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        registry.register(&entry("1", silent.local_addr().unwrap().port())).unwrap();
        let error = claim(&registry, "1").unwrap_err();
        assert!(matches!(error, ClaimError::Silent(_)) && error.to_string().contains("End it"), "{error}");
        claim(&registry, "2").unwrap();
    }

    #[test]
    fn an_entry_that_was_deleted_by_hand_comes_back_and_is_taken_out_at_the_end() {
        let (_folder, registry) = registry();
        let mut membership = Membership::join(&registry, entry("1", dead_port()), Stop::new()).unwrap();
        assert!(registry.read().unwrap().find("1").is_some());
        for content in ["[]", "", "[{\"id\": \"1\"}]", "half writ"] {
            std::fs::write(registry.path(), content).unwrap();
            let until = Deadline::after(LONG);
            while registry.read().map_or(true, |reading| reading.find("1").is_none()) {
                assert!(!until.has_passed(), "the entry did not come back after {content:?}");
                thread::yield_now();
            }
        }
        membership.leave();
        assert!(registry.read().unwrap().entries.is_empty());
    }
}
