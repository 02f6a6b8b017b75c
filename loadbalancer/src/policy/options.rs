//! What can be chosen beside a policy's name.
//!
//! So far only `consistent-hash` has anything to choose; the flags have its word, *ring*, in their names.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The slots of the coursework's ring.
pub const COURSEWORK_SLOTS: u64 = 512;
/// The points of each server on the coursework's ring: log₂ of its slots.
pub const COURSEWORK_POINTS: u32 = 9;
/// The points of each server otherwise. The shares of servers differ by about 1/√K: 8 %.
pub const POINTS: u32 = 150;

/// How many slots a ring may have: 2²⁴ hold 150 points for each of 100,000 servers; more is a typing error.
pub const SLOTS_ALLOWED: RangeInclusive<u64> = 1..=1 << 24;
/// How many points a server may have: at 10,000 the shares are even to 1 %, and a thousand servers need 160 MB.
pub const POINTS_ALLOWED: RangeInclusive<u32> = 1..=10_000;

/// Options of the policies that have any.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// For consistent-hash: how servers and requests find their places on the ring
    #[arg(long, value_enum, default_value_t, value_name = "HASH")]
    pub ring_hash: RingHash,
    /// For consistent-hash: the slots of the ring [default: none, positions of 64 bits; with the coursework's hash 512]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(SLOTS_ALLOWED))]
    pub ring_slots: Option<u64>,
    /// For consistent-hash: the points of each server, at its full weight [default: 150; with the coursework's hash 9]
    #[arg(long, value_name = "K", value_parser = points)]
    pub ring_points: Option<u32>,
    /// For consistent-hash: where a point goes whose slot is taken
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub ring_probing: Probing,
    /// For consistent-hash: how many times its share of the load a server may hold, 1 or more, as 1.25; 0: any load
    #[arg(long, value_name = "FACTOR", default_value_t = 0.0, value_parser = bound)]
    pub ring_bound: f64,
}

/// How servers and requests find their places on the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RingHash {
    /// By xxHash 3, as even as dice.
    #[default]
    Xxh3,
    /// By the two polynomials of the coursework, which are far from even.
    Coursework,
}

/// Where a point goes whose slot is taken, on a ring that has slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probing {
    /// To the next free slot.
    #[default]
    Linear,
    /// 1, 4, 9, 16 … slots on, to the first free one.
    Quadratic,
}

/// Why options cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// Too few or too many slots.
    #[error("a ring has 1 to {most} slots, not {0}", most = SLOTS_ALLOWED.end())]
    Slots(u64),
    /// Too few or too many points.
    #[error("a server has 1 to {most} points on the ring, not {0}", most = POINTS_ALLOWED.end())]
    Points(u32),
    /// Not even one server finds room.
    #[error(
        "{points} points of a server do not fit into {slots} slots: make --ring-points smaller or --ring-slots larger"
    )]
    NoRoom {
        /// For each server.
        points: u32,
        /// In all.
        slots: u64,
    },
    /// A factor that cannot be kept, or is no number.
    #[error("the bound is a factor of 1 or more (1.25: a quarter above the share), or 0 for none, not {0}")]
    Bound(f64),
}

impl Options {
    /// Whether they can be. The command line has looked at each flag already, but not at two together; what comes
    /// another way has not been looked at.
    ///
    /// # Errors
    /// With the first that cannot be.
    pub fn check(&self) -> Result<(), OptionsError> {
        if let Some(slots) = self.ring_slots.filter(|slots| !SLOTS_ALLOWED.contains(slots)) {
            return Err(OptionsError::Slots(slots));
        }
        let points = self.points();
        if !POINTS_ALLOWED.contains(&points) {
            return Err(OptionsError::Points(points));
        }
        if let Some(slots) = self.slots().filter(|slots| u64::from(points) > *slots) {
            return Err(OptionsError::NoRoom { points, slots });
        }
        if is_bound(self.ring_bound) { Ok(()) } else { Err(OptionsError::Bound(self.ring_bound)) }
    }

    /// The slots of the ring, if it has slots.
    #[must_use]
    pub fn slots(&self) -> Option<u64> {
        let usual = match self.ring_hash {
            RingHash::Xxh3 => None,
            RingHash::Coursework => Some(COURSEWORK_SLOTS),
        };
        self.ring_slots.or(usual)
    }

    /// The points of a server of full weight.
    #[must_use]
    pub fn points(&self) -> u32 {
        let usual = match self.ring_hash {
            RingHash::Xxh3 => POINTS,
            RingHash::Coursework => COURSEWORK_POINTS,
        };
        self.ring_points.unwrap_or(usual)
    }

    /// The factor that bounds the load, if any does.
    #[must_use]
    pub fn bound(&self) -> Option<f64> {
        (self.ring_bound >= 1.0).then_some(self.ring_bound)
    }
}

fn is_bound(factor: f64) -> bool {
    factor == 0.0 || (factor >= 1.0 && factor.is_finite())
}

fn bound(text: &str) -> Result<f64, String> {
    let factor = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if is_bound(factor) { Ok(factor) } else { Err(OptionsError::Bound(factor).to_string()) }
}

fn points(text: &str) -> Result<u32, String> {
    let points = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
    if POINTS_ALLOWED.contains(&points) { Ok(points) } else { Err(OptionsError::Points(points).to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(flags: &str) -> Result<Options, String> {
        let line = Line::try_parse_from(std::iter::once("x").chain(flags.split_whitespace()));
        let options = line.map_err(|why| why.to_string())?.options;
        options.check().map_err(|why| why.to_string()).map(|()| options)
    }

    #[test]
    fn nothing_said_is_the_default() {
        let options = parse("").unwrap();
        assert_eq!(options, Options::default());
        assert_eq!((options.slots(), options.points(), options.bound()), (None, 150, None));
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&json).unwrap(), options, "{json}");
        assert_eq!(serde_json::from_str::<Options>("{}").unwrap(), options);
    }

    #[test]
    fn the_coursework_has_its_own_measures() {
        let options = parse("--ring-hash coursework --ring-bound 1.25 --ring-probing quadratic").unwrap();
        assert_eq!((options.slots(), options.points(), options.bound()), (Some(512), 9, Some(1.25)));
        let options = parse("--ring-hash coursework --ring-slots 65537 --ring-points 150").unwrap();
        assert_eq!((options.slots(), options.points()), (Some(65_537), 150));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        for (flags, why) in [
            ("--ring-bound 0.99", "the bound is a factor of 1 or more"),
            ("--ring-bound=-1.25", "the bound is a factor of 1 or more"),
            ("--ring-bound NaN", "the bound is a factor of 1 or more"),
            ("--ring-bound inf", "the bound is a factor of 1 or more"),
            ("--ring-bound much", "\"much\" is not a number"),
            ("--ring-points 0", "a server has 1 to 10000 points"),
            ("--ring-points 10001", "a server has 1 to 10000 points"),
            ("--ring-points=-1", "\"-1\" is not a whole number"),
            ("--ring-slots 0", "0 is not in 1..=16777216"),
            ("--ring-slots 149", "150 points of a server do not fit into 149 slots"),
            ("--ring-hash coursework --ring-points 513", "513 points of a server do not fit into 512 slots"),
            ("--ring-hash md5", "possible values: xxh3, coursework"),
        ] {
            let told = parse(flags).expect_err(flags);
            assert!(told.contains(why), "{flags}: {told}");
        }
        let wild = Options { ring_slots: Some(0), ..Options::default() };
        assert_eq!(wild.check(), Err(OptionsError::Slots(0)));
        assert!(serde_json::from_str::<Options>(r#"{"ring_slot": 5}"#).is_err(), "a misspelt option is not ignored");
    }
}
