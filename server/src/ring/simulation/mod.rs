//! Rings on paper: an hour takes a second, and anything can go wrong.
//!
//! What happens stands on a list with its time; the earliest is taken off and happens. Messages are lost, doubled, late (some
//! by more than a drill) and so overtake each other. Servers crash and come back without memory, are stopped and go on,
//! links are cut; each server has a clock of its own, which is up to one per cent too fast or too slow. All chance
//! comes from one seed.
//!
//! **Checked**: whenever somebody goes down, nobody else is down by election (*safety*). And when the faults have stopped,
//! elections are completed, one within each [`BOUND`] (*the ring is never stuck*).

mod agenda;
mod original;
pub(super) mod planted;
mod tests;
mod world;

use super::timing::Timing;
use std::time::Duration;

/// A drill in these rings, and how often each server wants an election.
const DRILL: Duration = Duration::from_secs(4);
const EVERY: Duration = Duration::from_secs(6);

/// Within this time one election must be completed when nothing goes wrong any more: what was promised before runs out, who
/// was started last is quiet, then everybody's clock has gone off twice, and an election that fails takes its time.
fn bound() -> Duration {
    let timing = Timing::of(DRILL);
    timing.lease + timing.quiet + EVERY * 2 + timing.elect + DRILL
}

/// What goes wrong, and how much.
#[derive(Clone, Copy, Debug)]
struct Faults {
    /// Messages lost and doubled, of a hundred.
    lost: u8,
    doubled: u8,
    /// Whether some messages are late by up to a minute.
    late: bool,
    /// How many crashes, stops and cuts of a link.
    blows: u32,
    /// Whether one server dies at last and stays dead.
    one_is_lost: bool,
    /// How long all this lasts.
    lasts: Duration,
}

impl Outcome {
    /// What was wrong.
    fn violation(&self) -> Option<&str> {
        self.together.as_deref().or(self.stuck.as_deref())
    }
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// How often somebody was down to the end of the drill.
    completed: u32,
    /// Elections that were begun, and those that put somebody down.
    begun: usize,
    downs: u32,
    /// Different servers that were.
    different: usize,
    /// Who was down together, and when; and since when a ring was stuck.
    together: Option<String>,
    stuck: Option<String>,
    /// What happened to whom.
    crashes: u32,
    stops: u32,
    cuts: u32,
    messages: u64,
}
