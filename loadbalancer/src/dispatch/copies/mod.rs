//! Copies: the same request at several servers, and the first answer wins.
//!
//! **The problem.** A request is as slow as the one server it went to. One server in a hundred is slow just now (it
//! collects garbage, its disk is busy, it is stopped), and with it one request in a hundred: the tail of the latencies.
//!
//! **The idea.** *Duplicate*: send every request to `k` servers at once and take the first answer. The tail is gone, and
//! so is half of what the servers can do (or more). *Hedge*: send a second copy only when the first has not answered
//! after a while, at which 95 % of the requests are done. Then only 5 % of the requests cost twice, and they are the ones
//! that are worth it. A *budget* makes sure of it: if everything is slow, because there is too much to do, copies would
//! make it worse, so beyond 20 copies for 100 requests there are none.
//!
//! **Worked example.** Five servers answer in 10 ms; one of them needs 100 ms. Round robin: one request in five takes 100 ms,
//! so the 99th percentile is 100 ms. Hedged after 15 ms: those requests get their answer from another server after
//! 15 + 10 = 25 ms, for 20 % more work.
//!
//! **What may be copied.** Only what does no harm twice: files, and SQL that reads. Whether SQL reads is for the database
//! to say, not for us: copies are sent marked *read-only*, and a server refuses to write under that mark. A duplicated
//! statement that is refused so goes again, alone and unmarked. A hedged one was unmarked at first, so only its copy is
//! refused, and the first server goes on. The losers are told to stop, and each gives its place back once, when it has
//! confirmed that ([`losers`](super::losers)).
//!
//! **When it is wrong.** When all servers are slow for the same reason (a lock in the shared database, a statement that is
//! slow everywhere), copies only add to it.
//!
//! Sources: J. Dean, L. A. Barroso, *The Tail at Scale*, CACM 56(2), 2013 (hedged requests after the 95th percentile:
//! 2 % more load); A. Vulimiri et al., *Low Latency via Redundancy*, CoNEXT 2013 (duplicates pay below a third of the
//! load); gRFC A6 (hedging and its throttling in gRPC).

pub mod allowance;
pub mod quantile;
pub mod reason;

use self::{allowance::Allowance, quantile::Recent};
use parking_lot::Mutex;
use std::{str::FromStr, time::Duration};

/// Fewer answers than this say nothing about a percentile; until then nothing is hedged by it.
const ENOUGH: usize = 50;
/// No copy is sent sooner than this: below it the noise of a computer decides who is late.
const SOONEST: Duration = Duration::from_millis(1);

/// When copies are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Copying {
    /// Never.
    Never,
    /// To so many servers at once, the first one counted.
    Duplicate(u32),
    /// One more, if there is no answer by then.
    Hedge(After),
}

/// How long the first server is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    /// So long.
    Time(Duration),
    /// As long as this part of the requests needs, by what was measured lately: 0.95 for 95 %.
    Quantile(f64),
}

impl FromStr for After {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(percent) = text.strip_suffix('%') else {
            return match protocol::flags::parse_duration(text)? {
                Duration::ZERO => Err("A copy after no time at all is a duplicate: see --duplicate.".to_owned()),
                time => Ok(Self::Time(time)),
            };
        };
        match percent.trim().parse::<f64>() {
            Ok(percent) if (50.0..100.0).contains(&percent) => Ok(Self::Quantile(percent / 100.0)),
            _ => Err(format!("'{text}' is not a part of the requests: it may be 50% to 99.9%.")),
        }
    }
}

/// Flags about copies.
#[derive(Clone, Debug, clap::Args)]
pub struct CopyFlags {
    /// Send every request that may be copied to K servers at once and take the first answer
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(2..=16), conflicts_with = "hedge_after")]
    pub duplicate: Option<u32>,
    /// Send a copy to a second server when the first has not answered after this time, or after the time in which so many
    /// of the requests are answered (50ms, 95%)
    #[arg(long, value_name = "TIME|PERCENT")]
    pub hedge_after: Option<After>,
    /// How many copies hedging may send for 100 requests (20%)
    #[arg(long, value_name = "PERCENT", default_value = "20%", value_parser = parse_percent)]
    pub hedge_budget: f64,
}

impl CopyFlags {
    /// When copies are sent.
    #[must_use]
    pub fn copying(&self) -> Copying {
        match (self.duplicate, self.hedge_after) {
            (Some(servers), _) => Copying::Duplicate(servers),
            (None, Some(after)) => Copying::Hedge(after),
            (None, None) => Copying::Never,
        }
    }
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    match number {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("'{text}' is not a part of a hundred: it may be 0% to 100%.")),
    }
}

/// The copies of one load balancer: when they are sent, and what is allowed.
#[derive(Debug)]
pub struct Copies {
    copying: Copying,
    /// The times of recent answers. The lock is held to add one, or to read the last result.
    recent: Mutex<Recent>,
    allowance: Allowance,
}

impl Copies {
    /// Copies as these flags have it.
    #[must_use]
    pub fn new(flags: &CopyFlags) -> Self {
        Self {
            copying: flags.copying(),
            recent: Mutex::new(Recent::default()),
            allowance: Allowance::new(flags.hedge_budget),
        }
    }

    /// Whether there are any copies at all.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.copying != Copying::Never
    }

    /// How many servers get the request at once.
    #[must_use]
    pub fn at_once(&self) -> u32 {
        if let Copying::Duplicate(servers) = self.copying { servers } else { 1 }
    }

    /// A request that may be copied begins: how long its first server is waited for before a copy is sent.
    #[must_use]
    pub fn hedge_after(&self) -> Option<Duration> {
        let Copying::Hedge(after) = self.copying else { return None };
        self.allowance.earn();
        match after {
            After::Time(time) => Some(time),
            After::Quantile(part) => {
                let recent = self.recent.lock().quantile(part, ENOUGH);
                recent.map(|time| time.max(SOONEST))
            }
        }
    }

    /// Whether a hedge may be sent now; if so, it is paid for.
    #[must_use]
    pub fn may_hedge(&self) -> bool {
        self.allowance.spend()
    }

    /// The hedge that was paid for could not be sent.
    pub fn not_sent(&self) {
        self.allowance.give_back();
    }

    /// A request was answered in this time.
    pub fn answered(&self, took: Duration) {
        if let Copying::Hedge(After::Quantile(_)) = self.copying {
            self.recent.lock().add(took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(duplicate: Option<u32>, hedge_after: Option<&str>) -> CopyFlags {
        CopyFlags { duplicate, hedge_after: hedge_after.map(|text| text.parse().unwrap()), hedge_budget: 0.2 }
    }

    #[test]
    fn when_to_hedge_is_a_time_or_a_part_of_the_requests() {
        assert_eq!("50ms".parse(), Ok(After::Time(Duration::from_millis(50))));
        assert_eq!("95%".parse(), Ok(After::Quantile(0.95)));
        for wrong in ["", "soon", "5%", "100%", "x%", "0", "-3ms"] {
            assert!(wrong.parse::<After>().is_err(), "{wrong}");
        }
        assert!(parse_percent("101%").is_err() && parse_percent("NaN").is_err());
    }

    #[test]
    fn a_percentile_is_waited_for_only_once_it_is_known() {
        let copies = Copies::new(&flags(None, Some("95%")));
        assert_eq!(copies.hedge_after(), None);
        (1..=100).for_each(|ms| copies.answered(Duration::from_millis(ms)));
        let after = copies.hedge_after().unwrap();
        assert!((Duration::from_millis(90)..=Duration::from_millis(97)).contains(&after), "{after:?}");
    }

    #[test]
    fn duplicates_go_at_once_and_are_not_hedged() {
        let copies = Copies::new(&flags(Some(3), None));
        assert_eq!((copies.at_once(), copies.hedge_after()), (3, None));
        assert_eq!(Copies::new(&flags(None, None)).at_once(), 1);
    }
}
