//! The thread `replicas`: hears what happens, takes the [roster](super::roster)'s steps one after the other, and does what they say.

use super::{
    SERVICE,
    order::{Order, Refusal},
    process::Process,
    program::Program,
    retire::retire,
    roster::{Act, Key, Roster},
};
use crate::{
    event::{Event, Events},
    membership::Members,
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use protocol::lifeline::Lifeline;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long processes may take to end by themselves when the load balancer ends.
const END_TIME: Duration = Duration::from_secs(2);
/// How long they may take when they were killed.
const KILL_TIME: Duration = Duration::from_secs(1);

/// Who waits for an answer.
pub type Reply = Sender<Result<Vec<String>, Refusal>>;

/// What the thread is told.
#[derive(Debug)]
pub enum Word {
    /// Somebody wants the list.
    List(Reply),
    /// Somebody wants more.
    Add(Order, Reply),
    /// Somebody wants fewer.
    Remove(Order, Reply),
    /// A process is in service.
    Serving(Key),
    /// A process has ended, or is as good as that, and why.
    Lost(Key, String),
    /// A person has removed a server from the pool.
    Removed(Key),
    /// A process has ended.
    Gone(Key),
    /// The load balancer ends.
    End,
}

/// What the thread works with.
pub struct Shell {
    /// Which replicas there should be.
    pub roster: Roster,
    /// How they are started.
    pub program: Program,
    /// The processing time of each.
    pub processing_time: f64,
    /// What they hold on to.
    pub lifeline: Lifeline,
    /// Where they become servers.
    pub members: Arc<Members>,
    /// Where what happens is told.
    pub events: Events,
    /// What it hears.
    pub heard: Receiver<Word>,
    /// Where others tell it.
    pub words: Sender<Word>,
    /// The processes that have not ended.
    pub processes: HashMap<Key, Process>,
    /// Those who wait for replicas that they have added.
    pub waiting: HashMap<Key, Reply>,
    /// When it began.
    pub begun: Instant,
}

impl Shell {
    /// Until the load balancer ends; then until all processes have ended.
    pub fn run(mut self, first: Vec<Act>) {
        self.act(first);
        loop {
            match self.next() {
                Ok(Word::End) => return self.end(),
                Ok(word) => self.hear(word),
                Err(RecvTimeoutError::Timeout) => {
                    let (now, members) = (self.now(), Arc::clone(&self.members));
                    let acts = self.roster.tick(&|id| members.has(SERVICE, id), now);
                    self.act(acts);
                }
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    fn next(&self) -> Result<Word, RecvTimeoutError> {
        match self.roster.next_due() {
            Some(due) => self.heard.recv_deadline(self.begun + due),
            None => self.heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn hear(&mut self, word: Word) {
        let (now, members) = (self.now(), Arc::clone(&self.members));
        let taken = |id: &str| members.has(SERVICE, id);
        let acts = match word {
            Word::List(reply) => {
                answer(&reply, Ok(self.roster.names()));
                Vec::new()
            }
            Word::Add(order, reply) => match self.roster.add(&order, &taken, now) {
                Ok((key, acts)) => {
                    self.waiting.insert(key, reply);
                    acts
                }
                Err(refusal) => {
                    answer(&reply, Err(refusal));
                    Vec::new()
                }
            },
            Word::Remove(order, reply) => match self.roster.remove(&order) {
                Ok((names, acts)) => {
                    // Whoever has the answer finds that they get nothing new.
                    self.act(acts);
                    answer(&reply, Ok(names));
                    Vec::new()
                }
                Err(refusal) => {
                    answer(&reply, Err(refusal));
                    Vec::new()
                }
            },
            Word::Serving(key) => self.roster.serving(key, now),
            Word::Lost(key, why) => self.roster.lost(key, &why, &taken, now),
            Word::Removed(key) => self.roster.removed(key, &taken, now),
            Word::Gone(key) => {
                self.roster.gone(key);
                self.processes.remove(&key);
                Vec::new()
            }
            Word::End => Vec::new(),
        };
        self.act(acts);
    }

    fn act(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Start(key, id) => self.start(key, &id),
                Act::Kill(key) => self.processes.get(&key).into_iter().for_each(Process::kill),
                Act::Retire(key) => {
                    if let Some(process) = self.processes.get(&key) {
                        retire(process.clone(), &self.members);
                    }
                }
                Act::Tell(event) => self.events.emit(|| event),
                Act::Answer(key, told) => {
                    if let Some(reply) = self.waiting.remove(&key) {
                        answer(&reply, told);
                    }
                }
            }
        }
    }

    fn start(&mut self, key: Key, id: &str) {
        // Another one of its order could not be started, a moment ago: the list of acts is older than that.
        if !self.roster.is_starting(key) {
            return self.roster.gone(key);
        }
        let command = self.program.command(id, self.processing_time, self.lifeline.address(), &[]);
        match Process::start(key, id, command, &self.members, &self.words) {
            Ok(process) => {
                let pid = process.pid();
                self.events.emit(|| Event::ReplicaStarted { server: id.to_owned(), pid });
                self.processes.insert(key, process);
            }
            // Not by a word: nobody else empties the queue.
            Err(error) => {
                self.hear(Word::Lost(key, format!("it cannot be started: {error}")));
                self.hear(Word::Gone(key));
            }
        }
    }

    /// Lets all go, and waits until they are gone.
    fn end(self) {
        let Self { lifeline, mut processes, heard, .. } = self;
        drop(lifeline);
        until_gone(&heard, &mut processes, Instant::now() + END_TIME);
        processes.values().for_each(Process::kill);
        until_gone(&heard, &mut processes, Instant::now() + KILL_TIME);
    }
}

fn until_gone(heard: &Receiver<Word>, processes: &mut HashMap<Key, Process>, until: Instant) {
    while !processes.is_empty() {
        match heard.recv_deadline(until) {
            Ok(Word::Gone(key)) => drop(processes.remove(&key)),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn answer(reply: &Reply, told: Result<Vec<String>, Refusal>) {
    // There is room for the one answer; who does not wait any more does not need it.
    let _nobody_waits = reply.try_send(told);
}

#[cfg(test)]
mod tests;
