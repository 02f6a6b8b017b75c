//! Starting the clients, waiting for them, ending them.

use super::{
    caller::{Caller, RESTING},
    payload::Question,
    periods::{Part, Periods, Row},
    plan::Plan,
    report::{Ends, Report},
};
use crossbeam_channel::{Receiver, after, bounded, never, select, unbounded};
use parking_lot::Mutex;
use protocol::{
    descriptors::{self, KEPT},
    stop::Stop,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Stack of a client's thread, in bytes: it has a few numbers on it.
const STACK: usize = 64 * 1024;

/// How long requests under way may still take after Ctrl-C. Those that take longer are not counted.
const END_TIME: Duration = Duration::from_secs(2);

/// What all clients share.
#[derive(Debug)]
struct Shared {
    /// How many requests were begun. Only counted if their number is bounded.
    begun: AtomicU64,
    requests: Option<u64>,
    duration: Option<Duration>,
    stop: Stop,
    /// Held by each client once, when it has ended.
    ends: Mutex<Ends>,
}

/// One client.
struct Client {
    shared: Arc<Shared>,
    caller: Caller,
    part: Part,
}

/// Runs the plan until it is fulfilled, or until it is to stop. Each period is told when it is complete.
///
/// # Errors
/// When there are not enough descriptors, ports or threads. Then nothing was sent.
pub fn run(plan: &Plan, stop: &Stop, tell: &mut dyn FnMut(&Row)) -> io::Result<Report> {
    enough_descriptors(plan.threads)?;
    let shared = Arc::new(Shared {
        begun: AtomicU64::new(0),
        requests: plan.requests,
        duration: plan.duration,
        stop: stop.clone(),
        ends: Mutex::default(),
    });
    let (sender, rows) = unbounded();
    let periods = Periods::new(plan.every, plan.threads, sender);
    let (alive, all_ended) = bounded::<()>(0);
    let mut starters = Vec::new();
    for number in 1..=plan.threads {
        let question = Question::new(&plan.payload, number, plan.numbered);
        let caller = Caller::new(plan.target, plan.timeout, question).map_err(|error| {
            io::Error::other(format!("Client {number} gets no socket: {error}. Ask for fewer --threads."))
        })?;
        let client = Client { shared: Arc::clone(&shared), caller, part: periods.part() };
        let (starter, start) = bounded(1);
        let alive = alive.clone();
        let work = move || {
            if let Ok(start) = start.recv() {
                client.run(start);
            }
            drop(alive);
        };
        // Dropping the starters lets those clients end that are there already.
        let spawned = thread::Builder::new().name(format!("load-{number}")).stack_size(STACK).spawn(work);
        spawned.map_err(|error| {
            io::Error::other(format!("Client {number} cannot be started: {error}. Ask for fewer --threads."))
        })?;
        starters.push(starter);
    }
    drop(alive);
    let start = Instant::now();
    for starter in starters {
        let _ended = starter.send(start);
    }
    let mut told = Vec::new();
    let mut keep = |row: Row| {
        tell(&row);
        told.push(row);
    };
    let interrupted = gather(&shared, &rows, &all_ended, &mut keep);
    let whole = periods.end();
    rows.try_iter().for_each(keep);
    let ends = Ends { interrupted, ..*shared.ends.lock() };
    Ok(Report::new(plan, &whole, ends, start, told))
}

/// Tells the periods until all clients have ended, at the latest [`END_TIME`] after a stop. Says whether somebody stopped it.
fn gather(shared: &Shared, rows: &Receiver<Row>, all_ended: &Receiver<()>, tell: &mut dyn FnMut(Row)) -> bool {
    let (mut stopped, mut end, mut interrupted) = (shared.stop.receiver().clone(), never(), false);
    loop {
        select! {
            recv(rows) -> row => row.into_iter().for_each(&mut *tell),
            recv(all_ended) -> _ => return interrupted,
            recv(stopped) -> _ => {
                stopped = never();
                interrupted = true;
                end = after(END_TIME);
            }
            recv(end) -> _ => return interrupted,
        }
    }
}

/// A client needs a socket, and after time-outs some that wait for late answers.
fn enough_descriptors(threads: u32) -> io::Result<()> {
    descriptors::allow_all();
    let needed = threads as usize * (1 + RESTING) + KEPT;
    match descriptors::allowed() {
        Some(allowed) if allowed < needed => Err(io::Error::other(format!(
            "{threads} threads may need {needed} file descriptors, and this process may have {allowed}: ask for fewer \
             --threads, or raise the limit (ulimit -n)."
        ))),
        _ => Ok(()),
    }
}

impl Client {
    /// The life of a client's thread. Blocks on its socket, and on the lock of the periods once in each.
    fn run(mut self, start: Instant) {
        let mut begin = Instant::now();
        let mut lost = 0;
        while self.shared.goes_on(begin.saturating_duration_since(start)) {
            let Ok(outcome) = self.caller.ask(begin) else {
                lost = 1;
                break;
            };
            let end = Instant::now();
            self.part.count(end.saturating_duration_since(start), outcome, end.saturating_duration_since(begin));
            begin = end;
        }
        let mut ends = self.shared.ends.lock();
        ends.late += self.caller.end();
        ends.lost += lost;
    }
}

impl Shared {
    /// Whether another request may begin at this time.
    fn goes_on(&self, now: Duration) -> bool {
        let is_over = self.stop.is_set() || self.duration.is_some_and(|duration| now >= duration);
        !is_over && self.requests.is_none_or(|most| self.begun.fetch_add(1, Ordering::Relaxed) < most)
    }
}
