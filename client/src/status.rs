//! With which status the program ends.

use std::process::ExitCode;

/// What became of a request, or of the worst of several. Ordered: the worse, the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All was done.
    #[default]
    Done,
    /// Something was refused or failed, for certain.
    Failed,
    /// Nobody knows whether something was done.
    Unknown,
}

impl Status {
    /// Notes another outcome; the worst remains.
    pub fn add(&mut self, other: Self) {
        *self = (*self).max(other);
    }

    /// 0 done, 1 failed, 3 unknown. (2 is wrong usage, which ends the program before any request.)
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Unknown => 3,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_remains() {
        let worst = |all: &[Status]| {
            let mut status = Status::default();
            all.iter().for_each(|other| status.add(*other));
            status.code()
        };
        assert_eq!(worst(&[]), 0);
        assert_eq!(worst(&[Status::Done, Status::Failed, Status::Done]), 1);
        assert_eq!(worst(&[Status::Unknown, Status::Failed]), 3);
    }
}
