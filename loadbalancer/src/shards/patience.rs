//! How long a server is waited for.
//!
//! **The problem.** A server that is stopped says nothing, and neither does one that has much to do: 100,000 rows of one `/write` take it
//! seconds, and what it is asked to change meanwhile waits behind them, because a store has one writer. One limit for all is too short for the one, so that a
//! server is ended for nothing and filled anew, or so long that everybody waits for the other.
//!
//! **The idea.** The time for a change grows with the bytes of all changes that the server has in hand; what has bytes in its answer (`/read`,
//! `/copy`) is waited for as long as some come. Small calls have the time that they always had, and the [`pulse`](super::pulse) asks nothing but small ones: a
//! server that is stopped with a large change in hand is ended by it after 2.5 s (4.5 s if another one has stopped just before, as all are asked
//! together), and with that all waiting for it is over. What has ended is not waited for any longer, and nobody waits longer than the most bytes that
//! were in hand at once since it began allow.
//!
//! ```text
//! /write of 5 MiB begins              2 s + 80 · 1 s = 82 s
//!   /del meanwhile                    waits behind it: 82 s, too
//!   /write is answered after 3 s
//!   /del                              2 s from then on
//! /del of its own                     2 s
//! ```
//!
//! **When it is wrong.** A server whose heart beats and whose disk does not is waited for as long as the bytes in its hand allow. A row of few bytes costs more time
//! for each of them than one of many: the rate is that of the smallest rows, many times over.

use parking_lot::Mutex;
use protocol::{deadline::Deadline, shard::COPY_PAUSE};
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// How long a server may take for an answer to begin, and how long that may pause. One that takes longer is as good as dead: it is ended, and
/// another one started.
pub const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Bytes of changes for which a server has [`PIECE_TIME`] more. Whatever is smaller is a small call.
const PIECE: usize = 64 * 1024;
/// How much longer a server may take for each whole [`PIECE`] of changes that it has in hand.
const PIECE_TIME: Duration = Duration::from_secs(1);
/// Most bytes of a copy that can be on their way, in buffers of the system, when the last of it has been sent.
const UNDERWAY: u64 = 16 * 1024 * 1024;

/// How long a server is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the beginning of an answer, and for more of it.
    pub answer: Duration,
    /// Bytes of changes that count as one piece; at least 1. Whatever is smaller is a small call.
    pub piece: usize,
    /// How much longer for each whole piece of changes that it has in hand.
    pub piece_time: Duration,
    /// How long a copy may stand still.
    pub copy: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: ANSWER_TIME, piece: PIECE, piece_time: PIECE_TIME, copy: COPY_PAUSE }
    }
}

impl Patience {
    /// How much longer for a change of so many bytes.
    #[must_use]
    pub fn work(&self, bytes: usize) -> Duration {
        self.piece_time.saturating_mul(u32::try_from(bytes / self.piece).unwrap_or(u32::MAX))
    }

    /// How long a server that was sent a copy of so many bytes may take for the rest of it.
    #[must_use]
    pub fn rest_of_copy(&self, bytes: u64) -> Duration {
        let underway = usize::try_from(bytes.min(UNDERWAY)).unwrap_or(usize::MAX);
        self.copy + self.work(underway)
    }
}

/// The changes that a server has in hand.
#[derive(Debug, Default)]
pub struct InHand {
    /// Held for a look or a sum.
    load: Mutex<Load>,
}

#[derive(Debug, Default)]
struct Load {
    /// Bytes of all of them.
    bytes: usize,
    /// When the time for them has become less the last time, because some of them have ended.
    eased: Option<Instant>,
}

/// A change that a server has in hand, until this is dropped.
#[derive(Debug)]
pub struct Work<'a> {
    hand: &'a InHand,
    patience: &'a Patience,
    bytes: usize,
    began: Instant,
    /// The most bytes that were in hand at once since it began, as far as it was looked.
    most: Cell<usize>,
}

impl InHand {
    /// Takes a change of so many bytes in hand.
    #[must_use]
    pub fn begin<'a>(&'a self, bytes: usize, patience: &'a Patience) -> Work<'a> {
        let mut load = self.load.lock();
        load.bytes += bytes;
        Work { hand: self, patience, bytes, began: Instant::now(), most: Cell::new(load.bytes) }
    }
}

impl Work<'_> {
    /// Until when it is waited for. It changes when something begins or ends; but it is never later than what was in hand at
    /// once allows, reckoned from the beginning: others that come and go do not renew it for ever.
    #[must_use]
    pub fn until(&self) -> Deadline {
        let load = self.hand.load.lock();
        self.most.set(self.most.get().max(load.bytes));
        let since = load.eased.map_or(self.began, |eased| eased.max(self.began));
        let time = |bytes| self.patience.answer + self.patience.work(bytes);
        Deadline::at((since + time(load.bytes)).min(self.began + time(self.most.get())))
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        let mut load = self.hand.load.lock();
        let before = load.bytes;
        load.bytes -= self.bytes;
        if self.patience.work(load.bytes) < self.patience.work(before) {
            load.eased = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_change_may_take_longer_and_a_small_one_may_not() {
        let patience = Patience::default();
        assert_eq!(patience.work(100), Duration::ZERO);
        assert_eq!(patience.work(PIECE - 1), Duration::ZERO);
        assert_eq!(patience.work(5 * 1024 * 1024), Duration::from_secs(80));
        assert_eq!(patience.rest_of_copy(100), COPY_PAUSE);
        assert_eq!(patience.rest_of_copy(u64::MAX), COPY_PAUSE + patience.work(16 * 1024 * 1024), "never for ever");
    }

    const MIB: usize = 1024 * 1024;

    #[test]
    fn who_waits_behind_a_large_change_waits_for_it_and_then_as_long_as_ever() {
        let (hand, patience) = (InHand::default(), Patience::default());
        let (answer, long) = (patience.answer, patience.work(MIB));
        let small = hand.begin(100, &patience);
        let (since, until) = (small.began, || small.until().instant());
        assert_eq!(until(), since + answer);
        let large = hand.begin(MIB, &patience);
        assert_eq!(until(), since + answer + long);
        let another = hand.begin(MIB, &patience);
        assert_eq!(until(), since + answer + 2 * long);
        drop(another);
        assert!(until() >= since + answer + long, "the first one goes on");
        let before = Instant::now();
        drop(large);
        let (ended, after) = (until(), Instant::now());
        assert!((before + answer..=after + answer).contains(&ended), "from the end of what it has waited for");
        drop(hand.begin(100, &patience));
        assert_eq!(until(), ended, "what is small moves nothing");
        let later = hand.begin(100, &patience);
        assert_eq!(later.until().instant(), later.began + answer);
    }

    /// A change that is stuck, while large ones of other shards come and go.
    #[test]
    fn what_comes_and_goes_does_not_renew_the_time_of_others_for_ever() {
        // 18 ms in all, so that they pass here.
        let patience =
            Patience { answer: Duration::from_millis(1), piece_time: Duration::from_millis(1), ..Patience::default() };
        let hand = InHand::default();
        let stuck = hand.begin(100, &patience);
        let most = stuck.began + patience.answer + patience.work(100 + MIB);
        while Instant::now() <= most {
            let _large = hand.begin(MIB, &patience);
            assert!(stuck.until().instant() <= most);
        }
        assert!(stuck.until().has_passed());
    }

    /// Many changes of which none is large.
    #[test]
    fn bytes_are_counted_together() {
        let (hand, patience) = (InHand::default(), Patience::default());
        let many: Vec<Work<'_>> = (0..64).map(|_| hand.begin(PIECE / 32, &patience)).collect();
        assert_eq!(many[0].until().instant(), many[0].began + patience.answer + 2 * PIECE_TIME);
    }
}
