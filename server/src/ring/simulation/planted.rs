//! Mistakes, planted on purpose: rings with any of them must be found out.

use crate::ring::{
    core::{Action, Core, Event},
    member::Rules,
    message::{End, Kind, Message, Value},
    reach::{Side, Sides},
    story::Story,
    timing::Timing,
};
use std::{net::SocketAddr, time::Duration};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mistake {
    /// The elected one leaves at once, not when its result has been everywhere.
    LeavesAtOnce,
    /// A server that was restarted promises at once, though it may have promised before.
    ForgetsTheQuiet,
    /// A promise runs out before the drill does.
    PromisesTooShortly,
    /// Any `u` ends a promise, whichever election it speaks of.
    IgnoresRounds,
    /// A piece of the ring takes itself for the whole.
    TakesAPieceForTheWhole,
    /// `u` is said once, and nobody goes on without having heard it.
    SaysUpOnce,
    /// A promise has no end but the word of the one who got it.
    WaitsForTheDead,
    /// Nobody notices that a neighbour is dead.
    NeverNoticesTheDead,
}

/// Those that the simulation finds soon; a word of what it says about each; and the ring at which to begin to look. The others
/// (leaving at once, a quiet that is forgotten) need so much bad luck at once that they are left to the model checker.
pub(super) const ALL: [(Mistake, &str, u64); 6] = [
    (Mistake::PromisesTooShortly, "down together", 34),
    (Mistake::IgnoresRounds, "down together", 74),
    (Mistake::TakesAPieceForTheWhole, "down together", 99),
    (Mistake::SaysUpOnce, "stuck", 10),
    (Mistake::WaitsForTheDead, "stuck", 10),
    (Mistake::NeverNoticesTheDead, "stuck", 1),
];

/// For ever, as far as a simulation is concerned.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// The rules with a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mistaken {
    core: Core,
    mistake: Mistake,
    drill: Duration,
}

impl Mistaken {
    pub(crate) fn new(
        me: SocketAddr,
        neighbours: Sides<SocketAddr>,
        mut timing: Timing,
        now: Duration,
        mistake: Mistake,
    ) -> Self {
        match mistake {
            Mistake::ForgetsTheQuiet => timing.quiet = Duration::ZERO,
            Mistake::PromisesTooShortly => timing.lease = timing.drill / 2,
            Mistake::SaysUpOnce | Mistake::WaitsForTheDead => timing.lease = FOR_EVER,
            _ => {}
        }
        Self { core: Core::new(me, neighbours, timing, now), mistake, drill: timing.drill }
    }

    /// What the mistake makes of a message.
    fn misread(&self, mut message: Message) -> Message {
        let promised = self.core.promised_to();
        match (self.mistake, message.kind, promised) {
            (Mistake::IgnoresRounds, Kind::Up, Some(to)) => message.nominee = to,
            (Mistake::TakesAPieceForTheWhole, _, _) => {
                let come_round = |end| End { next: message.nominee.address, ..end };
                message.end = message.end.map(come_round);
            }
            _ => {}
        }
        message
    }
}

impl Rules for Mistaken {
    fn step(&mut self, event: Event, now: Duration, draw: &mut dyn FnMut() -> Value) -> Vec<Action> {
        let event = match event {
            Event::Came(side, message) => Event::Came(side, self.misread(message)),
            Event::Silent(_) if self.mistake == Mistake::NeverNoticesTheDead => Event::Tick,
            other => other,
        };
        let mut todo = self.core.step(event, now, draw);
        let elected = todo.iter().any(|action| matches!(action, Action::Tell(Story::ElectedHere(_))));
        if self.mistake == Mistake::LeavesAtOnce && elected {
            todo.push(Action::Down { until: now + self.drill });
        }
        if self.mistake == Mistake::SaysUpOnce && event == Event::Beat {
            todo.retain(|action| !matches!(action, Action::Send(_, Message { kind: Kind::Up, .. })));
        }
        todo
    }

    fn next_end(&self) -> Option<Duration> {
        self.core.next_end()
    }

    fn is_silent(&self, side: Side) -> bool {
        self.mistake == Mistake::NeverNoticesTheDead || self.core.is_silent(side)
    }
}
