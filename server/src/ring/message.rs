//! What servers of a ring say to each other: one line of text in a datagram.
//!
//! ```text
//! e,127.0.0.1:7003,0.823456789,12                          7003 is nominated with 0.82 in election 12
//! e,127.0.0.1:7003,0.823456789,12,127.0.0.1:7002,127.0.0.1:7003     … and so says everybody as far as 7002
//! r,127.0.0.1:7003,0.823456789,12,15000                    7003 is elected, and wants to be down for 15,000 ms
//! d,127.0.0.1:7003,0.823456789,12,15000                    7003 is down
//! u,127.0.0.1:7003,0.823456789,12                          the last one elected, 7003 in election 12, is up
//! ```
//!
//! The first three fields of `e` and `r` are those of the original system, and so is the first byte of `d` and `u`: who knows
//! only these reads them, and finds more behind the next comma. What comes from there, without a round, is not
//! understood here: a message that does not say which election it is of is the defect that this protocol mends.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

/// Longest message, in bytes: three IPv6 addresses and the numbers take less than 200.
pub(crate) const MAX_MESSAGE: usize = 256;

/// Digits of a value behind the point.
const DIGITS: usize = 9;

/// Highest round that is understood: an election a second since the beginning of the universe, nearly. It keeps a forged
/// message from driving the number to where it cannot be counted on.
const MAX_ROUND: u64 = 1_000_000_000_000_000;

/// Longest drill that is understood, a day, in milliseconds.
const MAX_DRILL_MS: u64 = 86_400_000;

/// The value with which a server stands for election, drawn afresh each time: 0 to 1, in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Value(pub(crate) u32);

impl Value {
    /// One past the highest.
    pub(crate) const END: u32 = 1_000_000_000;
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("0.{:0DIGITS$}", self.0);
        // `{:.4}` is for people: cut, never rounded up to 1.
        f.write_str(&digits[..f.precision().map_or(digits.len(), |places| digits.len().min(places + 2))])
    }
}

impl FromStr for Value {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Self, NotUnderstood> {
        let digits = text.strip_prefix("0.").filter(|digits| (1..=DIGITS).contains(&digits.len()));
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).ok_or(NotUnderstood)?;
        Ok(Self(format!("{digits:0<DIGITS$}").parse().map_err(|_| NotUnderstood)?))
    }
}

/// A server that stands in an election. The three together name the *term* that it may be elected for: no two terms are
/// alike, because the value is drawn anew, also after a restart that forgot the round. Ordered as nominees are compared:
/// the later round, the higher value, the higher address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Nominee {
    /// The number of the election.
    pub(crate) round: u64,
    /// What it drew.
    pub(crate) value: Value,
    /// Where it is in the ring.
    pub(crate) address: SocketAddr,
}

/// How far something has travelled in one direction: the last server that has it, and the one behind that, which does not
/// (or is the nominee itself: then it came all the way round).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct End {
    /// The last that has it.
    pub(crate) last: SocketAddr,
    /// Its neighbour in that direction.
    pub(crate) next: SocketAddr,
}

/// What is said of a nominee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It is the best so far.
    Election,
    /// It is elected. Who passes this on promises it that no other will be down for as long.
    Result {
        /// How long it wants to be down.
        drill: Duration,
    },
    /// It is down.
    Down {
        /// For so long.
        drill: Duration,
    },
    /// Its term is over, and it is up.
    Up,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) nominee: Nominee,
    /// How far it has travelled behind the sender's back, if that is known. Of `e` and `r` only.
    pub(crate) end: Option<End>,
}

/// It is no message of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotUnderstood;

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, drill) = match self.kind {
            Kind::Election => ('e', None),
            Kind::Result { drill } => ('r', Some(drill)),
            Kind::Down { drill } => ('d', Some(drill)),
            Kind::Up => ('u', None),
        };
        let Nominee { round, value, address } = self.nominee;
        write!(f, "{letter},{address},{value},{round}")?;
        drill.map_or(Ok(()), |drill| write!(f, ",{}", drill.as_millis()))?;
        self.end.map_or(Ok(()), |end| write!(f, ",{},{}", end.last, end.next))
    }
}

impl FromStr for Message {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Self, NotUnderstood> {
        let mut fields = text.split(',');
        let letter = fields.next();
        let nominee = Nominee {
            address: next(&mut fields)?,
            value: next(&mut fields)?,
            round: Some(next(&mut fields)?).filter(|round| *round <= MAX_ROUND).ok_or(NotUnderstood)?,
        };
        let kind = match letter {
            Some("e") => Kind::Election,
            Some("r") => Kind::Result { drill: drill(&mut fields)? },
            Some("d") => Kind::Down { drill: drill(&mut fields)? },
            Some("u") => Kind::Up,
            _ => return Err(NotUnderstood),
        };
        let travels = matches!(kind, Kind::Election | Kind::Result { .. });
        let end = match fields.next() {
            Some(last) if travels => {
                Some(End { last: last.parse().map_err(|_| NotUnderstood)?, next: next(&mut fields)? })
            }
            Some(_) => return Err(NotUnderstood),
            None => None,
        };
        if fields.next().is_some() { Err(NotUnderstood) } else { Ok(Self { kind, nominee, end }) }
    }
}

fn next<'a, T: FromStr>(fields: &mut impl Iterator<Item = &'a str>) -> Result<T, NotUnderstood> {
    fields.next().and_then(|field| field.parse().ok()).ok_or(NotUnderstood)
}

fn drill<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Result<Duration, NotUnderstood> {
    let ms = Some(next(fields)?).filter(|ms| *ms <= MAX_DRILL_MS).ok_or(NotUnderstood)?;
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 5] = [
        "e,127.0.0.1:7003,0.823456789,12",
        "e,127.0.0.1:7003,0.823456789,12,127.0.0.1:7002,127.0.0.1:7003",
        "r,[::1]:7003,0.000000001,12,15000,[::1]:7001,[::1]:7002",
        "d,127.0.0.1:7003,0.100000000,12,15000",
        "u,127.0.0.1:7003,0.823456789,12",
    ];

    #[test]
    fn each_message_is_read_as_it_was_written() {
        for line in LINES {
            assert_eq!(line.parse::<Message>().unwrap().to_string(), line);
        }
        assert_eq!("0.5".parse(), Ok(Value(500_000_000)));
    }

    /// A server of the original looks at the first byte, and at three fields.
    #[test]
    fn the_first_three_fields_are_those_of_the_original() {
        let fields: Vec<&str> = LINES[2].split(',').collect();
        assert_eq!(fields[..3], ["r", "[::1]:7003", "0.000000001"]);
        assert_eq!((LINES[3].as_bytes()[0], LINES[4].as_bytes()[0]), (b'd', b'u'));
    }

    #[test]
    fn what_is_cut_mutilated_or_without_a_round_is_no_message() {
        for line in LINES {
            for cut in 0..line.len() {
                let Ok(message) = line[..cut].parse::<Message>() else { continue };
                // Cut inside a number, or before the optional end: another message, and a whole one.
                assert_eq!(message.to_string().parse(), Ok(message), "{}", &line[..cut]);
            }
        }
        for line in [
            "",
            "d",
            "u",
            "e,127.0.0.1:7003,0.5",
            "e,127.0.0.1:7003,1.5,1",
            "e,127.0.0.1:7003,0.,1",
            "e,127.0.0.1:7003,0.1234567890,1",
            "e,127.0.0.1:7003,0.5,-1",
            "e,127.0.0.1:7003,0.5,18446744073709551615",
            "x,127.0.0.1:7003,0.5,1",
            "e,somewhere:7003,0.5,1",
            "r,127.0.0.1:7003,0.5,1",
            "r,127.0.0.1:7003,0.5,1,99999999999",
            "u,127.0.0.1:7003,0.5,1,127.0.0.1:7002,127.0.0.1:7003",
            "e,127.0.0.1:7003,0.5,1,127.0.0.1:7002",
            "e,127.0.0.1:7003,0.5,1,127.0.0.1:7002,127.0.0.1:7003,x",
        ] {
            assert_eq!(line.parse::<Message>(), Err(NotUnderstood), "{line}");
        }
    }
}
