//! How many hedges are allowed: a bucket of tokens.
//!
//! Each request earns a part of a token (0.2 for a budget of 20 %), each hedge spends a whole one. What is earned and not
//! spent is kept up to a few tokens, so that a quiet system can hedge a few requests in a row, and a slow hour cannot be
//! followed by a storm. So of any `n` requests in a row at most `n × budget + 10` are hedged. (The retry throttling of
//! gRFC A6 and the retry budget of Finagle work like this.)

use std::sync::atomic::{AtomicU64, Ordering};

/// Parts of a token that are counted.
const PARTS: u64 = 1_000;
/// Tokens that are kept at the most; also what there is at the beginning.
const KEPT: u64 = 10;

/// The tokens of one load balancer.
#[derive(Debug)]
pub struct Allowance {
    earned_by_each: u64,
    parts: AtomicU64,
}

impl Allowance {
    /// This part of the requests may be hedged, 0 to 1.
    #[must_use]
    pub fn new(budget: f64) -> Self {
        let earned_by_each = (budget.clamp(0.0, 1.0) * PARTS as f64) as u64;
        let begin = if earned_by_each == 0 { 0 } else { KEPT * PARTS };
        Self { earned_by_each, parts: AtomicU64::new(begin) }
    }

    /// A request has come.
    pub fn earn(&self) {
        self.add(self.earned_by_each);
    }

    /// A hedge whose token is spent was not sent.
    pub fn give_back(&self) {
        self.add(PARTS);
    }

    fn add(&self, more: u64) {
        let add = |parts: u64| Some((parts + more).min(KEPT * PARTS));
        let _always = self.parts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Whether a hedge may be sent; then its token is spent.
    #[must_use]
    pub fn spend(&self) -> bool {
        self.parts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |parts| parts.checked_sub(PARTS)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_and_a_few_at_the_beginning() {
        let allowance = Allowance::new(0.2);
        let spent = (0..1_000).filter(|_| {
            allowance.earn();
            allowance.spend()
        });
        assert_eq!(spent.count(), 200 + 9, "the first request could earn nothing: the bucket was full");
    }

    #[test]
    fn a_quiet_time_earns_no_storm() {
        let allowance = Allowance::new(0.5);
        (0..1_000).for_each(|_| allowance.earn());
        assert_eq!((0..100).filter(|_| allowance.spend()).count(), 10);
        allowance.give_back();
        assert!(allowance.spend() && !allowance.spend());
    }

    #[test]
    fn no_budget_is_none() {
        let allowance = Allowance::new(0.0);
        allowance.earn();
        assert!(!allowance.spend());
    }
}
