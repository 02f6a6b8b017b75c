//! What came out of a simulation.

use std::time::Duration;

/// Latencies of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { sorted: times }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The time within which this part (0 to 1) of the requests was answered; zero if none was.
    #[must_use]
    pub fn percentile(&self, part: f64) -> Duration {
        let at = (self.sorted.len() as f64 * part).ceil() as usize;
        self.sorted.get(at.clamp(1, self.sorted.len().max(1)) - 1).copied().unwrap_or_default()
    }

    /// Their mean.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let sum: Duration = self.sorted.iter().sum();
        sum.checked_div(u32::try_from(self.sorted.len()).unwrap_or(u32::MAX)).unwrap_or_default()
    }
}

/// What one server did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerOutcome {
    /// Its id.
    pub id: String,
    /// Requests whose answer was its own.
    pub answered: u64,
    /// The part of all answers that were its own.
    pub share: f64,
    /// Requests it worked on, answered or not: copies and lost ones, too.
    pub begun: u64,
    /// The time it worked, all its places together.
    pub worked: Duration,
    /// How often it was ejected.
    pub ejections: u64,
}

/// Something was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// In which step.
    pub step: u64,
    /// At what time.
    pub at: Duration,
    /// What, as a sentence without its end.
    pub what: String,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Events that happened.
    pub steps: u64,
    /// The time that passed, by the virtual clock.
    pub lasted: Duration,
    /// Requests that came.
    pub requests: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that the client took back.
    pub withdrawn: u64,
    /// Requests that were refused: the queue was full, or the wait too long.
    pub refused: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Choices of a server.
    pub choices: u64,
    /// Those of them that another policy made than that of the scenario.
    pub choices_of_others: u64,
    /// Attempts after the first one of a request that are no copies.
    pub retries: u64,
    /// Copies sent.
    pub copies: u64,
    /// Work that was not needed: requests begun by servers beyond those answered, as a part of the answered ones.
    pub extra_work: f64,
    /// What each server did, in the order of the scenario.
    pub servers: Vec<ServerOutcome>,
    /// From the request to its answer.
    pub latencies: Latencies,
    /// What was wrong, if anything: then the run ended there.
    pub violation: Option<Violation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_times_themselves() {
        let latencies = Latencies::of((1..=100).rev().map(Duration::from_millis).collect());
        let ms = |part| latencies.percentile(part).as_millis();
        assert_eq!([ms(0.0), ms(0.5), ms(0.95), ms(0.99), ms(1.0)], [1, 50, 95, 99, 100]);
        assert_eq!(latencies.mean(), Duration::from_micros(50_500));
        assert_eq!(Latencies::default().percentile(0.5), Duration::ZERO);
    }
}
