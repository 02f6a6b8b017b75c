//! A server of a ring with its clocks: when to repeat, when to hold an election, when a neighbour is taken for dead.
//!
//! Nothing here is needed for safety: whatever these clocks say, the rules of [`Core`] hold. They are needed for
//! something to happen.

use super::{
    core::{Action, Core, Event},
    message::{Message, Value},
    reach::{Side, Sides},
    timing::{BEAT, SILENCE, Timing},
};
use fastrand::Rng;
use std::{net::SocketAddr, time::Duration};

/// What a member's rules must be able to do; there are others than [`Core`], with planted mistakes.
pub(crate) trait Rules {
    /// What follows from this.
    fn step(&mut self, event: Event, now: Duration, draw: &mut dyn FnMut() -> Value) -> Vec<Action>;
    /// When something ends by itself.
    fn next_end(&self) -> Option<Duration>;
    /// Whether this neighbour is taken for dead.
    fn is_silent(&self, side: Side) -> bool;
}

impl Rules for Core {
    fn step(&mut self, event: Event, now: Duration, draw: &mut dyn FnMut() -> Value) -> Vec<Action> {
        self.step(event, now, draw)
    }

    fn next_end(&self) -> Option<Duration> {
        self.next_end()
    }

    fn is_silent(&self, side: Side) -> bool {
        self.is_silent(side)
    }
}

/// A server of a ring, with its clocks.
#[derive(Clone, Debug)]
pub(crate) struct Member<R = Core> {
    rules: R,
    /// When each neighbour was heard last.
    heard: Sides<Duration>,
    next_beat: Duration,
    next_start: Duration,
    every: Duration,
    rng: Rng,
}

impl Member {
    /// A server that has just started, and will begin an election about so often.
    pub(crate) fn new(
        me: SocketAddr,
        neighbours: Sides<SocketAddr>,
        timing: Timing,
        every: Duration,
        now: Duration,
        rng: Rng,
    ) -> Self {
        Self::with_rules(Core::new(me, neighbours, timing, now), timing.quiet, every, now, rng)
    }
}

impl<R: Rules> Member<R> {
    /// A member with these rules.
    pub(crate) fn with_rules(rules: R, quiet: Duration, every: Duration, now: Duration, mut rng: Rng) -> Self {
        // Not synchronised: servers that were started together do not begin together.
        let first = every.mul_f64(rng.f64());
        let heard = Sides { left: now, right: now };
        Self { rules, heard, next_beat: now, next_start: now + quiet + first, every, rng }
    }

    /// When [`Member::step`] must be called at the latest.
    pub(crate) fn wakes_at(&self) -> Duration {
        let next = self.next_beat.min(self.next_start);
        self.rules.next_end().map_or(next, |end| end.min(next))
    }

    /// Does what is due, and takes a message.
    pub(crate) fn step(&mut self, came: Option<(Side, Message)>, now: Duration) -> Vec<Action> {
        let mut todo = Vec::new();
        if let Some((side, message)) = came {
            *self.heard.get_mut(side) = now;
            self.rules_step(Event::Came(side, message), now, &mut todo);
        }
        for side in Side::BOTH {
            if !self.rules.is_silent(side) && now.saturating_sub(*self.heard.get(side)) > SILENCE {
                self.rules_step(Event::Silent(side), now, &mut todo);
            }
        }
        if now >= self.next_start {
            // A little unequal, so that two servers that happen to begin together do not do so for ever.
            self.next_start = now + self.every.mul_f64(0.9 + 0.2 * self.rng.f64());
            self.rules_step(Event::Start, now, &mut todo);
        }
        let beat = now >= self.next_beat;
        if beat {
            self.next_beat = now + BEAT;
        }
        self.rules_step(if beat { Event::Beat } else { Event::Tick }, now, &mut todo);
        todo
    }

    fn rules_step(&mut self, event: Event, now: Duration, todo: &mut Vec<Action>) {
        let rng = &mut self.rng;
        todo.extend(self.rules.step(event, now, &mut || Value(rng.u32(..Value::END))));
    }
}
