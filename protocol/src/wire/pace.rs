//! The least rate of a body.

use crate::{deadline::Deadline, limits::RELAY_BLOCK};
use std::time::Duration;

/// The time for a body: each [`RELAY_BLOCK`] of it has so much, counted from the end of the one before, so that a fast
/// beginning earns no credit for a stall.
pub(super) struct Pace {
    patience: Duration,
    deadline: Deadline,
    in_block: usize,
}

impl Pace {
    pub(super) fn begin(patience: Duration) -> Self {
        Self { patience, deadline: Deadline::after(patience), in_block: 0 }
    }

    /// When the block that is passing now must have passed.
    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// How much of the block is still to pass, in bytes; never 0.
    pub(super) fn left(&self) -> usize {
        RELAY_BLOCK - self.in_block
    }

    /// The peer was not asked for anything for a while: the block's time begins anew.
    pub(super) fn resume(&mut self) {
        self.deadline = Deadline::after(self.patience);
    }

    /// These many bytes have passed.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.in_block += bytes;
        if self.in_block >= RELAY_BLOCK {
            *self = Self::begin(self.patience);
        }
    }
}
