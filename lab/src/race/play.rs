//! Plays a version of a model again and again, until it breaks or the schedules are used up; and repeats a play.

use super::{
    models::Version,
    schedule::{Baton, Caller, Schedule},
    stage::{Stage, Step},
};
use parking_lot::Mutex;
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

/// Scheduling points after which a play is called endless. The longest ones have some hundreds.
const ENDLESS: usize = 20_000;

/// A play in which something was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How many plays it took.
    pub plays: usize,
    /// What was wrong.
    pub what: String,
    /// How to repeat it.
    pub schedule: Schedule,
}

/// What many plays showed.
#[derive(Clone, Debug)]
pub struct Searched {
    /// How many there were.
    pub plays: usize,
    /// How many of them were different.
    pub different: usize,
    /// How long they took.
    pub took: Duration,
    /// The one that ended it, if something was wrong.
    pub failure: Option<Failure>,
}

/// Plays this version with schedules drawn from this seed, `plays` of them or until something is wrong.
#[must_use]
pub fn search(version: &Version, plays: usize, seed: u64) -> Searched {
    let (baton, since) = (Arc::new(Baton::default()), Instant::now());
    let found: Arc<Mutex<(HashSet<u64>, Option<Failure>)>> = Arc::default();
    let (play, notes, hasher) = (version.play, Arc::clone(&found), RandomState::new());
    let panicked = run(Caller::drawing(&baton, plays, seed), {
        let baton = Arc::clone(&baton);
        move || {
            let stage = Stage::new(&baton, false);
            play(&stage);
            let (schedule, mut notes) = (baton.schedule(), notes.lock());
            notes.0.insert(hasher.hash_one(&schedule));
            if let (_, Some(what)) = stage.end() {
                notes.1 = Some(Failure { plays: baton.plays(), what, schedule });
                baton.enough();
            }
        }
    });
    let (different, failure) = { std::mem::take(&mut *found.lock()) };
    let died = panicked.map(|what| Failure { plays: baton.plays(), what, schedule: baton.schedule() });
    Searched { plays: baton.plays(), different: different.len(), took: since.elapsed(), failure: failure.or(died) }
}

/// Repeats a play, and tells it step by step. Returns what was wrong, if anything.
#[must_use]
pub fn repeat(version: &Version, schedule: &Schedule) -> (Vec<Step>, Option<String>) {
    let (baton, ended) = (Arc::new(Baton::default()), Arc::new(Mutex::new((Vec::new(), None))));
    let (play, notes) = (version.play, Arc::clone(&ended));
    let panicked = run(Caller::repeating(&baton, schedule), {
        let baton = Arc::clone(&baton);
        move || {
            let stage = Stage::new(&baton, true);
            play(&stage);
            *notes.lock() = stage.end();
        }
    });
    let (steps, broken) = { std::mem::take(&mut *ended.lock()) };
    (steps, broken.or(panicked))
}

/// The highest number of a thread of this version.
#[must_use]
pub fn highest_thread(version: &Version) -> u8 {
    let (baton, play) = (Arc::new(Baton::default()), version.play);
    let _panicked = run(Caller::repeating(&baton, &Schedule::default()), {
        let baton = Arc::clone(&baton);
        move || {
            let stage = Stage::new(&baton, false);
            play(&stage);
            let _judged = stage.end();
        }
    });
    baton.highest()
}

/// Runs the plays; says so if one of them panicked (the models do not: then it was the pool, or shuttle found a deadlock).
fn run(caller: Caller, play: impl Fn() + Send + Sync + 'static) -> Option<String> {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(ENDLESS);
    config.silence_warnings = true;
    let ended = catch_unwind(AssertUnwindSafe(|| Runner::new(caller, config).run(play)));
    ended.err().map(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        format!("A thread panicked: {}", text.unwrap_or("without a word"))
    })
}
