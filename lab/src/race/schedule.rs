//! The order of the threads: drawn, written down, and read back.
//!
//! shuttle stops every thread at every lock and channel and asks a scheduler who goes on. This one draws, and notes each
//! draw as the number of the thread, where there was anything to draw: `1221` is "client 1 goes on, then 2, then 2 again,
//! then 1". So a schedule is readable, and it is all that is needed to repeat a play.
//!
//! Thread 0 sets the scene and judges. It goes on before the race alone, and later only when nobody else can: that is
//! how a play finds out that nobody can move, and time passes.

use anyhow::bail;
use parking_lot::Mutex;
use shuttle::scheduler::{Schedule as Steps, Scheduler, Task, TaskId};
use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
};

/// Of four draws, most that keep the thread that is running: some plays change threads all the time, others rarely,
/// because some mistakes need many changes and others one at the right moment.
const MOST_STAYING: u8 = 3;

/// Who goes on, draw by draw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Schedule(Vec<u8>);

impl Schedule {
    /// The draws.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The thread with the highest number, if anything was drawn.
    #[must_use]
    pub fn highest(&self) -> Option<u8> {
        self.0.iter().copied().max()
    }

    /// Whether nothing was drawn.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An empty one must be something that can be given on a command line.
        if self.0.is_empty() {
            return f.write_str("-");
        }
        self.0.iter().try_for_each(|thread| write!(f, "{thread}"))
    }
}

impl FromStr for Schedule {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text == "-" {
            return Ok(Self::default());
        }
        let digit = |byte: u8| (b'1'..=b'9').contains(&byte).then(|| byte - b'0');
        match text.bytes().map(digit).collect::<Option<Vec<u8>>>() {
            Some(threads) if !threads.is_empty() => Ok(Self(threads)),
            _ => bail!("'{text}' is not a schedule: it is the numbers of threads, like 12212."),
        }
    }
}

/// What the scheduler and the plays tell each other.
#[derive(Debug, Default)]
pub struct Baton {
    /// The race has begun: all threads exist.
    racing: AtomicBool,
    /// No further play is wanted.
    enough: AtomicBool,
    /// Plays begun.
    plays: AtomicUsize,
    /// The thread with the highest number that could ever go on.
    highest: AtomicU8,
    chosen: Mutex<Vec<u8>>,
}

impl Baton {
    /// The race begins, or is over.
    pub fn race(&self, on: bool) {
        self.racing.store(on, Ordering::Relaxed);
    }

    /// No further play is wanted.
    pub fn enough(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    /// How many plays have begun.
    pub fn plays(&self) -> usize {
        self.plays.load(Ordering::Relaxed)
    }

    /// The thread with the highest number of all that there were.
    pub fn highest(&self) -> u8 {
        self.highest.load(Ordering::Relaxed)
    }

    /// The schedule of this play so far.
    pub fn schedule(&self) -> Schedule {
        Schedule(self.chosen.lock().clone())
    }
}

/// Who decides.
#[derive(Debug)]
enum Source {
    /// Dice; how many plays are left, and how many of four draws keep the thread that is running.
    Dice { random: fastrand::Rng, left: usize, staying: u8 },
    /// A schedule, and how far it has been followed. `None` once it was given away.
    Script(Option<Schedule>, usize),
}

/// The scheduler.
#[derive(Debug)]
pub struct Caller {
    baton: Arc<Baton>,
    source: Source,
}

impl Caller {
    /// Draws the schedules of so many plays.
    pub fn drawing(baton: &Arc<Baton>, plays: usize, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { baton: Arc::clone(baton), source: Source::Dice { random, left: plays, staying: 0 } }
    }

    /// Repeats a play.
    pub fn repeating(baton: &Arc<Baton>, schedule: &Schedule) -> Self {
        Self { baton: Arc::clone(baton), source: Source::Script(Some(schedule.clone()), 0) }
    }

    fn draw(&mut self, threads: &[TaskId], current: Option<TaskId>) -> TaskId {
        match &mut self.source {
            Source::Dice { random, staying, .. } => {
                let stay = current.filter(|current| threads.contains(current) && random.u8(..4) < *staying);
                stay.unwrap_or_else(|| threads[random.usize(..threads.len())])
            }
            Source::Script(schedule, at) => {
                let next = schedule.as_ref().and_then(|schedule| schedule.0.get(*at)).copied();
                *at += 1;
                // A schedule of another version of the model leads somewhere, but not to what it was noted for.
                threads.iter().find(|thread| Some(number(**thread)) == next).copied().unwrap_or(threads[0])
            }
        }
    }
}

fn number(thread: TaskId) -> u8 {
    u8::try_from(usize::from(thread)).unwrap_or(u8::MAX)
}

impl Scheduler for Caller {
    fn new_execution(&mut self) -> Option<Steps> {
        let more = match &mut self.source {
            Source::Dice { random, left, staying } => {
                *staying = random.u8(..=MOST_STAYING);
                *left = left.checked_sub(1)?;
                true
            }
            Source::Script(_, at) => std::mem::replace(at, 0) == 0 && self.baton.plays() == 0,
        };
        if !more || self.baton.enough.load(Ordering::Relaxed) {
            return None;
        }
        self.baton.plays.fetch_add(1, Ordering::Relaxed);
        self.baton.race(false);
        self.baton.chosen.lock().clear();
        Some(Steps::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, _yielding: bool) -> Option<TaskId> {
        let highest = runnable.iter().map(|task| number(task.id())).max().unwrap_or_default();
        self.baton.highest.fetch_max(highest, Ordering::Relaxed);
        let judge = runnable.iter().map(|task| task.id()).find(|task| number(*task) == 0);
        let racing = self.baton.racing.load(Ordering::Relaxed);
        if let Some(judge) = judge.filter(|_| !racing || runnable.len() == 1) {
            return Some(judge);
        }
        let threads: Vec<TaskId> = runnable.iter().map(|task| task.id()).filter(|task| number(*task) != 0).collect();
        if threads.len() == 1 {
            return threads.first().copied();
        }
        let next = self.draw(&threads, current);
        self.baton.chosen.lock().push(number(next));
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_written_as_it_is_read() {
        for text in ["1221", "9", "-"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        for wrong in ["", "0", "12a", "1 2", "12-"] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }
}
