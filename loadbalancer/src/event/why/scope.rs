//! What the records cover, and what is missing in them.

use super::words::{count, moment, time};
use crate::event::reader::Unread;
use serde::Serialize;
use std::fmt;

/// What the records cover.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// How many there are.
    pub records: u64,
    /// The time of the first one, in microseconds since 1970.
    pub from_us: u64,
    /// The time of the last one.
    pub to_us: u64,
    /// Whether they go back to the start of the load balancer.
    pub whole: bool,
    /// How many events a listener that was too slow has lost.
    pub lost: u64,
    /// What could not be read.
    pub unread: Unread,
}

impl Scope {
    /// Whether nothing is missing from the start of the load balancer up to the last record.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.whole && self.lost == 0 && self.unread == Unread::default()
    }

    /// What is missing, each as a sentence.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.whole && self.records > 0 {
            let from = moment(self.from_us);
            missing.push(format!(
                "It begins at {from}, after the start of the load balancer: what was before has been replaced."
            ));
        }
        if self.lost > 0 {
            let events = count(self.lost, "event");
            missing.push(format!("It lacks {events}, because what wrote it was too slow."));
        }
        if self.unread.unknown > 0 {
            let events = count(self.unread.unknown, "event");
            missing.push(format!("It has {events} of another version, which this one does not understand."));
        }
        if self.unread.damaged > 0 {
            missing.push(format!("It has {} that cannot be read.", count(self.unread.damaged, "line")));
        }
        if let Some(why) = &self.unread.broken_off {
            missing.push(format!("It could not be read to its end: {why}."));
        }
        missing
    }
}

/// Something that is missing in an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "gap", rename_all = "kebab-case")]
pub enum Gap {
    /// Its first steps are not there.
    NoBeginning,
    /// Events were lost while it was in hand.
    EventsLost {
        /// How many, of all requests.
        count: u64,
        /// When that was noticed, in microseconds after its first step.
        after_us: u64,
    },
    /// The records end before it does.
    RecordsEnd {
        /// How long after its first step, in microseconds.
        after_us: u64,
    },
    /// A load balancer started before it had an end: the one that had it was killed.
    StartedAgain,
    /// The same id came again before it had an end.
    CameAgain,
    /// The same id had come before and had no end yet.
    HadCome,
    /// More happened to its servers than is told.
    More {
        /// How many events.
        count: u64,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBeginning => f.write_str(
                "Its beginning is missing: it came before the oldest event that is still there, or the event was lost.",
            ),
            Self::EventsLost { count: n, after_us } => {
                let (events, after) = (count(*n, "event"), time(*after_us));
                write!(f, "Up to {after} after its beginning {events} were lost; some of its steps may be among them.")
            }
            Self::RecordsEnd { after_us } => {
                let after = time(*after_us);
                write!(f, "Its end is missing: the last event is {after} after its beginning. It may still be in hand.")
            }
            Self::StartedAgain => f.write_str(
                "Its end is missing: the load balancer was started again. The one that had it ended without a word to it.",
            ),
            Self::CameAgain => f.write_str(
                "Its end is missing: the same id came again before. If both were in hand at once, their steps cannot be \
                 told apart, and are told of the later one.",
            ),
            Self::HadCome => {
                f.write_str("The same id had come before and had no end yet: some of these steps may be of that one.")
            }
            Self::More { count: n } => write!(f, "{} of its servers are left out.", count(*n, "further event")),
        }
    }
}
