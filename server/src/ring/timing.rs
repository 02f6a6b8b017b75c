//! How long things may take in a ring.

use std::time::Duration;

/// How often a server repeats to its neighbours what it knows.
pub(crate) const BEAT: Duration = Duration::from_millis(100);

/// A neighbour that was not heard for so long (ten beats) is taken for dead. If it is not, one election goes round without it.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);

/// How long a server stays in an election that comes to no result. Losing a neighbour in its middle takes [`SILENCE`].
const ELECT: Duration = Duration::from_secs(5);

/// How long a result may be on its way. Then the elected one gives its election up.
const COLLECT: Duration = Duration::from_secs(3);

/// The times of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Timing {
    /// After which an election without a result is given up.
    pub(crate) elect: Duration,
    /// How long an elected server waits for its result to come back from its way round.
    pub(crate) collect: Duration,
    /// How long it is down then.
    pub(crate) drill: Duration,
    /// How long a promise binds whoever gave it, if it is not released. Longer than `collect` and `drill` together: the elected
    /// server began to count before anybody promised, so its time is over first. The difference is what clocks may differ by.
    pub(crate) lease: Duration,
    /// How long a server is silent after its start: it may have promised something before, and has forgotten it.
    pub(crate) quiet: Duration,
}

impl Timing {
    /// The times of a ring with drills of this length.
    pub(crate) fn of(drill: Duration) -> Self {
        let lease = (COLLECT + drill) * 21 / 20;
        Self { elect: ELECT, collect: COLLECT, drill, lease, quiet: lease }
    }
}
