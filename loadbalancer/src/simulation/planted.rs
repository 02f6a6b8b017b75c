//! Mistakes, planted on purpose: the books must find each of them.

use super::rules::Rules;
use crate::{
    policy::{Ended, ServerKey},
    pool::core::{Core, Decision, Effects, Taken, Ticket, Wanted},
};
use std::time::Duration;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// One server in a hundred is not given back.
    ForgetsToGiveBack,
    /// A server is given back twice, now and then.
    GivesBackTwice,
    /// Who came last is served first.
    ServesTheLastFirst,
    /// A full server is given one more, now and then.
    ExceedsCapacity,
    /// An answer settles doubts that arose after the question.
    BelievesOldAnswers,
    /// Who leaves the queue stays in it.
    ForgetsToWithdraw,
    /// A lost answer is taken for an answer: the server is idle at once.
    TrustsTheLost,
    /// A copy may go to the server that has the request.
    CopiesToTheSame,
    /// Nobody looks at the queue when a server comes back.
    ForgetsTheQueue,
}

/// Each mistake, and a word of what the books say about it.
pub(super) const ALL: [(Mistake, &str); 9] = [
    (Mistake::ForgetsToGiveBack, "the pool believes 1"),
    (Mistake::GivesBackTwice, "the pool believes"),
    (Mistake::ServesTheLastFirst, "turn"),
    (Mistake::ExceedsCapacity, "holds"),
    (Mistake::BelievesOldAnswers, "the pool believes"),
    (Mistake::ForgetsToWithdraw, "wait, and the pool believes"),
    (Mistake::TrustsTheLost, "the pool believes"),
    (Mistake::CopiesToTheSame, "is given a copy"),
    (Mistake::ForgetsTheQueue, "the pool believes"),
];

/// The rules with a mistake.
#[derive(Debug)]
pub(super) struct Mistaken {
    pub(super) core: Core,
    pub(super) mistake: Mistake,
    pub(super) calls: u64,
    /// Those who wait: the name they know, and the name the queue knows.
    pub(super) waiting: Vec<(Ticket, Ticket)>,
}

impl Mistaken {
    pub(super) fn new(core: Core, mistake: Mistake) -> Self {
        Self { core, mistake, calls: 0, waiting: Vec::new() }
    }

    /// Gives what the first in the queue has got to the last one, which gets the first one's place.
    fn turned_around(&mut self, mut effects: Effects) -> Effects {
        for grant in &mut effects.grants {
            let Some(first) = self.waiting.iter().position(|(_, queued)| *queued == grant.ticket) else { continue };
            if self.mistake == Mistake::ServesTheLastFirst {
                let last = self.waiting.len() - 1;
                self.waiting[first].1 = self.waiting[last].1;
                grant.ticket = self.waiting[last].0;
                self.waiting.truncate(last);
            } else {
                self.waiting.remove(first);
            }
        }
        effects
    }

    /// Whether it is time for the mistake: in one call of so many.
    fn errs(&mut self, mistake: Mistake, one_in: u64) -> bool {
        self.calls += 1;
        self.mistake == mistake && self.calls.is_multiple_of(one_in)
    }
}

impl Rules for Mistaken {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn take(&mut self, wanted: &Wanted) -> Taken {
        let full = self.core.standings().find(|(_, standing)| standing.active >= standing.capacity);
        if self.errs(Mistake::ExceedsCapacity, 20)
            && let Some((key, standing)) = full
        {
            let _as_if_it_had_room = self.core.resize(key, standing.active + 1);
            let taken = self.core.take(wanted);
            let _as_before = self.core.resize(key, standing.capacity);
            return taken;
        }
        let taken = self.core.take(wanted);
        if let Taken::Wait(ticket, _) = taken {
            self.waiting.push((ticket, ticket));
        }
        taken
    }

    fn take_another(&mut self, wanted: &Wanted) -> Option<Decision> {
        if self.mistake == Mistake::CopiesToTheSame {
            return self.core.take_another(&Wanted { avoid: Vec::new(), ..wanted.clone() });
        }
        self.core.take_another(wanted)
    }

    fn withdraw(&mut self, ticket: Ticket) -> bool {
        let known = self.waiting.iter().position(|(name, _)| *name == ticket);
        let queued = known.map_or(ticket, |at| self.waiting.remove(at).1);
        self.mistake == Mistake::ForgetsToWithdraw || self.core.withdraw(queued)
    }

    fn give_back(&mut self, key: ServerKey, ended: Ended, took: Duration) -> Effects {
        if self.errs(Mistake::ForgetsToGiveBack, 100) {
            return Effects::default();
        }
        let mut effects = self.core.give_back(key, ended, took);
        if self.errs(Mistake::GivesBackTwice, 10) {
            let again = self.core.give_back(key, ended, took);
            effects.grants.extend(again.grants);
        }
        if self.mistake == Mistake::ForgetsTheQueue {
            effects.grants.clear();
        }
        self.turned_around(effects)
    }

    fn doubt(&mut self, key: ServerKey, took: Duration) -> Effects {
        if self.mistake == Mistake::TrustsTheLost {
            return self.core.give_back(key, Ended::Failed, took);
        }
        self.core.doubt(key, took)
    }

    fn settle(&mut self, key: ServerKey, serving: u32, doubts: u64) -> (bool, Effects) {
        let doubts = if self.mistake == Mistake::BelievesOldAnswers { self.core.doubts(key) } else { doubts };
        self.core.settle(key, serving, doubts)
    }
}
