//! Replicas: servers that the load balancer starts itself, and replaces when they are lost, so that there are always N.
//!
//! **The problem.** A load balancer that is told who its servers are can leave out a dead one, and then has one server less until
//! somebody comes. In the coursework nobody noticed at all: behind a killed replica a fifth to a third of all requests failed for ever.
//!
//! **The idea.** Who starts a process learns at once that it has ended. So the load balancer is the parent of its servers
//! (`--replicas 3`). The child says on a pipe where it is; the load balancer does its usual handshake with it, and it is in service, without a
//! file that anybody polls. When the pipe ends, the child has: another one is started in the same millisecond. A child that
//! hangs says nothing by itself: the checks that every server gets (`--check`) find it down, and then it is killed and replaced, too.
//!
//! ```text
//! shell ──start──▶ process ──"I am server 645213 at 127.0.0.1:41234, control 41235"──▶ replica-645213 ──▶ members
//!   ▲                 ✝ kill -9: the pipe ends                                              │               │
//!   └───────────────── lost ◀───────────────────────────────────────────────────────────────┘   handshake, checks
//!   └───────────────── in service, or down: lost ◀──────────────────────────────────────────────────────────┘
//! ```
//!
//! | file      | what is in it                                                              |
//! |-----------|----------------------------------------------------------------------------|
//! | [`names`] | what replicas are called (pure)                                            |
//! | [`order`] | the bodies of `/add` and `/rm`, and the answers to the byte (pure)         |
//! | [`pace`]  | how soon a lost one is replaced; crash loops (pure)                        |
//! | [`roster`]| which replicas there should be, and what is to be done for it (pure)       |
//! | `program`, `process` | what is started, and the thread that is there for each process  |
//! | `retire`  | how one that was removed ends                                              |
//! | `shell`   | the thread that takes the steps and does what they say                     |
//!
//! | thread       | role                              | blocks on               | locks it takes | what stops it         |
//! |--------------|-----------------------------------|-------------------------|----------------|-----------------------|
//! | `replicas`   | keeps N replicas                  | its queue, the next due | pool, members  | end of the program    |
//! | `replica-ID` | one process                       | its pipe                | members        | the process' end      |
//! | `retire-ID`  | lets a removed one finish         | a look at the pool      | pool, members  | the process' end      |
//! | `lifeline`   | has the children end with us      | `accept`                | –              | end of the program    |
//!
//! **After a crash of the load balancer** nobody is left behind: each child holds on to its [lifeline](protocol::lifeline).
//!
//! **When it is wrong.** All replicas are on one machine, and end with the load balancer. Who can reach the HTTP port can start and end
//! processes: as many as [`MAX_REPLICAS`], of one program, and no page of another site can (`Host`, `Origin`), but that is all; do not open such a port
//! to a network. A process that lives and fails every request is kept (see [`outlier`](crate::health::outlier)).
//!
//! **Production.** A supervisor does this (systemd's `Restart=always`, Erlang/OTP's `one_for_one`), and Kubernetes' ReplicaSet for
//! many machines: a number that is wanted, a loop that compares, and a back-off for what dies at once.
//!
//! Sources: J. Armstrong, *Making reliable distributed systems in the presence of software errors*, 2003, ch. 5; Kubernetes, "ReplicaSet".

pub mod names;
pub mod order;
pub mod pace;
pub mod roster;
pub mod flags;
mod program;
mod process;
mod retire;
mod shell;

pub use self::{flags::ReplicaFlags, program::Program};

use self::{
    order::{Order, Refusal},
    roster::Roster,
    shell::{Reply, Shell, Word},
};
use crate::{event::Events, membership::Members};
use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use protocol::lifeline::Lifeline;
use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How many replicas there may be, with those that are ending: more processes than that on one machine are a slip of the finger.
pub const MAX_REPLICAS: usize = 64;

/// The service of replicas.
pub const SERVICE: &str = "http";

/// Words that wait for the thread. Each process has three to say in its life, and one more whenever it stops or begins to answer
/// its checks; whoever finds the queue full waits.
const QUEUE: usize = 256;

/// How long somebody waits who has asked for something: replicas that do not come are given up earlier.
const ANSWER_TIME: Duration = roster::START_TIME.saturating_add(Duration::from_secs(5));

/// Where replicas are asked for. Clones are the same.
#[derive(Clone, Debug)]
pub struct Desk {
    words: Sender<Word>,
}

impl Desk {
    /// The names of all.
    ///
    /// # Errors
    /// If nobody answers: the load balancer is ending, or its thread has too much to do.
    pub fn list(&self) -> Result<Vec<String>, Refusal> {
        self.ask(Word::List)
    }

    /// Adds some. Returns when they are in service: the names of all.
    ///
    /// # Errors
    /// Why nothing was done, or was undone.
    pub fn add(&self, order: Order) -> Result<Vec<String>, Refusal> {
        self.ask(|reply| Word::Add(order, reply))
    }

    /// Removes some: they get nothing new from now on. Returns the names of those that remain.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn remove(&self, order: Order) -> Result<Vec<String>, Refusal> {
        self.ask(|reply| Word::Remove(order, reply))
    }

    fn ask(&self, word: impl FnOnce(Reply) -> Word) -> Result<Vec<String>, Refusal> {
        let (reply, answer) = bounded(1);
        let ending = || Refusal::unavailable("The load balancer is ending");
        self.words.send(word(reply)).map_err(|_| ending())?;
        answer.recv_timeout(ANSWER_TIME).unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Disconnected => ending(),
                RecvTimeoutError::Timeout => {
                    let seconds = ANSWER_TIME.as_secs();
                    Refusal::unavailable(format!("Nobody knows yet whether it was done: no word for {seconds} s"))
                }
            })
        })
    }
}

/// The desk, before anybody sits there.
#[derive(Debug)]
pub struct Opening {
    flags: ReplicaFlags,
    program: Program,
    desk: Desk,
    heard: Receiver<Word>,
}

impl Opening {
    /// Prepares replicas, if the flags want any.
    ///
    /// # Errors
    /// If there is no program for them.
    pub fn prepare(flags: &ReplicaFlags, token: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if flags.replicas.is_none() {
            return Ok(None);
        }
        let program = Program::find(flags, token)?;
        let (words, heard) = bounded(QUEUE);
        Ok(Some(Self { flags: flags.clone(), program, desk: Desk { words }, heard }))
    }

    /// Where they can be asked for, as soon as they [begin](Self::begin).
    #[must_use]
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Starts them.
    ///
    /// # Errors
    /// If the system gives no port or no thread.
    pub fn begin(self, members: &Arc<Members>, seed: u64, events: &Events) -> anyhow::Result<Replicas> {
        let Self { flags, program, desk, heard } = self;
        let lifeline = Lifeline::open().context("No lifeline for replicas")?;
        let n = usize::try_from(flags.replicas.unwrap_or_default())?;
        let random = fastrand::Rng::with_seed(seed);
        let (roster, first) = Roster::begin(n, flags.replica_ids, random, Duration::ZERO);
        let shell = Shell {
            roster,
            program,
            processing_time: flags.replica_time,
            lifeline,
            members: Arc::clone(members),
            events: events.clone(),
            heard,
            words: desk.words.clone(),
            processes: HashMap::new(),
            waiting: HashMap::new(),
            begun: Instant::now(),
        };
        let thread = thread::Builder::new().name("replicas".into()).spawn(move || shell.run(first));
        Ok(Replicas { desk, thread: Some(thread.context("No thread for replicas")?) })
    }
}

/// Replicas at work. Dropping this ends them.
#[derive(Debug)]
pub struct Replicas {
    desk: Desk,
    thread: Option<JoinHandle<()>>,
}

impl Replicas {
    /// Where they can be asked for.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        let _ended_already = self.desk.words.send(Word::End);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
