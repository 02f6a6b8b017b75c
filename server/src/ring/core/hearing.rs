//! What follows from a message.

use super::{Action, Core, Kind, Message, Nominee, Promise, Side, Stage, Story, Value, heard};
use std::time::Duration;

impl Core {
    /// Takes a message from that side.
    pub(super) fn hears(
        &mut self,
        side: Side,
        message: &Message,
        now: Duration,
        draw: &mut dyn FnMut() -> Value,
        todo: &mut Vec<Action>,
    ) {
        match message.kind {
            _ if matches!(self.stage, Stage::Quiet { .. }) => self.learn(message),
            Kind::Election => self.came_election(side, message, now, draw, todo),
            Kind::Result { drill } | Kind::Down { drill } => {
                self.came_result(side, message, drill, now, todo);
            }
            Kind::Up => self.came_up(side, message.nominee, todo),
        }
    }

    /// What is said during the silence is good for one thing: to know which election is next.
    fn learn(&mut self, message: &Message) {
        if message.kind == Kind::Up {
            self.settled = self.settled.max(message.nominee);
        }
    }

    fn came_election(
        &mut self,
        side: Side,
        message: &Message,
        now: Duration,
        draw: &mut dyn FnMut() -> Value,
        todo: &mut Vec<Action>,
    ) {
        let (new, me) = (message.nominee, self.me);
        if new.round <= self.settled.round {
            return self.tell_settled(side, todo);
        }
        match &mut self.stage {
            Stage::Promised(_) => self.answer(side, todo),
            Stage::Electing { best, reach, .. } if *best == new => {
                if heard(reach, side, message.end) {
                    self.repeat(todo);
                }
            }
            // Of this server, from before its restart, or of an election that it has given up.
            _ if new.address == me || new.round <= self.closed => {}
            Stage::Electing { best, .. } if *best > new => self.answer(side, todo),
            Stage::Electing { best, until, .. } if best.round == new.round => {
                let until = *until;
                todo.push(Action::Tell(Story::Nominated(new)));
                self.follow(side, message, until, todo);
            }
            // A new election, or a later one than the one that was going on here.
            Stage::Electing { .. } | Stage::Idle => {
                let mine = Nominee { round: new.round, value: draw(), address: me };
                todo.push(Action::Tell(Story::Draws { round: new.round, value: mine.value }));
                if mine > new {
                    return self.stand(mine, now, todo);
                }
                todo.push(Action::Tell(Story::Nominated(new)));
                self.follow(side, message, now + self.timing.elect, todo);
            }
            Stage::Quiet { .. } => {}
        }
    }

    /// Takes somebody else for the best.
    fn follow(&mut self, side: Side, message: &Message, until: Duration, todo: &mut Vec<Action>) {
        let best = message.nominee;
        let mut reach = self.reach_so_far(&best);
        heard(&mut reach, side, message.end);
        self.stage = Stage::Electing { best, reach, until };
        self.repeat(todo);
    }

    fn came_result(&mut self, side: Side, message: &Message, drill: Duration, now: Duration, todo: &mut Vec<Action>) {
        let term = message.nominee;
        if let Stage::Promised(promise) = &mut self.stage {
            if promise.to == term {
                let news_of_down = !promise.is_down && matches!(message.kind, Kind::Down { .. });
                if news_of_down && promise.mine.is_none() {
                    promise.is_down = true;
                    todo.push(Action::Tell(Story::OtherDown(term)));
                    self.repeat(todo);
                } else if heard(&mut promise.reach, side, message.end) {
                    self.repeat(todo);
                }
                return;
            }
            // Of two that were elected, as happens when messages are late, the lesser gives way, while it is still up.
            let gives_way = promise.mine.is_some() && !promise.is_down && promise.to < term;
            if !gives_way {
                return;
            }
            let own = promise.to;
            todo.push(Action::Tell(Story::GivesUp(own)));
            self.settle(own, todo);
        }
        if term.address == self.me || term == self.settled {
            // Of this server, from before its restart: whoever was down then is up now. Or known to be over.
            todo.push(Action::Send(side, Message { kind: Kind::Up, nominee: term, end: None }));
        } else if term < self.settled {
            self.tell_settled(side, todo);
        } else if drill > self.timing.drill {
            todo.push(Action::Tell(Story::TooLong { term, drill }));
        } else {
            self.promise(side, message, drill, now, todo);
        }
    }

    fn promise(&mut self, side: Side, message: &Message, drill: Duration, now: Duration, todo: &mut Vec<Action>) {
        let to = message.nominee;
        let is_down = matches!(message.kind, Kind::Down { .. });
        let mut reach = self.reach_so_far(&to);
        heard(&mut reach, side, message.end);
        let until = now + self.timing.lease;
        todo.push(Action::Tell(if is_down { Story::OtherDown(to) } else { Story::Elected(to) }));
        self.stage = Stage::Promised(Promise { to, drill, until, is_down, mine: None, reach });
        self.repeat(todo);
    }

    fn came_up(&mut self, side: Side, term: Nominee, todo: &mut Vec<Action>) {
        match &self.stage {
            // Of its own term nobody knows better than this server.
            Stage::Promised(promise) if promise.to == term && promise.mine.is_none() => {
                todo.push(Action::Tell(Story::OtherUp(term)));
                self.settle(term, todo);
            }
            Stage::Promised(promise) if term < promise.to => self.answer(side, todo),
            // Whatever happened elsewhere, a promise ends by the word of the one it was given to, or by its time.
            Stage::Promised(_) => {}
            _ if term < self.settled => self.tell_settled(side, todo),
            Stage::Electing { best, .. } if best.round <= term.round => self.settle(term, todo),
            _ if term > self.settled => {
                let electing = matches!(self.stage, Stage::Electing { .. });
                self.settled = term;
                if !electing {
                    self.settle(term, todo);
                }
            }
            _ => {}
        }
    }
}
