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
    /// Whether there is a line, which can fail, between the load balancer and each server.
    pub lines: bool,
    /// What is asked.
    pub load: Load,
    /// What is done to them meanwhile.
    pub harm: Harm,
    /// Which errors clients may see.
    pub errors: Errors,
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
        }
    }
}
