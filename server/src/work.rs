//! Spending the processing time: as waiting, or as real computation.
//!
//! **The problem.** The processing time stands for the work of a real server. A server that *waits* for it is a good
//! picture of one that waits for a disk or for another service: a hundred requests at once take as long as one. It is
//! a bad picture of one that computes: there a hundred requests share the processors, and each takes longer the more
//! there are.
//!
//! **The idea.** `--work sleep` waits. `--work cpu` computes, until *this thread* has had that much time of a
//! processor: its own clock (CLOCK_THREAD_CPUTIME_ID) stands still while other threads have the processor. So
//! the work of a request is the same however long it takes, as with real work.
//!
//! **Worked example.** Two processors, processing time 100 ms, capacity 8, eight requests at once. Waiting: all are
//! answered after 100 ms. Computing: eight times 100 ms of work on two processors take 400 ms, for each of them. The
//! server that is said to answer 80 requests a second answers 20; and two servers on this machine slow each
//! other down.
//!
//! **Interruptible.** Whoever waits watches the connection meanwhile (the wait *is* a wait on the connection). Whoever
//! computes looks at it every [`LOOK_EVERY`]: the requester may be gone, or have taken the request back.
//!
//! **When it is wrong.** A load balancer on the same machine wants processors, too: with `cpu` its own delays are
//! part of what is measured. Heartbeats come through, because the system prefers threads that sleep most of the
//! time, but later. And the load balancer gives an attempt the processing time and 2 s more: a server that takes
//! too much at once looks broken to it, as an overloaded server does in life.

use crate::sql::Interrupt;
use protocol::deadline::Deadline;
use sha2::{Digest, Sha256};
use std::{
    hint,
    time::{Duration, Instant},
};

/// How often a computation looks whether it is still wanted: often enough that a cancelled request gives its
/// processor back before anybody notices, and so seldom that looking costs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How much is computed between two looks at the clock, in bytes that are hashed: some ten microseconds.
const STRETCH: usize = 16 * 1024;

/// How the processing time is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// Waiting: any number of requests at once take as long as one.
    #[default]
    Sleep,
    /// Computing: requests at once share the processors, and each takes longer.
    Cpu,
}

/// Why processing was not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// The time that the requester gave it was over.
    TimeOver,
    /// Nobody wants the answer.
    Unwanted(Interrupt),
}

/// Somebody for whom the work is done, and who may lose interest in it.
pub(crate) trait Interest {
    /// Why nobody wants the answer any more, if that is so. Does not wait.
    fn lost(&self) -> Option<Interrupt>;

    /// Waits until the deadline, or until nobody wants the answer any more.
    fn wait(&self, until: Deadline) -> Result<(), Interrupt>;
}

impl Work {
    /// Spends this time, or as much of it as somebody waits for.
    pub(crate) fn spend(
        self,
        time: Duration,
        interest: &impl Interest,
        first_byte: Option<Deadline>,
    ) -> Result<(), Unfinished> {
        match self {
            Self::Sleep => wait(time, interest, first_byte),
            Self::Cpu => compute(time, || {
                let over = first_byte.is_some_and(Deadline::has_passed).then_some(Unfinished::TimeOver);
                over.or_else(|| interest.lost().map(Unfinished::Unwanted))
            }),
        }
    }
}

fn wait(time: Duration, interest: &impl Interest, first_byte: Option<Deadline>) -> Result<(), Unfinished> {
    let end = Deadline::after(time);
    let until = first_byte.map_or(end, |first| first.min(end));
    match interest.wait(until) {
        Ok(()) if until == end => Ok(()),
        Ok(()) => Err(Unfinished::TimeOver),
        Err(interrupt) => Err(Unfinished::Unwanted(interrupt)),
    }
}

/// Keeps this thread busy until it has had so much time of a processor, or `look`, asked every [`LOOK_EVERY`] and at the
/// beginning, says why it should stop.
fn compute(time: Duration, mut look: impl FnMut() -> Option<Unfinished>) -> Result<(), Unfinished> {
    let begin = thread_time();
    let mut next_look = Instant::now();
    let mut block = [0_u8; STRETCH];
    while thread_time() - begin < time {
        if Instant::now() >= next_look {
            look().map_or(Ok(()), Err)?;
            next_look = Instant::now() + LOOK_EVERY;
        }
        // Each stretch needs the result of the one before, so that none of them can be left out.
        let digest = Sha256::digest(block.as_slice());
        block[..digest.len()].copy_from_slice(&digest);
    }
    hint::black_box(block);
    Ok(())
}

/// The time of a processor that the calling thread has had so far.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"))]
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Where the system does not tell, the time that has passed takes its place: then requests at once do not slow each
/// other down as they should.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd")))]
fn thread_time() -> Duration {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
}

#[cfg(all(test, any(target_os = "linux", target_os = "macos")))]
mod tests {
    use super::*;
    use std::thread;

    /// More than one stretch and one look take, on any machine that runs tests.
    const SLACK: Duration = Duration::from_millis(5);

    #[test]
    fn computing_takes_that_much_time_of_a_processor() {
        for time in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(100)] {
            let before = thread_time();
            assert_eq!(compute(time, || None), Ok(()));
            let took = thread_time() - before;
            assert!((time..time + SLACK).contains(&took), "{took:?} instead of {time:?}");
        }
    }

    #[test]
    fn a_computation_looks_every_few_milliseconds_and_stops_when_told() {
        let (mut looks, begin) = (0, thread_time());
        let mut last = begin;
        let stopped = compute(Duration::from_secs(3600), || {
            let now = thread_time();
            assert!(now - last < LOOK_EVERY + SLACK, "{:?} without a look", now - last);
            (looks, last) = (looks + 1, now);
            (looks == 20).then_some(Unfinished::TimeOver)
        });
        assert_eq!((stopped, looks), (Err(Unfinished::TimeOver), 20));
        assert!(thread_time() - last < SLACK, "it goes on after having been told");
    }

    /// Twice as many threads as there are processors need twice the time: n processors cannot do 2 n × 50 ms in less than
    /// 100 ms. (A little less is asked for, because a share of a processor is not counted.)
    #[test]
    fn computations_at_once_slow_each_other_down() {
        let time = Duration::from_millis(50);
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let begin = Instant::now();
        thread::scope(|scope| (0..2 * processors).for_each(|_| drop(scope.spawn(|| compute(time, || None)))));
        assert!(begin.elapsed() >= time * 3 / 2, "{:?} on {processors} processors", begin.elapsed());
    }
}
