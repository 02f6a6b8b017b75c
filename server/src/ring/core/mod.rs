//! The rules of one server of a ring: what it knows, and what follows from what happens.
//!
//! Nothing here waits, sends or draws. [`Core::step`] is told what happened, at what time, and how to draw a value; it
//! returns what is to be done. The argument why no two servers are ever down together is in [`super`].

mod hearing;

use super::{
    message::{End, Kind, Message, Nominee, Value},
    reach::{Reach, Side, Sides, is_everywhere},
    story::Story,
    timing::Timing,
};
use std::{net::SocketAddr, time::Duration};

/// What can happen to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// Time has passed.
    Tick,
    /// It is time to repeat to the neighbours what is known.
    Beat,
    /// The server's own clock says: hold an election.
    Start,
    /// The neighbour on that side has not been heard for long.
    Silent(Side),
    /// A message came from that side.
    Came(Side, Message),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Say this to the neighbour on that side.
    Send(Side, Message),
    /// Answer nothing until then.
    Down {
        /// When this ends, by itself.
        until: Duration,
    },
    /// Answer again, and say so.
    Up,
    /// Tell whoever watches.
    Tell(Story),
}

/// A server of a ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Core {
    me: SocketAddr,
    neighbours: Sides<SocketAddr>,
    timing: Timing,
    /// Who of them is taken for dead.
    silent: Sides<bool>,
    /// The latest term of which it is known that it is over.
    settled: Nominee,
    /// The latest election that was given up here, or has a result.
    closed: u64,
    stage: Stage,
}

/// What this server is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Nothing, because it may have promised something before it was started.
    Quiet { until: Duration },
    /// Nothing: the last one elected is back up.
    Idle,
    /// It takes part in an election, in which this is the best nominee so far.
    Electing { best: Nominee, reach: Reach, until: Duration },
    /// It has promised to this server that no other will be down.
    Promised(Promise),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Promise {
    to: Nominee,
    drill: Duration,
    /// When it ends by itself.
    until: Duration,
    /// Whether that server is down already, or only about to.
    is_down: bool,
    /// When this server's own election ends: it must have been everywhere by then, or, when it is down, is up again.
    mine: Option<Duration>,
    reach: Reach,
}

impl Core {
    /// A server that has just started.
    pub(crate) fn new(me: SocketAddr, neighbours: Sides<SocketAddr>, timing: Timing, now: Duration) -> Self {
        Self {
            me,
            neighbours,
            timing,
            silent: Sides { left: true, right: true },
            settled: Nominee { round: 0, value: Value(0), address: me },
            closed: 0,
            stage: Stage::Quiet { until: now + timing.quiet },
        }
    }

    /// Whether this neighbour is taken for dead.
    pub(crate) fn is_silent(&self, side: Side) -> bool {
        *self.silent.get(side)
    }

    /// When something ends by itself.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Idle => None,
            Stage::Quiet { until } | Stage::Electing { until, .. } => Some(*until),
            Stage::Promised(promise) => Some(promise.mine.unwrap_or(promise.until)),
        }
    }

    /// Whom this server has promised to keep the others up for.
    #[cfg(test)]
    pub(crate) fn promised_to(&self) -> Option<Nominee> {
        match &self.stage {
            Stage::Promised(promise) => Some(promise.to),
            _ => None,
        }
    }

    /// What follows from this.
    pub(crate) fn step(&mut self, event: Event, now: Duration, draw: &mut dyn FnMut() -> Value) -> Vec<Action> {
        let mut todo = Vec::new();
        // First of all: a server that was stopped for an hour must not act on what it believed before.
        self.end_what_is_over(now, &mut todo);
        match event {
            Event::Tick => {}
            Event::Beat => self.repeat(&mut todo),
            Event::Start => self.start(now, draw, &mut todo),
            Event::Silent(side) => self.fell_silent(side, &mut todo),
            Event::Came(side, message) => {
                if std::mem::replace(self.silent.get_mut(side), false) {
                    todo.push(Action::Tell(Story::Heard(*self.neighbours.get(side))));
                }
                self.hears(side, &message, now, draw, &mut todo);
            }
        }
        self.look_whether_everywhere(now, &mut todo);
        todo
    }

    fn end_what_is_over(&mut self, now: Duration, todo: &mut Vec<Action>) {
        let over = self.next_end().is_some_and(|end| end <= now);
        match &self.stage {
            _ if !over => {}
            Stage::Idle => {}
            Stage::Quiet { .. } => {
                self.stage = Stage::Idle;
                todo.push(Action::Tell(Story::Joins));
            }
            Stage::Electing { best, .. } => {
                self.closed = best.round;
                todo.push(Action::Tell(Story::NoResult { round: best.round }));
                self.stage = Stage::Idle;
            }
            Stage::Promised(Promise { to, mine, is_down, .. }) => {
                let (to, story) = match (mine, is_down) {
                    (None, _) => (*to, Story::TimeOver(*to)),
                    (Some(_), false) => (*to, Story::GivesUp(*to)),
                    (Some(_), true) => {
                        todo.push(Action::Up);
                        (*to, Story::Up(*to))
                    }
                };
                todo.push(Action::Tell(story));
                self.settle(to, todo);
            }
        }
    }

    /// That term is over: nothing is promised any more.
    fn settle(&mut self, term: Nominee, todo: &mut Vec<Action>) {
        self.settled = self.settled.max(term);
        self.closed = self.closed.max(term.round);
        self.stage = Stage::Idle;
        self.repeat_to(&Side::BOTH, Message { kind: Kind::Up, nominee: term, end: None }, todo);
    }

    fn start(&mut self, now: Duration, draw: &mut dyn FnMut() -> Value, todo: &mut Vec<Action>) {
        match &self.stage {
            Stage::Idle => {
                let round = self.settled.round.max(self.closed) + 1;
                let me = Nominee { round, value: draw(), address: self.me };
                todo.push(Action::Tell(Story::Starts(me)));
                self.stand(me, now, todo);
            }
            Stage::Promised(Promise { to, .. }) => todo.push(Action::Tell(Story::StartsNot(*to))),
            // There is one already, or this server has no say yet.
            Stage::Electing { .. } | Stage::Quiet { .. } => {}
        }
    }

    /// Takes part in an election with this as the best.
    fn stand(&mut self, best: Nominee, now: Duration, todo: &mut Vec<Action>) {
        self.stage = Stage::Electing { best, reach: self.reach_so_far(&best), until: now + self.timing.elect };
        self.repeat(todo);
    }

    /// What is known of the ends the moment something of this nominee is known here.
    fn reach_so_far(&self, nominee: &Nominee) -> Reach {
        let end = |side| {
            let next = *self.neighbours.get(side);
            (*self.silent.get(side) || next == nominee.address).then_some(End { last: self.me, next })
        };
        Sides { left: end(Side::Left), right: end(Side::Right) }
    }

    fn fell_silent(&mut self, side: Side, todo: &mut Vec<Action>) {
        let next = *self.neighbours.get(side);
        *self.silent.get_mut(side) = true;
        todo.push(Action::Tell(Story::Silent(next)));
        let end = Some(End { last: self.me, next });
        if let Some(reach) = self.reach_mut()
            && heard(reach, side, end)
        {
            self.repeat(todo);
        }
    }

    fn reach_mut(&mut self) -> Option<&mut Reach> {
        match &mut self.stage {
            Stage::Electing { reach, .. } | Stage::Promised(Promise { reach, .. }) => Some(reach),
            Stage::Idle | Stage::Quiet { .. } => None,
        }
    }

    /// Whoever has been everywhere takes the next step.
    fn look_whether_everywhere(&mut self, now: Duration, todo: &mut Vec<Action>) {
        match &mut self.stage {
            Stage::Electing { best, reach, .. } if best.address == self.me && is_everywhere(reach, self.me) => {
                let (to, drill) = (*best, self.timing.drill);
                todo.push(Action::Tell(Story::ElectedHere(to)));
                self.stage = Stage::Promised(Promise {
                    to,
                    drill,
                    until: now + self.timing.lease,
                    is_down: false,
                    mine: Some(now + self.timing.collect),
                    reach: self.reach_so_far(&to),
                });
                self.repeat(todo);
            }
            Stage::Promised(promise) if !promise.is_down && is_everywhere(&promise.reach, self.me) => {
                let Some(mine) = &mut promise.mine else { return };
                *mine = now + promise.drill;
                promise.is_down = true;
                todo.push(Action::Tell(Story::Down { term: promise.to, drill: promise.drill }));
                todo.push(Action::Down { until: *mine });
                self.repeat(todo);
            }
            _ => {}
        }
    }

    /// What this server has to say to that side.
    fn word(&self, side: Side) -> Option<Message> {
        let behind = side.other();
        Some(match &self.stage {
            Stage::Quiet { .. } => return None,
            Stage::Idle => Message { kind: Kind::Up, nominee: self.settled, end: None },
            Stage::Electing { best, reach, .. } => {
                Message { kind: Kind::Election, nominee: *best, end: *reach.get(behind) }
            }
            Stage::Promised(Promise { to, drill, is_down: true, .. }) => {
                Message { kind: Kind::Down { drill: *drill }, nominee: *to, end: None }
            }
            Stage::Promised(Promise { to, drill, reach, .. }) => {
                Message { kind: Kind::Result { drill: *drill }, nominee: *to, end: *reach.get(behind) }
            }
        })
    }

    fn answer(&self, side: Side, todo: &mut Vec<Action>) {
        todo.extend(self.word(side).map(|message| Action::Send(side, message)));
    }

    fn repeat(&self, todo: &mut Vec<Action>) {
        Side::BOTH.into_iter().for_each(|side| self.answer(side, todo));
    }

    fn repeat_to(&self, sides: &[Side], message: Message, todo: &mut Vec<Action>) {
        todo.extend(sides.iter().map(|side| Action::Send(*side, message)));
    }

    fn tell_settled(&self, side: Side, todo: &mut Vec<Action>) {
        self.repeat_to(&[side], Message { kind: Kind::Up, nominee: self.settled, end: None }, todo);
    }
}

/// Notes an end heard of from that side; the first one stays. Returns whether it is news.
fn heard(reach: &mut Reach, side: Side, end: Option<End>) -> bool {
    let known = reach.get_mut(side);
    let news = known.is_none() && end.is_some();
    *known = known.or(end);
    news
}

#[cfg(test)]
mod tests;
