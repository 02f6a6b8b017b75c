//! The thread that is there for one server: believes it, asks it whether it lives, and what it is doing.
//!
//! **Belief.** An entry in a file is a claim. The server joins the pool only after the process at its control port
//! has said the same: id, address, service. A stranger there (the port was taken by another program) is explained,
//! once, and gets no work. Where nobody listens any more on this machine, the process is surely gone, and the entry
//! is removed, so that nobody has to clean `servers.json` by hand.
//!
//! **Life.** Each server is asked in turn (`--check`, a *probe* a second); the rules, and how soon they find what, are in
//! [`check`](crate::health::check). A stopped process (SIGSTOP) keeps its connections open and accepts new ones, in the
//! kernel: only an answer proves life. A closed connection proves the contrary at once, with the next probe, and the
//! loss of a request calls for that one immediately. A server that was down is up after `rise` good probes, of which
//! the handshake is the first; one that joins has no past that speaks against it, and is up after its handshake.
//!
//! **Doubt.** When an answer was lost, the pool wants to know what the server is doing: the answer to a probe says how
//! many requests it serves. Until then it gets nothing.

use super::{
    Membership,
    roll::{Claim, Source},
    standing::Standing,
};
use crate::{
    event::Event,
    health::{Check, Probes, Verdict},
    pool::{Pool, Server, State},
};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, never, select};
use protocol::{
    deadline::Phase,
    flags::MAX_PROCESSING_TIME,
    handshake::{Control, HandshakeError},
    limits::CONTROL_TIME,
    message::{Alive, Identity},
    wire::WireError,
};
use std::{
    convert::Infallible,
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long after a failed handshake the next one is tried.
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// How soon a server is asked again while it is in doubt.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How often in a row nobody may have listened before the entry is removed: a server that is just being restarted
/// on the same port gets the time between two tries.
const SURELY_GONE: u32 = 2;
/// After how many further tries an entry that could not be removed is removed again.
const REMOVE_EVERY: u32 = 40;

/// A running contact. Dropping it ends its thread, which takes the server out of the pool.
#[derive(Debug)]
pub struct Contact {
    /// Nothing, once it has been told to end.
    end: Option<Sender<Infallible>>,
    thread: JoinHandle<()>,
}

impl Contact {
    /// Begins speaking to the server of this claim, in a thread of its own, which tells what it finds out to `standing`.
    /// `before` is the contact of the same id that this one replaces: its thread is waited for, so that no server is ever
    /// in the pool twice.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn begin(
        membership: &Arc<Membership>,
        claim: Claim,
        standing: Arc<Standing>,
        before: Option<Self>,
    ) -> io::Result<Self> {
        let pool = membership.pools.of(&claim.entry.service).map(Arc::clone);
        let pool = pool.ok_or_else(|| io::Error::other("nobody asks for its service here"))?;
        let (end, ended) = bounded(0);
        let (ask, asked) = bounded(1);
        let name = format!("contact-{}", claim.entry.id);
        let (membership, probes) = (Arc::clone(membership), Probes::new(&membership.check));
        let speaker = Speaker { membership, pool, claim, standing, ask, asked, ended, server: None, probes };
        let thread = thread::Builder::new().name(name).spawn(move || {
            if let Some(before) = before {
                before.end();
            }
            if speaker.ended.try_recv() != Err(TryRecvError::Disconnected) {
                speaker.speak();
            }
        })?;
        Ok(Self { end: Some(end), thread })
    }

    /// Tells the thread to end, without waiting for it.
    pub fn stop(&mut self) {
        self.end = None;
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the thread and waits for its end: until the question that it has just asked is answered, or is over.
    fn end(mut self) {
        self.stop();
        let _panicked = self.thread.join();
    }
}

struct Speaker {
    membership: Arc<Membership>,
    /// The pool for its service.
    pool: Arc<Pool>,
    claim: Claim,
    standing: Arc<Standing>,
    ask: Sender<()>,
    asked: Receiver<()>,
    ended: Receiver<Infallible>,
    server: Option<Arc<Server>>,
    /// What its probes have said.
    probes: Probes,
}

/// Why the conversation with a server is over.
enum Over {
    /// The entry is gone, or the program ends.
    Ended,
    /// The server does not answer.
    Silent(String),
}

impl Speaker {
    fn speak(mut self) {
        let mut nobody = 0;
        let mut told = None;
        loop {
            match self.meet() {
                Ok((mut control, server)) => {
                    (nobody, told) = (0, None);
                    self.standing.believed();
                    match self.converse(&mut control, &server) {
                        Over::Ended => break,
                        Over::Silent(why) => {
                            self.standing.not(&why);
                            self.pool.down(&server, &why);
                        }
                    }
                }
                Err(stranger) => {
                    let _down_before = self.probes.bad();
                    self.server.iter().for_each(|server| server.statistics.probes_failed.add_one());
                    nobody = if stranger.nobody_listens { nobody + 1 } else { 0 };
                    self.not_believed(&stranger.why, &mut told);
                    if nobody % REMOVE_EVERY == SURELY_GONE && self.claim.entry.control.ip().is_loopback() {
                        self.remove_entry(&stranger.why);
                    }
                }
            }
            if self.wait(RETRY_EVERY, &never()) {
                break;
            }
        }
        if let Some(server) = &self.server {
            self.pool.leave(server);
        }
    }

    /// Connects, and compares who is there with who should be. A process that was met before is the same server;
    /// another one is a new server under the old id.
    fn meet(&mut self) -> Result<(Control, Arc<Server>), Stranger> {
        let mut control = Control::connect(self.claim.entry.control, CONTROL_TIME).map_err(Stranger::from)?;
        let identity = control.identify_with(self.membership.token.as_ref(), CONTROL_TIME).map_err(Stranger::from)?;
        let pool = Arc::clone(&self.pool);
        let agreed = disagreement(&self.claim, &identity).map_or(Ok(()), Err).and_then(|()| pool.admit(&identity));
        agreed.map_err(|why| Stranger { why, nobody_listens: false })?;
        let serving = control.heartbeat(CONTROL_TIME).map_err(Stranger::from)?.active;
        let server = match self.server.take() {
            Some(known) if known.incarnation == identity.incarnation => {
                let _enough = self.probes.good();
                known
            }
            other => {
                other.into_iter().for_each(|old| pool.leave(&old));
                self.probes = Probes::new(&self.membership.check);
                pool.join(&identity, serving, self.ask.clone())
            }
        };
        self.server = Some(Arc::clone(&server));
        Ok((control, server))
    }

    /// Probes, until the server falls silent or the contact ends.
    fn converse(&mut self, control: &mut Control, server: &Server) -> Over {
        // The handshake was a probe. Where it takes more of them, they are not asked in one breath.
        if !self.probes.is_up() && self.wait(self.probes.next_in(), &self.asked) {
            return Over::Ended;
        }
        loop {
            let doubts = self.pool.doubts(server);
            let doubt = match control.heartbeat(self.membership.check.timeout) {
                Ok(alive) if alive.incarnation != server.incarnation => {
                    return self.gone("another process has taken its place.");
                }
                Ok(alive) => self.answered(server, &alive, doubts),
                Err(HandshakeError::Wire(WireError::Timeout { phase: Phase::Answer, .. })) => {
                    server.statistics.probes_failed.add_one();
                    match self.unanswered(server) {
                        Ok(doubt) => doubt,
                        Err(over) => return over,
                    }
                }
                Err(error) => {
                    server.statistics.probes_failed.add_one();
                    return self.gone(&format!("its check failed. {error}"));
                }
            };
            let next = self.probes.next_in();
            if self.wait(if doubt { ASK_AGAIN.min(next) } else { next }, &self.asked) {
                return Over::Ended;
            }
        }
    }

    /// A good probe. Returns whether the server is in doubt.
    fn answered(&mut self, server: &Server, alive: &Alive, doubts: u64) -> bool {
        let _enough = self.probes.good();
        if alive.draining {
            self.pool.drain(server);
            return false;
        }
        self.probes.is_up() && self.pool.settle(server, alive.active, doubts)
    }

    /// A bad probe. Returns whether the server is in doubt, if it is not down.
    fn unanswered(&mut self, server: &Server) -> Result<bool, Over> {
        let doubt = self.pool.state(server) != Some(State::Up);
        let (was_up, before) = (self.probes.is_up(), self.probes.against());
        let verdict = if doubt { self.probes.bad_in_doubt() } else { self.probes.bad() };
        // Who is down already gets a new connection: perhaps that one is answered.
        if was_up && verdict != Some(Verdict::Down) {
            return Ok(doubt);
        }
        let bad = if was_up { before + 1 } else { 1 };
        Err(Over::Silent(silence(bad, doubt && was_up, &self.membership.check)))
    }

    /// What cannot be a slip: the server is down at once.
    fn gone(&mut self, why: &str) -> Over {
        let _down = self.probes.gone();
        Over::Silent(why.to_owned())
    }

    /// Waits until it is time for the next question, somebody wants it asked now, or the contact ends (true).
    fn wait(&self, period: Duration, asked: &Receiver<()>) -> bool {
        select! {
            recv(self.ended) -> _ => true,
            recv(asked) -> _ => false,
            default(period) => false,
        }
    }

    /// Tells why the server at this address gets no requests: once for each reason.
    fn not_believed(&self, why: &str, told: &mut Option<String>) {
        self.standing.not(why);
        if let Some(server) = &self.server {
            self.pool.down(server, why);
        } else if told.as_deref() != Some(why) {
            *told = Some(why.to_owned());
            let (server, address) = (self.claim.entry.id.clone(), self.claim.entry.address);
            self.membership.events.emit(|| Event::ServerNotBelieved { server, address, why: why.to_owned() });
        }
    }

    fn remove_entry(&self, why: &str) {
        if self.claim.source != Source::File {
            return;
        }
        let (server, address) = (self.claim.entry.id.clone(), self.claim.entry.address);
        match self.membership.registry.remove_if_same(&self.claim.entry) {
            Ok(change) if change.removed.is_empty() => {}
            Ok(_) => self.membership.events.emit(|| Event::EntryRemoved {
                server,
                address,
                why: format!("nobody listens there any more. {why}"),
            }),
            Err(error) => self.membership.events.emit(|| Event::RegistryTrouble { why: error.to_string() }),
        }
    }
}

/// Why a server is down whose probes were not answered.
fn silence(bad: u32, doubt: bool, check: &Check) -> String {
    let first = if doubt { "the answer to a request was lost, and then " } else { "" };
    let probes = if bad == 1 { "a probe was".to_owned() } else { format!("{bad} probes in a row were") };
    format!("its check failed: {first}{probes} not answered within {:?}.", check.timeout)
}

/// Why who answers, if anybody, is not the server of the entry.
struct Stranger {
    why: String,
    nobody_listens: bool,
}

impl From<HandshakeError> for Stranger {
    fn from(error: HandshakeError) -> Self {
        Self { nobody_listens: error.is_refused(), why: error.to_string() }
    }
}

/// In what the process at the control port and the claim disagree.
fn disagreement(claim: &Claim, identity: &Identity) -> Option<String> {
    let entry = &claim.entry;
    if identity.id != entry.id {
        return Some(format!("its control port {} answers as server {}", entry.control, identity.id));
    }
    if identity.address != entry.address {
        return Some(format!("its entry has it at {}, and it says it is at {}", entry.address, identity.address));
    }
    if !(0.0..=MAX_PROCESSING_TIME).contains(&identity.processing_time) {
        return Some(format!("it says that it takes {} seconds for a request", identity.processing_time));
    }
    if identity.service != entry.service {
        return Some(format!("its entry has it as service {}, and it says {}", entry.service, identity.service));
    }
    if claim.incarnation.is_some_and(|joined| joined != identity.incarnation) {
        return Some("its control port answers as another process than the one that has joined".to_owned());
    }
    None
}
