//! Choosing: who could take this request, and whom does the policy take?

use super::{
    Core, Wanted,
    slot::{Heed, Skipped, Slot},
};
use crate::{
    health::slow_start,
    policy::{Candidate, Choice, Circumstances, How, Name, ServerKey},
};
use std::time::Duration;

/// A choice with its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Who won.
    pub server: ServerKey,
    /// Who chose.
    pub policy: Name,
    /// What led to it, beside the candidates.
    pub how: How,
    /// Who could have won, and who could not. `None` unless evidence was asked for.
    pub evidence: Option<Box<Evidence>>,
    /// How long the lock was waited for.
    pub lock_wait: Duration,
}

/// What a choice was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Who could have won, in the order the policy saw them.
    pub considered: Vec<Weighed>,
    /// Who could not, and why.
    pub skipped: Vec<(ServerKey, Skipped)>,
}

/// A server that could have been chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// The server, as it was before the choice.
    pub candidate: Candidate,
    /// What the policy compares: less is better.
    pub score: Option<f64>,
}

impl Core {
    /// Lets the policy choose among those who could take a request now.
    pub(super) fn decide(&mut self, wanted: &Wanted) -> Option<Decision> {
        let heed = self.heed(wanted);
        let mut candidates = std::mem::take(&mut self.candidates);
        self.gather(wanted, heed, &mut candidates);
        let decision = if candidates.is_empty() { None } else { self.choose(wanted, heed, &candidates) };
        self.candidates = candidates;
        decision
    }

    /// Whether any server could take an ordinary request now.
    pub(super) fn spare(&self) -> bool {
        let heed = Heed { avoided: false, ejected: false };
        self.slots.iter().any(|slot| slot.why_not(&Wanted::default(), heed, self.now).is_none())
    }

    /// A server that is ejected, or has lost this request, is better than none.
    fn heed(&self, wanted: &Wanted) -> Heed {
        let able = |slot: &&Slot| slot.takes_requests() && slot.serves(wanted);
        let mut able = self.slots.iter().filter(able).peekable();
        if wanted.avoid.is_empty() {
            return Heed { avoided: false, ejected: able.any(|slot| !slot.observed.is_ejected(self.now)) };
        }
        let mut heed = Heed { avoided: false, ejected: false };
        for slot in able {
            let fresh = !slot.is_avoided(wanted);
            heed.avoided |= fresh;
            heed.ejected |= fresh && !slot.observed.is_ejected(self.now);
        }
        heed
    }

    /// The candidates: whoever has spare capacity. A server that is warming up is one only now and then, unless it is the
    /// only one.
    fn gather(&mut self, wanted: &Wanted, heed: Heed, candidates: &mut Vec<Candidate>) {
        candidates.clear();
        let mut warming = Vec::new();
        for slot in &self.slots {
            if slot.why_not(wanted, heed, self.now).is_some() {
                continue;
            }
            match self.share(slot) {
                Some(share) if !slow_start::admits(share, self.random.f64()) => warming.push(slot.seen.clone()),
                _ => candidates.push(slot.seen.clone()),
            }
        }
        if candidates.is_empty() {
            candidates.append(&mut warming);
        }
    }

    /// The share that a server gets while it is warming up.
    pub(super) fn share(&self, slot: &Slot) -> Option<f64> {
        let since = self.now.saturating_sub(slot.back_since?);
        (since < self.settings.slow_start).then(|| slow_start::share(since, self.settings.slow_start))
    }

    fn choose(&mut self, wanted: &Wanted, heed: Heed, candidates: &[Candidate]) -> Option<Decision> {
        let able = self.slots.iter().filter(|slot| slot.takes_requests());
        let (servers_up, in_hand) = able.fold((0, 0), |(n, sum), slot| (n + 1, sum + u64::from(slot.seen.active)));
        let random = &mut self.random;
        let mut circumstances = Circumstances { key: wanted.key, now: self.now, in_hand, servers_up, random };
        let considered = self.evidence.then(|| {
            let score = |candidate: &Candidate| self.policy.score(candidate, &circumstances);
            let weighed = |candidate: &Candidate| Weighed { candidate: candidate.clone(), score: score(candidate) };
            candidates.iter().map(weighed).collect::<Vec<_>>()
        });
        let Choice { index, how } = self.policy.choose(candidates, &mut circumstances);
        let chosen = candidates.get(index).or(candidates.last()).map_or(0, |candidate| candidate.place);
        let evidence = considered.map(|considered| {
            let skipped = self.skipped(wanted, heed, candidates);
            Box::new(Evidence { considered, skipped })
        });
        let server = self.hand_out(chosen)?;
        Some(Decision { server, policy: self.settings.policy, how, evidence, lock_wait: Duration::ZERO })
    }

    /// Those who are no candidates, and why.
    fn skipped(&self, wanted: &Wanted, heed: Heed, candidates: &[Candidate]) -> Vec<(ServerKey, Skipped)> {
        let why = |slot: &Slot| match slot.why_not(wanted, heed, self.now) {
            Some(why) => Some((slot.key(), why)),
            None if candidates.iter().any(|candidate| candidate.place == slot.seen.place) => None,
            None => Some((slot.key(), Skipped::WarmingUp)),
        };
        self.slots.iter().filter_map(why).collect()
    }

    fn hand_out(&mut self, place: usize) -> Option<ServerKey> {
        let slot = self.slots.get_mut(place)?;
        self.choices += 1;
        slot.seen.active += 1;
        slot.most_active = slot.most_active.max(slot.seen.active);
        slot.seen.last_chosen = self.choices;
        self.policy.request_started(&slot.seen, self.now);
        Some(slot.key())
    }
}
