//! What a ring does, in sentences that a class can follow.

use super::message::{Nominee, Value};
use std::{fmt, net::SocketAddr, time::Duration};

/// Something worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Story {
    /// The time after the start in which nothing is promised is over.
    Joins,
    /// This server begins an election.
    Starts(Nominee),
    /// It would have begun one, but the last one elected is not known to be back.
    StartsNot(Nominee),
    /// Somebody else's election has come here, and this server drew that.
    Draws { round: u64, value: Value },
    /// The best of an election so far.
    Nominated(Nominee),
    /// The result of an election, which this server has promised to keep.
    Elected(Nominee),
    /// This server's own election has been everywhere.
    ElectedHere(Nominee),
    /// It is down now.
    Down { term: Nominee, drill: Duration },
    /// Somebody else is down.
    OtherDown(Nominee),
    /// This server is up again.
    Up(Nominee),
    /// Somebody else is up again, or has given his election up.
    OtherUp(Nominee),
    /// It has said nothing, and its time is over.
    TimeOver(Nominee),
    /// An election came to no result in time.
    NoResult { round: u64 },
    /// This server's result did not come back in time, or a better one came first: it stays up.
    GivesUp(Nominee),
    /// It wants to be down for longer than this server was told that drills are.
    TooLong { term: Nominee, drill: Duration },
    /// A neighbour says nothing any more.
    Silent(SocketAddr),
    /// A neighbour speaks.
    Heard(SocketAddr),
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joins => write!(f, "Takes part in elections from now on."),
            Self::Starts(me) => {
                write!(f, "Election {} begins: this server nominates itself with {:.4}.", me.round, me.value)
            }
            Self::StartsNot(down) => {
                write!(f, "No election: {} of election {} is not known to be back.", down.address, down.round)
            }
            Self::Draws { round, value } => write!(f, "Election {round}: this server draws {value:.4}."),
            Self::Nominated(best) => {
                write!(f, "Election {}: {} is nominated with {:.4}.", best.round, best.address, best.value)
            }
            Self::Elected(term) => {
                write!(f, "Election {}: {} is elected with {:.4}.", term.round, term.address, term.value)
            }
            Self::ElectedHere(term) => write!(
                f,
                "Election {}: this server is elected with {:.4}. It leaves when everybody knows.",
                term.round, term.value
            ),
            Self::Down { term, drill } => {
                write!(f, "Election {}: everybody knows. This server is down for {drill:?}.", term.round)
            }
            Self::OtherDown(term) => write!(f, "Election {}: {} is down.", term.round, term.address),
            Self::Up(term) => write!(f, "Election {} is over: this server is up again.", term.round),
            Self::OtherUp(term) => write!(f, "Election {} is over: {} is up.", term.round, term.address),
            Self::TimeOver(term) => {
                write!(f, "Election {} is over: {} has not said so, but its time is up.", term.round, term.address)
            }
            Self::NoResult { round } => write!(f, "Election {round} has come to no result, and is given up."),
            Self::GivesUp(term) => {
                write!(f, "Election {}: this server stays up: not everybody agreed in time.", term.round)
            }
            Self::TooLong { term, drill } => write!(
                f,
                "Election {}: {} wants to be down for {drill:?}, longer than --drill-for here: not agreed.",
                term.round, term.address
            ),
            Self::Silent(neighbour) => write!(f, "The neighbour {neighbour} is silent."),
            Self::Heard(neighbour) => write!(f, "The neighbour {neighbour} is there."),
        }
    }
}
