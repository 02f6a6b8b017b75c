//! Who keeps the servers of the table: starts them, finds out that one is gone, starts it again, and has it filled.
//!
//! **The problem.** Servers are many and slow: one takes seconds to start, another is stopped and answers nothing for 2 s, a third takes in a
//! copy for a minute. Who looks after all of them one after the other lets those wait that are quick.
//!
//! **The idea.** One thread (`shards`) decides, and never waits for an answer of a server or for a shard's lock. What takes time has a thread of its own, which says when it
//! is over ([`Word`]). After each word the keeper looks at everything anew, and does what is to be done:
//!
//! | what is seen | what is done | by |
//! |---|---|---|
//! | a file of a server that was removed | it is removed, unless that server still lives, or is just being started | – |
//! | a server of the map that does not live | it is started and told its shards | `shards-start-NAME` |
//! | a shard that is unsettled, and its servers are there | they are asked how far they are ([`settle`]) | `shards-settle` |
//! | a server that is out of step of a settled shard | it is filled ([`fill`](super::fill)) | `shards-fill-NAME` |
//! | a server that has all changes of all its shards | it is in service; who waits for that is told | – |
//!
//! Whether servers live is asked by the [`pulse`].

use super::{
    fill::fill,
    lock::Lock,
    pulse,
    server::Server,
    settle::{Open, settle},
    start::{Start, start},
    table::{Layout, Table},
};
use crate::{event::Event, replicas::Program};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use protocol::lifeline::Lifeline;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How often it looks without having heard anything.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long servers of an unsettled shard are waited for, before it goes on with those that are there.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server is waited with that has ended at once; twice as long each time that it does so again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long it is waited before unsettled shards are looked at again.
const SETTLE_AGAIN: Duration = Duration::from_millis(50);
/// The same when what came of it could not be written: a disk that is full is not empty in a moment.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// Who lives for so long is no false start.
const LIVED: Duration = Duration::from_secs(2);
/// How long somebody waits for new servers.
const COMING_TIME: Duration = Duration::from_secs(60);
/// How long servers that are just being started are waited for at the end.
const END_TIME: Duration = Duration::from_secs(1);

/// Who waits until servers are in service is told so, or which are not.
pub type Reply = Sender<Result<(), Vec<String>>>;

/// What the keeper is told.
#[derive(Debug)]
pub enum Word {
    /// There are new servers in the map. Somebody waits until these are in service.
    Await(Vec<String>, Reply),
    /// A server was started, or not.
    Started(String, Start),
    /// A server's process has ended.
    Lost(Arc<Server>),
    /// Unsettled shards were looked at: whether what came of it could be written down.
    Settled(bool),
    /// A server was filled: whether it has all changes of its shards now.
    Filled(String, bool),
    /// The load balancer ends.
    End,
}

/// A server that was started, and is not in service yet.
#[derive(Debug)]
struct Coming {
    began: Instant,
    /// Its shards' locks, and how many changes had begun there when it came: it may miss the one that was under way.
    before: Vec<(Arc<Lock>, u64)>,
}

/// Somebody who waits.
#[derive(Debug)]
struct Waiting {
    names: Vec<String>,
    until: Instant,
    reply: Reply,
}

/// The keeper.
pub struct Keeper {
    table: Arc<Table>,
    program: Program,
    /// What the servers hold on to.
    lifeline: Lifeline,
    heard: Receiver<Word>,
    /// Where others tell it.
    words: Sender<Word>,
    /// When each server that lives was started.
    started: HashMap<String, Instant>,
    /// Servers that are being started.
    starting: HashSet<String>,
    /// Servers that are not to be started before this time.
    due: HashMap<String, Instant>,
    /// How long servers were waited with that have not come, or ended at once.
    pauses: HashMap<String, Duration>,
    /// Since when servers of unsettled shards are waited for.
    unsettled: HashMap<String, Instant>,
    /// Whether some are being asked; and before when they are not asked again.
    settling: bool,
    settle_again: Option<Instant>,
    /// Servers that are being filled; and those for which that has failed just now.
    filling: HashSet<String>,
    unfilled: HashSet<String>,
    /// Before when it is not tried again to forget those whose files are gone.
    clear_again: Option<Instant>,
    /// Servers that were started, and are not in service yet.
    coming: HashMap<String, Coming>,
    waiting: Vec<Waiting>,
}

impl Keeper {
    /// A keeper of this table, which hears what is said there.
    #[must_use]
    pub fn new(
        table: Arc<Table>,
        program: Program,
        lifeline: Lifeline,
        (words, heard): (Sender<Word>, Receiver<Word>),
    ) -> Self {
        Self {
            table,
            program,
            lifeline,
            heard,
            words,
            started: HashMap::new(),
            starting: HashSet::new(),
            due: HashMap::new(),
            pauses: HashMap::new(),
            unsettled: HashMap::new(),
            settling: false,
            settle_again: None,
            filling: HashSet::new(),
            unfilled: HashSet::new(),
            clear_again: None,
            coming: HashMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Until the load balancer ends; then until all processes have ended.
    pub fn run(mut self) {
        let _pulse = pulse::begin(&self.table);
        let mut look = Instant::now() + LOOK_EVERY;
        loop {
            self.look();
            let next = self.due.values().copied().chain(self.settle_again).fold(look, Instant::min);
            match self.heard.recv_deadline(next) {
                Ok(Word::End) | Err(RecvTimeoutError::Disconnected) => return self.end(),
                Ok(word) => self.hear(word),
                Err(RecvTimeoutError::Timeout) if next < look => {}
                Err(RecvTimeoutError::Timeout) => {
                    look = Instant::now() + LOOK_EVERY;
                    self.unfilled.clear();
                }
            }
        }
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Await(names, reply) => {
                self.waiting.push(Waiting { names, until: Instant::now() + COMING_TIME, reply });
            }
            Word::Started(name, start) => self.has_started(&name, start),
            Word::Lost(server) => self.lost(&server),
            Word::Settled(written) => {
                let pause = if written { SETTLE_AGAIN } else { WRITE_AGAIN };
                (self.settling, self.settle_again) = (false, Some(Instant::now() + pause));
            }
            Word::Filled(name, well) => {
                self.filling.remove(&name);
                // One that failed is tried again, but not at once.
                if !well {
                    self.unfilled.insert(name);
                }
            }
            Word::End => {}
        }
    }

    fn look(&mut self) {
        let Some(layout) = self.table.layout() else { return };
        self.clear_away(Instant::now());
        self.start_missing(&layout);
        self.settle(&layout);
        self.fill(&layout);
        self.welcome(&layout);
        self.answer(&layout);
    }

    // -------------------------------------------------------------------------------------------- processes

    /// Removes the files of servers that were removed, where that is not done: the load balancer was killed in the middle of it, or the server was just
    /// being started. Before anything is started: one of the same name has no file yet.
    pub(super) fn clear_away(&mut self, now: Instant) {
        self.clear_again.take_if(|at| *at <= now);
        if self.clear_again.is_some() {
            return;
        }
        let going = self.table.state.lock().as_ref().map(|state| state.going.clone()).unwrap_or_default();
        let free = |name: &String| !self.starting.contains(name) && !self.table.servers.lock().contains_key(name);
        let gone: Vec<String> =
            going.into_iter().filter(|name| free(name) && self.table.file.clear_away(name)).collect();
        if !gone.is_empty() {
            let recorded = self.table.record(|state| state.going.retain(|name| !gone.contains(name)));
            self.clear_again = recorded.is_err().then_some(now + WRITE_AGAIN);
        }
    }

    fn start_missing(&mut self, layout: &Layout) {
        let now = Instant::now();
        self.due.retain(|name, at| *at > now && layout.map.servers.contains_key(name));
        let living: HashSet<String> = self.table.servers.lock().keys().cloned().collect();
        for name in layout.map.servers.keys() {
            if !living.contains(name) && !self.due.contains_key(name) && self.starting.insert(name.clone()) {
                self.start(name);
            }
        }
    }

    fn start(&mut self, name: &str) {
        let (table, program, lifeline) =
            (Arc::clone(&self.table), self.program.clone(), self.lifeline.address().clone());
        let (words, owned) = (self.words.clone(), name.to_owned());
        let act = move || {
            let told = words.clone();
            let lost = move |server| drop(told.send(Word::Lost(server)));
            let started = start(&table, &program, &lifeline, &owned, lost);
            let _ended = words.send(Word::Started(owned, started));
        };
        if thread::Builder::new().name(format!("shards-start-{name}")).spawn(act).is_err() {
            self.starting.remove(name);
            self.pause(name, "the system gives no thread to start it".to_owned());
        }
    }

    pub(super) fn has_started(&mut self, name: &str, Start { began, since, server }: Start) {
        self.starting.remove(name);
        let wanted = self.table.layout().and_then(|layout| layout.since(name));
        match server {
            Ok(server) if wanted.is_none() || wanted != since => {
                // It was removed meanwhile. If there is one of this name again, that is another one.
                server.kill();
                self.table.file.remove_data(name);
            }
            Ok(server) if server.has_ended() => self.pause(name, "its process has ended".to_owned()),
            Ok(server) => {
                self.started.insert(name.to_owned(), began);
                server.join(&self.table.pool);
                let pid = server.pid();
                self.table.events.emit(|| Event::ReplicaStarted { server: name.to_owned(), pid });
                self.table.servers.lock().insert(name.to_owned(), server);
                self.coming.insert(name.to_owned(), Coming { began, before: self.changes_of(name) });
            }
            Err(why) => {
                if wanted.is_none() || wanted != since {
                    // As above: what it has made before it failed is nobody's.
                    self.table.file.remove_data(name);
                }
                if wanted.is_some() {
                    self.pause(name, why);
                }
            }
        }
    }

    /// How many changes have begun in each shard of this server.
    fn changes_of(&self, name: &str) -> Vec<(Arc<Lock>, u64)> {
        let Some(layout) = self.table.layout() else { return Vec::new() };
        let shards = layout.map.servers.get(name).into_iter().flatten();
        shards.filter_map(|shard| layout.groups.get(shard)).map(|lock| (Arc::clone(lock), lock.begun())).collect()
    }

    fn lost(&mut self, server: &Arc<Server>) {
        {
            let mut servers = self.table.servers.lock();
            match servers.get(&server.name) {
                Some(there) if Arc::ptr_eq(there, server) => drop(servers.remove(&server.name)),
                _ => return,
            }
        }
        server.place().into_iter().for_each(|place| self.table.pool.leave(place));
        let lived = self.started.remove(&server.name).is_some_and(|since| since.elapsed() > LIVED);
        if !self.table.layout().is_some_and(|layout| layout.map.servers.contains_key(&server.name)) {
            self.pauses.remove(&server.name);
            return;
        }
        let why = "its process has ended".to_owned();
        if lived {
            self.pauses.remove(&server.name);
            self.start_after(&server.name, why, Duration::ZERO);
        } else {
            self.pause(&server.name, why);
        }
    }

    /// A server has not come, or has ended at once: it is started again after a while.
    fn pause(&mut self, name: &str, why: String) {
        let before = self.pauses.get(name);
        let pause = before.map_or(PAUSE, |before| LONGEST_PAUSE.min(*before * 2));
        self.pauses.insert(name.to_owned(), pause);
        self.start_after(name, why, pause);
    }

    fn start_after(&mut self, name: &str, why: String, pause: Duration) {
        let again_ms = Some(millis(pause));
        self.table.events.emit(|| Event::ReplicaLost { server: name.to_owned(), why, again_ms });
        self.due.insert(name.to_owned(), Instant::now() + pause);
    }

    // ------------------------------------------------------------------------------------------------ shards

    /// Has unsettled shards looked at whose servers are there, or were waited for long enough.
    fn settle(&mut self, layout: &Layout) {
        let now = Instant::now();
        let living: HashSet<String> = self.table.servers.lock().keys().cloned().collect();
        let mut ready = Vec::new();
        for (shard, lock) in &layout.groups {
            let seen = lock.seen();
            if seen.settled {
                self.unsettled.remove(shard);
                continue;
            }
            let since = *self.unsettled.entry(shard.clone()).or_insert(now);
            let last = now.duration_since(since) >= PATIENCE;
            let there = seen.in_step.iter().filter(|name| living.contains(*name)).count();
            if there == seen.in_step.len() || (last && there > 0) {
                ready.push(Open { shard: shard.clone(), lock: Arc::clone(lock), seen, last });
            }
        }
        self.settle_again.take_if(|at| *at <= now);
        if ready.is_empty() || self.settling || self.settle_again.is_some() {
            return;
        }
        let (table, words) = (Arc::clone(&self.table), self.words.clone());
        let act = move || {
            let written = settle(&table, &ready);
            let _ended = words.send(Word::Settled(written));
        };
        self.settling = thread::Builder::new().name("shards-settle".into()).spawn(act).is_ok();
    }

    /// Whoever lives and is out of step of one of its shards is filled.
    fn fill(&mut self, layout: &Layout) {
        for (name, shards) in &layout.map.servers {
            if self.filling.contains(name) || self.unfilled.contains(name) {
                continue;
            }
            let Some(server) = self.table.servers.lock().get(name).map(Arc::clone) else { continue };
            let behind = |shard: &&String| {
                let seen = layout.groups.get(*shard).map(|lock| lock.seen());
                seen.is_some_and(|seen| seen.settled && !seen.in_step.contains(name))
            };
            let behind: Vec<_> = shards.iter().filter(behind).collect();
            let locks = behind.into_iter().filter_map(|id| Some((id.clone(), Arc::clone(layout.groups.get(id)?))));
            let locks: Vec<_> = locks.collect();
            if locks.is_empty() {
                continue;
            }
            let (table, words, to) = (Arc::clone(&self.table), self.words.clone(), name.clone());
            let act = move || {
                let well = fill(&table, &locks, &server);
                let _ended = words.send(Word::Filled(to, well));
            };
            if thread::Builder::new().name(format!("shards-fill-{name}")).spawn(act).is_ok() {
                self.filling.insert(name.clone());
            }
        }
    }

    /// Tells of those that have everything now.
    fn welcome(&mut self, layout: &Layout) {
        let here: HashSet<String> = self.table.servers.lock().keys().cloned().collect();
        let events = &self.table.events;
        self.coming.retain(|name, Coming { began, before }| {
            let over = before.iter().all(|(lock, begun)| lock.are_over(*begun));
            let ready = over && here.contains(name) && layout.is_in_step(name);
            if ready {
                let (server, after_ms) = (name.clone(), millis(began.elapsed()));
                events.emit(|| Event::ReplicaInService { server, after_ms });
            }
            !ready && layout.map.servers.contains_key(name)
        });
    }

    /// Answers those who wait, when what they wait for is there, or has taken too long. A server that was removed meanwhile is not waited for.
    fn answer(&mut self, layout: &Layout) {
        let now = Instant::now();
        let here: HashSet<String> = self.table.servers.lock().keys().cloned().collect();
        let coming = &self.coming;
        self.waiting.retain(|Waiting { names, until, reply }| {
            let in_service =
                |name: &String| here.contains(name) && !coming.contains_key(name) && layout.is_in_step(name);
            let missing = |name: &&String| layout.map.servers.contains_key(*name) && !in_service(name);
            let missing: Vec<String> = names.iter().filter(missing).cloned().collect();
            let over = missing.is_empty() || *until <= now;
            if over {
                let _gone = reply.try_send(if missing.is_empty() { Ok(()) } else { Err(missing) });
            }
            !over
        });
    }

    /// Lets all go, and waits until they are gone.
    fn end(mut self) {
        drop(self.lifeline);
        let servers: Vec<Arc<Server>> = self.table.servers.lock().drain().map(|(_, server)| server).collect();
        servers.iter().for_each(|server| server.kill());
        let until = Instant::now() + END_TIME;
        while !self.starting.is_empty() {
            match self.heard.recv_deadline(until) {
                Ok(Word::Started(name, start)) => {
                    start.server.iter().for_each(|server| server.kill());
                    self.starting.remove(&name);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
