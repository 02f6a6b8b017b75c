//! What is done to the processes of a drill while clients ask.

use std::ops::RangeInclusive;

/// What is done.
#[derive(Clone, Debug)]
pub enum Harm {
    /// A random server is killed (`kill -9`) and started again at once.
    Kill {
        /// The time from one to the next, in milliseconds.
        every_ms: RangeInclusive<u64>,
    },
    /// A random server is stopped (SIGSTOP) for a while.
    Stop {
        /// How long, in milliseconds.
        lasting_ms: RangeInclusive<u64>,
        /// The pause until the next, in milliseconds.
        every_ms: RangeInclusive<u64>,
    },
    /// A random server is killed, stopped for a while, or ended in order; then started again, or let go on.
    Mixed {
        /// The pause until the next, in milliseconds.
        every_ms: RangeInclusive<u64>,
    },
    /// The line to a random server passes nothing for a while.
    CutOff {
        /// How long, in milliseconds.
        lasting_ms: RangeInclusive<u64>,
        /// The pause until the next, in milliseconds.
        every_ms: RangeInclusive<u64>,
    },
    /// The answers of a random server are late for a while.
    Slow {
        /// How late, in milliseconds.
        delay_ms: RangeInclusive<u64>,
        /// How long, in milliseconds.
        lasting_ms: RangeInclusive<u64>,
        /// The pause until the next, in milliseconds.
        every_ms: RangeInclusive<u64>,
    },
    /// The load balancer is killed (`kill -9`) and started again at once.
    RestartBalancer {
        /// The time from one to the next, in milliseconds.
        every_ms: RangeInclusive<u64>,
    },
}

impl Harm {
    /// What it is, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let range = |ms: &RangeInclusive<u64>| {
            let seconds = |ms: u64| ms as f64 / 1000.0;
            let (from, to) = (seconds(*ms.start()), seconds(*ms.end()));
            if ms.start() == ms.end() { format!("{from} s") } else { format!("{from}–{to} s") }
        };
        match self {
            Self::Kill { every_ms } => format!("kill -9 of a random server every {}, started again", range(every_ms)),
            Self::Stop { lasting_ms, every_ms } => {
                format!("SIGSTOP of a random server for {}, {} apart", range(lasting_ms), range(every_ms))
            }
            Self::Mixed { every_ms } => {
                format!("kill -9, SIGSTOP or restart of a random server, {} apart", range(every_ms))
            }
            Self::CutOff { lasting_ms, every_ms } => {
                format!("no byte to or from a random server for {}, {} apart", range(lasting_ms), range(every_ms))
            }
            Self::Slow { delay_ms, lasting_ms, every_ms } => format!(
                "answers of a random server {} late for {}, {} apart",
                range(delay_ms),
                range(lasting_ms),
                range(every_ms)
            ),
            Self::RestartBalancer { every_ms } => {
                format!("kill -9 of the load balancer every {}, started again", range(every_ms))
            }
        }
    }

    /// The pause between two blows, in milliseconds.
    pub(super) fn every_ms(&self) -> RangeInclusive<u64> {
        match self {
            Self::Kill { every_ms }
            | Self::Stop { every_ms, .. }
            | Self::Mixed { every_ms }
            | Self::CutOff { every_ms, .. }
            | Self::Slow { every_ms, .. }
            | Self::RestartBalancer { every_ms } => every_ms.clone(),
        }
    }

    /// Whether a blow lasts; the pause then begins at its end.
    pub(super) fn lasts(&self) -> bool {
        matches!(self, Self::Stop { .. } | Self::CutOff { .. } | Self::Slow { .. })
    }
}
