//! The rules of the original system, for comparison: no rounds, nothing repeated, no promise; everything is said once.
//!
//! "A server compares the nominees it has heard of, from the left and from the right, with itself and nominates the highest:
//! to both neighbours if that is itself and it was not nominated yet, otherwise onward to the other neighbour only. An
//! election ends at the server that hears the same nominee from both sides." The winner goes when the result reaches it.

use super::DRILL;
use crate::ring::{
    core::{Action, Event},
    member::Rules,
    message::{Kind, Message, Nominee, Value},
    reach::{Side, Sides},
};
use std::{net::SocketAddr, time::Duration};

/// A server of the original.
pub(super) struct Original {
    me: SocketAddr,
    /// What this server stands with, once it takes part; and whether it has said so.
    mine: Option<Nominee>,
    nominated: bool,
    heard: Sides<Option<Nominee>>,
    /// Whether the last one elected is known to be back.
    all_up: bool,
    down_until: Option<Duration>,
}

impl Original {
    pub(super) fn new(me: SocketAddr) -> Self {
        Self { me, mine: None, nominated: false, heard: Sides::default(), all_up: true, down_until: None }
    }

    fn stand(&mut self, draw: &mut dyn FnMut() -> Value) -> Nominee {
        *self.mine.get_or_insert_with(|| Nominee { round: 1, value: draw(), address: self.me })
    }

    fn came_election(&mut self, side: Side, nominee: Nominee, draw: &mut dyn FnMut() -> Value) -> Vec<Action> {
        *self.heard.get_mut(side) = Some(nominee);
        let mine = self.stand(draw);
        if self.heard.left == self.heard.right {
            let result = both(Kind::Result { drill: DRILL }, nominee);
            self.election_over();
            return result;
        }
        let best = self.heard.left.into_iter().chain(self.heard.right).chain([mine]).max().unwrap_or(mine);
        if best == mine && !std::mem::replace(&mut self.nominated, true) {
            return both(Kind::Election, mine);
        }
        vec![Action::Send(side.other(), Message { kind: Kind::Election, nominee: best, end: None })]
    }

    fn came_result(&mut self, side: Side, nominee: Nominee, now: Duration) -> Vec<Action> {
        self.election_over();
        self.all_up = false;
        if nominee.address != self.me {
            let onward = Message { kind: Kind::Result { drill: DRILL }, nominee, end: None };
            return vec![Action::Send(side.other(), onward)];
        }
        if self.down_until.is_some() {
            return Vec::new();
        }
        self.down_until = Some(now + DRILL);
        let mut todo = both(Kind::Down { drill: DRILL }, nominee);
        todo.push(Action::Down { until: now + DRILL });
        todo
    }

    fn election_over(&mut self) {
        (self.mine, self.nominated, self.heard) = (None, false, Sides::default());
    }
}

impl Rules for Original {
    fn step(&mut self, event: Event, now: Duration, draw: &mut dyn FnMut() -> Value) -> Vec<Action> {
        if self.down_until.is_some_and(|until| until <= now) {
            (self.down_until, self.all_up) = (None, true);
            let me = Nominee { round: 1, value: Value(0), address: self.me };
            let mut todo = both(Kind::Up, me);
            todo.push(Action::Up);
            return todo;
        }
        match event {
            Event::Start if self.all_up && self.down_until.is_none() => {
                let mine = self.stand(draw);
                self.nominated = true;
                both(Kind::Election, mine)
            }
            Event::Came(side, message) => match message.kind {
                Kind::Election => self.came_election(side, message.nominee, draw),
                Kind::Result { .. } => self.came_result(side, message.nominee, now),
                Kind::Down { .. } => {
                    self.all_up = false;
                    Vec::new()
                }
                Kind::Up => {
                    self.all_up = true;
                    Vec::new()
                }
            },
            _ => Vec::new(),
        }
    }

    fn next_end(&self) -> Option<Duration> {
        self.down_until
    }

    fn is_silent(&self, _side: Side) -> bool {
        true
    }
}

fn both(kind: Kind, nominee: Nominee) -> Vec<Action> {
    let message = Message { kind, nominee, end: None };
    Side::BOTH.into_iter().map(|side| Action::Send(side, message)).collect()
}
