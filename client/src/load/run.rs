//! Starting the clients, waiting for them, ending them.

use super::{
    caller::Cut,
    plan::Plan,
    report::Report,
    schedule::Progress,
    tally::Tally,
    timeline::Timeline,
    worker::{Shared, Worker},
};
use crate::exchange::GRACE;
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select, unbounded};
use protocol::{limits::CLIENT_PATIENCE, stop::Stop};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Stack of a client's thread, in bytes. Its buffers are on the heap.
const STACK: usize = 256 * 1024;

/// How long requests under way may still take after Ctrl-C.
const END_TIME: Duration = Duration::from_secs(2);

/// Runs the plan until it is fulfilled, or until it is to stop.
///
/// # Errors
/// When a thread cannot be started. Then nothing was sent.
pub fn run(plan: Plan, stop: &Stop, timeline: Option<&Timeline>) -> io::Result<Report> {
    let shared =
        Arc::new(Shared { progress: Progress::default(), stop: stop.clone(), cut_off: AtomicBool::new(false), plan });
    protocol::descriptors::allow_all();
    let (tallies, results) = unbounded();
    let (ready, prepared) = unbounded();
    let mut cuts = Vec::new();
    let mut starters = Vec::new();
    for number in 1..=u64::from(shared.plan.clients) {
        let (starter, start) = bounded(1);
        let cut = Cut::default();
        let worker = Worker::new(Arc::clone(&shared), number, cut.clone(), timeline.map(Timeline::part));
        // Dropping the starters lets those clients end that are there already.
        spawn(number, worker, ready.clone(), start, tallies.clone())?;
        cuts.push(cut);
        starters.push(starter);
    }
    drop((tallies, ready));
    // All connect first: a client that connects while others ask would measure that.
    while prepared.recv().is_ok() {}
    let start = Instant::now();
    for starter in starters {
        let _ended = starter.send(start);
    }
    let (whole, interrupted) = gather(&shared, &results, &cuts, start);
    Ok(Report::new(&shared.plan, whole, start, interrupted))
}

/// A client's thread: says that it is ready (by dropping `ready`), waits for the start, works, gives its tally away.
fn spawn(
    number: u64,
    mut worker: Worker,
    ready: Sender<()>,
    start: Receiver<Instant>,
    tallies: Sender<Tally>,
) -> io::Result<()> {
    let work = move || {
        worker.prepare();
        drop(ready);
        if let Ok(start) = start.recv() {
            let _nobody_waits = tallies.send(worker.run(start));
        }
    };
    thread::Builder::new().name(format!("load-{number}")).stack_size(STACK).spawn(work).map(drop).map_err(|error| {
        io::Error::other(format!("Client {number} cannot be started: {error}. Ask for fewer --clients."))
    })
}

/// Adds up what the clients have seen. Blocks until all have ended: by the plan, within [`END_TIME`] of a stop, and
/// at the latest when the last request has had all its time. Also says whether somebody stopped it.
fn gather(shared: &Shared, results: &Receiver<Tally>, cuts: &[Cut], start: Instant) -> (Tally, bool) {
    let plan = &shared.plan;
    let mut whole = Tally::new(plan.schedule.rate.is_some());
    let mut interrupted = false;
    let mut stopped = shared.stop.receiver().clone();
    let mut end = plan.schedule.duration.map_or_else(never, |duration| {
        let longest = plan.link.request_timeout + GRACE + CLIENT_PATIENCE + plan.settle.unwrap_or_default();
        let left = (start + plan.schedule.warmup + duration + longest).saturating_duration_since(Instant::now());
        after(left)
    });
    loop {
        select! {
            recv(results) -> tally => match tally {
                Ok(tally) => whole.add(tally),
                Err(_) => return (whole, interrupted),
            },
            recv(stopped) -> _ => {
                stopped = never();
                interrupted = true;
                end = after(END_TIME);
            }
            recv(end) -> _ => {
                (end, stopped) = (never(), never());
                shared.cut_off.store(true, Ordering::Relaxed);
                shared.stop.drain();
                cuts.iter().for_each(Cut::cut);
            }
        }
    }
}
