//! What happens in a drill, and what is expected of it.

use super::{asker::Load, harm::Harm};

/// A drill, as it is played.
#[derive(Clone, Debug)]
pub struct Scene {
    /// How many servers there are.
    pub servers: usize,
    /// What each request costs them, in seconds.
    pub processing_time: f64,
    /// How many requests each takes at once.
    pub capacity: u32,
    /// How many files they give away.
    pub files: usize,
    /// The size of each, in bytes.
    pub file_size: usize,
    /// Whether each server has files of other content under the same names, also after it was started again.
    pub copies_differ: bool,
    /// Whether there is one more file, larger than what all buffers on the way hold.
    pub large_file: bool,
    /// What is between the load balancer and each server.
    pub between: Between,
    /// Flags of the load balancer.
    pub flags: Vec<String>,
    /// What is asked.
    pub load: Load,
    /// What is done to them meanwhile.
    pub harm: Harm,
    /// Which errors clients may see.
    pub errors: Errors,
    /// What else must be true.
    pub more: Vec<Must>,
}

/// What is between the load balancer and each server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// The loopback of this machine.
    Nothing,
    /// A line of ours, which can fail.
    Lines,
    /// A network of namespaces, which can lose packets; where that is not allowed, a line of ours.
    Network,
}

/// Which errors clients may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// None.
    Never,
    /// Only such that leave the outcome open, and only when the request's time was over.
    OpenPastDeadline,
    /// Only such that leave the outcome open.
    Open,
    /// Any, as long as no answer is wrong: the copies of the files differ.
    ButNoMixture,
    /// While no server lives: that none does, told for certain and in time; or, of what was sent, that the outcome is open.
    NoServer,
    /// That there is no room: for certain, at once, with a time to come again.
    NoRoom,
    /// That the load balancer is ending, for certain; or nothing, where a request met the end of a connection that was idle.
    Ending,
}

impl Errors {
    /// What is expected, as a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Never => "no client sees an error",
            Self::OpenPastDeadline => "clients see no error but unknown outcomes, those only past the deadline",
            Self::Open => "clients see no error but unknown outcomes",
            Self::ButNoMixture => "a file is whole and of one server, or an error",
            Self::NoServer => {
                "clients see errors only while no server lives: 'unavailable' within 4 s, or an unknown outcome"
            }
            Self::NoRoom => "clients see no error but 'busy', definite, with a time to come again",
            Self::Ending => {
                "clients see no error but that the load balancer is ending, or the end of a connection that was idle"
            }
        }
    }
}

/// Something else that must be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// What happens to a server is noticed within so many milliseconds, whenever it is noticed at all.
    NoticeWithinMs(u64),
    /// Whoever lost a server is answered by another one within so many milliseconds after that was noticed.
    RescueWithinMs(u64),
    /// A server of which answers come late is given up, and what it says too late is dropped.
    DropLateAnswers,
    /// The state of a server that flaps changes at most so many times for ten times that it went and came.
    ChangePerTenFlaps(usize),
    /// Whoever is refused is told at once: 99 % within so many milliseconds.
    RefuseWithinMs(u64),
    /// A server that is drained holds nothing after so many milliseconds, and gets nothing until it is ready again.
    EmptyWithinMs(u64),
    /// Every request that the load balancer had taken is answered, also when it is told to end.
    FinishWhatIsTaken,
    /// The policy changes at least so many times.
    ChangePolicy(usize),
    /// Rude clients are cut off within so many milliseconds.
    CutOffWithinMs(u64),
    /// The time within which 99 % of the answers come at most doubles, or stays below this, in milliseconds.
    KeepP99OrMs(u64),
    /// The load balancer's memory grows by no more than this, in MiB.
    GrowByMib(u64),
}
