//! On which terms a server takes work, whatever the service.

use crate::{
    Config,
    slots::Slots,
    work::{Interest, Unfinished, Work},
};
use protocol::deadline::Deadline;
use std::{sync::Arc, time::Duration};

/// The server's name, how much it takes at once, and what each piece of work costs.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The server's id.
    pub(crate) id: String,
    /// Places for work.
    pub(crate) slots: Arc<Slots>,
    /// What each piece of work costs, as the server says.
    pub(crate) processing_time: Duration,
    /// What it costs in truth.
    takes: Duration,
    /// How that is spent.
    work: Work,
}

impl Terms {
    /// The terms of this configuration, with these places.
    pub(crate) fn new(config: &Config, slots: &Arc<Slots>) -> Self {
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds.max(0.0));
        Self {
            id: config.id.clone(),
            slots: Arc::clone(slots),
            processing_time: seconds(config.processing_time),
            takes: seconds(config.really.unwrap_or(config.processing_time)),
            work: config.work,
        }
    }

    /// Whether the work takes no time.
    pub(crate) fn is_quick(&self) -> bool {
        self.takes.is_zero()
    }

    /// Spends the processing time, or as much of it as somebody waits for.
    pub(crate) fn spend(&self, interest: &impl Interest, first_byte: Option<Deadline>) -> Result<(), Unfinished> {
        self.work.spend(self.takes, interest, first_byte)
    }
}
