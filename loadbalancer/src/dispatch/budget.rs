//! How much trying again is allowed.
//!
//! **The problem.** When servers fail under load, every failed request comes again. The retries add to the load that
//! made them fail, and a bad minute becomes a bad hour: a retry storm.
//!
//! **The idea.** Retries may be at most a fifth of the requests in hand (and a few in any case, so that a quiet
//! system is not refused its second try). The first retry of a request after the loss of its server does not count:
//! a server that dies with 100 requests in hand may cost each of them one retry at once.
//!
//! Sources: the retry budgets of Finagle and Envoy (20 % of active requests, at least 3); Google's *Site Reliability
//! Engineering*, ch. 22.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One retry for so many requests in hand.
const REQUESTS_PER_RETRY: usize = 5;
/// Retries that are allowed however little is going on.
const ALWAYS: usize = 3;

/// The budget of one load balancer.
#[derive(Debug, Default)]
pub struct Budget {
    active: AtomicUsize,
    retrying: AtomicUsize,
}

/// A request in hand. Dropping it takes it off the account.
#[derive(Debug)]
pub struct Account<'a> {
    budget: &'a Budget,
    losses: u32,
    retrying: bool,
}

impl Budget {
    /// A request begins.
    pub fn open(&self) -> Account<'_> {
        self.active.fetch_add(1, Ordering::Relaxed);
        Account { budget: self, losses: 0, retrying: false }
    }
}

impl Account<'_> {
    /// The request has lost a server. Whether it may try another one.
    pub fn may_retry(&mut self) -> bool {
        self.losses += 1;
        if self.losses == 1 || self.retrying {
            return true;
        }
        let allowed = ALWAYS.max(self.budget.active.load(Ordering::Relaxed) / REQUESTS_PER_RETRY);
        let before = self.budget.retrying.fetch_add(1, Ordering::Relaxed);
        self.retrying = before < allowed;
        if !self.retrying {
            self.budget.retrying.fetch_sub(1, Ordering::Relaxed);
        }
        self.retrying
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.budget.active.fetch_sub(1, Ordering::Relaxed);
        if self.retrying {
            self.budget.retrying.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_free_and_the_others_are_a_fifth() {
        let budget = Budget::default();
        let mut accounts: Vec<_> = (0..50).map(|_| budget.open()).collect();
        assert!(accounts.iter_mut().all(Account::may_retry), "the first is free");
        let second = accounts.iter_mut().map(Account::may_retry).filter(|may| *may).count();
        assert_eq!(second, 10, "a fifth of 50");
        accounts.clear();
        let mut quiet = budget.open();
        assert!((0..4).all(|_| quiet.may_retry()), "a request that is retrying goes on");
    }

    #[test]
    fn what_ends_is_off_the_account() {
        let budget = Budget::default();
        {
            let mut account = budget.open();
            account.may_retry();
            account.may_retry();
        }
        assert_eq!((budget.active.into_inner(), budget.retrying.into_inner()), (0, 0));
    }
}
