//! One play: its threads, what they tell, what they hold, and the judge.
//!
//! The pool says what it believes; here is written down, beside it, what is so: who holds which server, who waits. The
//! judge compares the two whenever nobody can move. A play never panics: what is wrong is written down and the play goes
//! on to its end, so that the next one begins in order.

use super::{primitives::Sender, schedule::Baton};
use loadbalancer::pool::locked::Handover;
use parking_lot::Mutex;
use shuttle::thread::{self, JoinHandle};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A step of a play, as a sentence without its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who.
    pub who: String,
    /// Did what.
    pub what: String,
}

/// How a pool stands, as it believes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The requests that each server holds, by its number.
    pub busy: BTreeMap<u32, u32>,
    /// Whether a server could take a request now.
    pub spare: bool,
    /// How many requests wait.
    pub waiting: usize,
}

/// What is written down.
#[derive(Default)]
struct Record {
    steps: Vec<Step>,
    broken: Option<String>,
    /// Who uses each server.
    held: BTreeMap<u32, Vec<String>>,
    /// What is taken at each server without anybody using it: its end is in doubt.
    doubtful: BTreeMap<u32, u32>,
    /// Who waits, and how to end that.
    waiting: Vec<(String, Close)>,
    /// What ends the pause of those who keep a server until nobody else can move.
    keeping: Vec<Close>,
}

/// Ends a wait.
type Close = Box<dyn FnOnce() + Send>;

/// A play.
pub struct Stage {
    baton: Arc<Baton>,
    telling: bool,
    /// Never contended: the threads of a play are coroutines of one thread, and none stops with this in its hand.
    record: Mutex<Record>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    running: AtomicUsize,
}

/// A thread of a play.
#[derive(Clone)]
pub struct Actor {
    /// The play.
    pub stage: Arc<Stage>,
    /// What it is called.
    pub name: Arc<str>,
}

impl Stage {
    /// A play that begins; whether its steps are told.
    pub fn new(baton: &Arc<Baton>, telling: bool) -> Arc<Self> {
        Arc::new(Self {
            baton: Arc::clone(baton),
            telling,
            record: Mutex::default(),
            threads: Mutex::default(),
            running: AtomicUsize::new(0),
        })
    }

    /// Somebody who is there before the race.
    #[must_use]
    pub fn actor(self: &Arc<Self>, name: &str) -> Actor {
        Actor { stage: Arc::clone(self), name: name.into() }
    }

    /// A thread of the race. Threads are numbered from 1 in the order of these calls.
    pub fn thread(self: &Arc<Self>, name: &str, body: impl FnOnce(&Actor) + Send + 'static) {
        let me = self.actor(name);
        self.running.fetch_add(1, Ordering::Relaxed);
        let thread = thread::spawn(move || {
            body(&me);
            me.stage.running.fetch_sub(1, Ordering::Relaxed);
        });
        self.threads.lock().push(thread);
    }

    /// Something is wrong. The first such sentence counts.
    pub fn broken(&self, what: String) {
        self.record.lock().broken.get_or_insert(what);
    }

    /// Lets the threads race until they are done. Whenever nobody can move, `standing` of the pool is compared with what is
    /// so, and whoever waits loses patience.
    pub fn race(&self, standing: impl Fn() -> Standing) {
        self.baton.race(true);
        loop {
            // The scheduler lets this thread go on only when no other one can.
            thread::yield_now();
            if self.running.load(Ordering::Relaxed) == 0 {
                break;
            }
            self.compare(&standing());
            let released = self.whom_to_release();
            if released.is_empty() {
                self.broken("Threads stand still, each waiting for another.".to_owned());
                break;
            }
            released.into_iter().for_each(|close| close());
        }
        self.baton.race(false);
        for thread in std::mem::take(&mut *self.threads.lock()) {
            let _reported_by_shuttle = thread.join();
        }
        self.compare(&standing());
    }

    /// Nobody can move: first those go on who keep a server, then those who wait lose patience.
    fn whom_to_release(&self) -> Vec<Close> {
        let mut record = self.record.lock();
        if !record.keeping.is_empty() {
            return std::mem::take(&mut record.keeping);
        }
        // Each takes its own name off the list when it notices.
        record.waiting.iter_mut().map(|(_, close)| std::mem::replace(close, Box::new(|| {}))).collect()
    }

    /// When nobody moves, what the pool believes must be so.
    fn compare(&self, standing: &Standing) {
        let record = self.record.lock();
        let uses = |server: &u32| record.held.get(server).map_or(0, Vec::len) as u32;
        let doubtful = |server: &u32| record.doubtful.get(server).copied().unwrap_or(0);
        let wrong = standing.busy.iter().find(|(server, busy)| **busy != uses(server) + doubtful(server));
        let waiting: Vec<&str> = record.waiting.iter().map(|(name, _)| name.as_str()).collect();
        let broken = if let Some((server, busy)) = wrong {
            let so = uses(server) + doubtful(server);
            Some(format!("The pool believes that server {server} holds {busy}; it is {so}: a lease is lost."))
        } else if standing.spare && !waiting.is_empty() {
            Some(format!("A server is idle, and {} waits for ever.", waiting.join(" and ")))
        } else if standing.waiting != waiting.len() {
            Some(format!("{} wait in the queue, {} in truth.", standing.waiting, waiting.len()))
        } else {
            None
        };
        drop(record);
        if let Some(broken) = broken {
            self.broken(broken);
        }
    }

    /// What was told, and what was wrong.
    pub fn end(&self) -> (Vec<Step>, Option<String>) {
        let mut record = self.record.lock();
        (std::mem::take(&mut record.steps), record.broken.take())
    }
}

impl Actor {
    /// Tells a step.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.stage.telling {
            let step = Step { who: self.name.to_string(), what: what() };
            self.stage.record.lock().steps.push(step);
        }
    }

    /// Uses a server that is to serve `capacity` at once.
    pub fn begins(&self, server: u32, capacity: u32) {
        self.tell(|| format!("sends its request to server {server}"));
        let mut record = self.stage.record.lock();
        let users = record.held.entry(server).or_default();
        users.push(self.name.to_string());
        if users.len() > capacity as usize {
            let users = users.join(" and ");
            record.broken.get_or_insert(format!("{users} have server {server} at the same time."));
        }
    }

    /// The server has answered.
    pub fn ends(&self, server: u32) {
        self.tell(|| format!("has its answer from server {server}"));
        self.forget(server);
    }

    fn forget(&self, server: u32) {
        if let Some(users) = self.stage.record.lock().held.get_mut(&server) {
            users.retain(|user| **user != *self.name);
        }
    }

    /// The connection is lost: nobody knows whether the server is done.
    pub fn loses(&self, server: u32) {
        self.tell(|| format!("loses its connection to server {server}"));
        self.forget(server);
        *self.stage.record.lock().doubtful.entry(server).or_default() += 1;
    }

    /// The server's places that were in doubt are free.
    pub fn settled(&self, server: u32) {
        self.stage.record.lock().doubtful.remove(&server);
    }

    /// Begins to wait; `close` ends that when nobody can move any more.
    pub fn waits(&self, close: Close) {
        self.stage.record.lock().waiting.push((self.name.to_string(), close));
    }

    /// Waits no longer.
    pub fn waits_no_longer(&self) {
        self.stage.record.lock().waiting.retain(|(name, _)| **name != *self.name);
    }

    /// Pauses until nobody else can move.
    pub fn keeps(&self) {
        let (_sender, pause) = <Sender<()> as Handover<()>>::pair();
        self.stage.record.lock().keeping.push(pause.closer());
        let _closed = pause.wait();
    }

    /// Others may go on here: a request takes its time.
    pub fn time_passes(&self) {
        thread::yield_now();
    }

    /// Something is wrong.
    pub fn broken(&self, what: String) {
        self.stage.broken(what);
    }
}
