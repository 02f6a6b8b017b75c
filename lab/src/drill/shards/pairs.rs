//! Reads over two shards, of one moment.
//!
//! **The problem.** Each row may be right for itself, and a look at two of them wrong: it shows the one as it was before a change, and the
//! other as it was after a later one. Histories of single rows do not see that.
//!
//! **The idea.** A pair of rows, one on each side of a border of shards, which only one client changes, one step after the other. So the
//! pair has a list of states, and a look at both must show one of them: not an older one than the last step that was answered before the look
//! began, nor than any earlier look has shown, and none of a step that was not yet asked when the look ended.
//!
//! ```text
//! one by one   state 2n: (n, n)      update left    state 2n + 1: (n + 1, n)   update right   state 2n + 2: (n + 1, n + 1)
//! together     state 3n: none        write both     state 3n + 1: (n, n)       remove left    state 3n + 2: (none, n)    remove right …
//! ```
//!
//! A `/write` over several shards that nobody knows the outcome of (504) may be there in part: a look that shows one row of such a step is right.

use super::{
    clients::{Outcome, PAUSE, exchange, rows_in},
    ground::{Ground, SIZE},
    history::Row,
};
use protocol::http::{Method, Status, client::Client};
use serde_json::{Value, json};
use std::{thread, time::Duration};

/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(2);

/// What a look shows: the row on the left of the border, and that on the right.
pub type View = (Row, Row);

/// How a pair is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Left, then right.
    OneByOne,
    /// Both in one call; then each is removed.
    Together,
}

impl Way {
    /// The state after so many steps.
    fn state(self, steps: usize) -> View {
        let number = |n: usize| i64::try_from(n).ok();
        match self {
            Self::OneByOne => (number(steps.div_ceil(2)), number(steps / 2)),
            Self::Together => match steps % 3 {
                0 => (None, None),
                1 => (number(steps / 3), number(steps / 3)),
                _ => (None, number(steps / 3)),
            },
        }
    }
}

/// A pair.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    left: i64,
    right: i64,
    way: Way,
}

/// The pairs: keys beside those of the clients.
pub const PAIRS: [Pair; 2] = [
    Pair { left: SIZE - 1, right: SIZE + 1, way: Way::OneByOne },
    Pair { left: 2 * SIZE - 1, right: 2 * SIZE + 1, way: Way::Together },
];

/// A step: from the first time that it was asked for until it was surely done.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// When it was asked.
    pub asked: u64,
    /// When it was done; none if it was given up.
    pub done: Option<u64>,
    /// Whether nobody knew its outcome once: then its parts may be seen.
    pub in_doubt: bool,
}

/// A look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// When it was asked.
    pub asked: u64,
    /// When it was answered.
    pub answered: u64,
    /// What it has shown.
    pub view: View,
}

/// The looks that show what cannot have been. Pure.
#[must_use]
pub fn wrong_looks(way: Way, steps: &[Step], looks: &[Look]) -> Vec<Look> {
    let mut looks = looks.to_vec();
    looks.sort_by_key(|look| look.asked);
    let (mut wrong, mut shown) = (Vec::new(), Vec::<(u64, usize)>::new());
    for look in looks {
        let done = steps.iter().take_while(|step| step.done.is_some_and(|done| done < look.asked)).count();
        let begun = steps.iter().take_while(|step| step.asked <= look.answered).count();
        let before = shown.iter().filter(|(answered, _)| *answered < look.asked).map(|(_, state)| *state).max();
        let least = done.max(before.unwrap_or(0));
        let part = |state: usize| {
            let (whole, in_doubt) = (way.state(state + 1), steps.get(state).is_some_and(|step| step.in_doubt));
            let is_part = |one: Row, of: Row| one.is_none() || one == of;
            way == Way::Together
                && state < begun
                && in_doubt
                && is_part(look.view.0, whole.0)
                && is_part(look.view.1, whole.1)
        };
        match (least..=begun).find(|state| way.state(*state) == look.view || part(*state)) {
            Some(state) => {
                // One reader looks again and again: only the last answers matter.
                shown.retain(|(answered, _)| *answered >= look.asked);
                shown.push((look.answered, state.max(before.unwrap_or(0))));
            }
            None => wrong.push(look),
        }
    }
    wrong
}

impl Pair {
    /// How it is changed.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Makes it what it is in the beginning. False if that fails.
    pub fn begin(&self, ground: &Ground) -> bool {
        self.way == Way::Together
            || self.ask(ground, &mut None, &self.write(&[self.left, self.right], 0)) == Some(Status::OK)
    }

    /// Changes it until it is over. What went wrong, if its answers were not possible.
    pub fn change(&self, ground: &Ground) -> (Vec<Step>, Option<String>) {
        let (mut steps, mut line, mut trouble) = (Vec::new(), None, None);
        while !ground.is_over() && trouble.is_none() {
            let mut step = Step { asked: ground.now(), done: None, in_doubt: false };
            match self.step(ground, &mut line, steps.len(), &mut step.in_doubt) {
                Ok(done) => step.done = done.then(|| ground.now()),
                Err(why) => trouble = Some(why),
            }
            steps.push(step);
        }
        (steps, trouble)
    }

    /// Brings it from its state to the next one. Whether that is surely done; an answer that cannot be is an error.
    fn step(&self, ground: &Ground, line: &mut Option<Client>, at: usize, in_doubt: &mut bool) -> Result<bool, String> {
        let (left, right) = self.way.state(at + 1);
        let mut calls = match (self.way, at % 3) {
            (Way::OneByOne, _) if at.is_multiple_of(2) => vec![self.set(self.left, left)],
            (Way::OneByOne, _) => vec![self.set(self.right, right)],
            (Way::Together, 0) => vec![self.write(&[self.left, self.right], left.unwrap_or(0))],
            (Way::Together, 1) => vec![remove(self.left)],
            (Way::Together, _) => vec![remove(self.right)],
        };
        while let Some(call) = calls.last() {
            if ground.is_late() {
                return Ok(false);
            }
            match self.ask(ground, line, call) {
                Some(Status::OK) => drop(calls.pop()),
                // An earlier try has done it.
                Some(Status::NOT_FOUND) if *in_doubt && call.1 == "/del" => drop(calls.pop()),
                // An earlier try has done it, or a part of it: each row for itself.
                Some(Status::CONFLICT) if *in_doubt && call.1 == "/write" => {
                    let both = calls.len() == 1 && call.2["data"].as_array().is_some_and(|rows| rows.len() == 2);
                    calls.pop();
                    if both {
                        calls.extend([self.left, self.right].map(|id| self.write(&[id], left.unwrap_or(0))));
                    }
                }
                None => *in_doubt = true,
                Some(Status::SERVICE_UNAVAILABLE) => thread::park_timeout(PAUSE),
                Some(status) => return Err(format!("{} {} is answered with {}", call.1, call.2, status.code())),
            }
        }
        Ok(true)
    }

    fn set(&self, id: i64, value: Row) -> Asked {
        (Method::Put, "/update", json!({ "Stud_id": id, "data": { "Stud_marks": value } }))
    }

    fn write(&self, ids: &[i64], value: i64) -> Asked {
        let rows: Vec<Value> =
            ids.iter().map(|id| json!({ "Stud_id": id, "Stud_name": "P", "Stud_marks": value })).collect();
        (Method::Post, "/write", json!({ "data": rows }))
    }

    /// The status; none if nobody knows.
    fn ask(&self, ground: &Ground, line: &mut Option<Client>, (method, path, body): &Asked) -> Option<Status> {
        match exchange(ground.at, line, method.clone(), path, body) {
            Outcome::Done(reply) => Some(reply.status),
            Outcome::Not => Some(Status::SERVICE_UNAVAILABLE),
            Outcome::Unknown => None,
        }
    }

    /// Looks at it until it is over.
    pub fn watch(&self, ground: &Ground) -> Vec<Look> {
        let (mut looks, mut line) = (Vec::new(), None);
        let range = json!({ "Stud_id": { "low": self.left, "high": self.right } });
        while !ground.is_over() {
            let asked = ground.now();
            if let Outcome::Done(reply) = exchange(ground.at, &mut line, Method::Post, "/read", &range)
                && let Some(rows) = rows_in(&reply).filter(|_| reply.status == Status::OK)
            {
                let value = |id: i64| rows.iter().find(|(key, _)| *key == id).map(|(_, value)| *value);
                looks.push(Look { asked, answered: ground.now(), view: (value(self.left), value(self.right)) });
            }
            thread::park_timeout(BETWEEN);
        }
        looks
    }
}

/// A call: its method, its path and its body.
type Asked = (Method, &'static str, Value);

fn remove(id: i64) -> Asked {
    (Method::Delete, "/del", json!({ "Stud_id": id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that take from 10 n to 10 n + 5.
    fn steps(count: u64) -> Vec<Step> {
        (1..=count).map(|n| Step { asked: n * 10, done: Some(n * 10 + 5), in_doubt: false }).collect()
    }

    fn look(asked: u64, answered: u64, left: i64, right: i64) -> Look {
        let row = |value: i64| (value >= 0).then_some(value);
        Look { asked, answered, view: (row(left), row(right)) }
    }

    #[test]
    fn a_look_shows_a_state_of_its_time() {
        let wrong = |looks: &[Look]| wrong_looks(Way::OneByOne, &steps(4), looks).len();
        assert_eq!(wrong(&[look(1, 2, 0, 0), look(16, 18, 1, 0), look(26, 29, 1, 1)]), 0);
        assert_eq!(wrong(&[look(9, 12, 0, 0)]) + wrong(&[look(9, 12, 1, 0)]), 0, "while the step is under way");
        assert_eq!(wrong(&[look(16, 17, 0, 0)]), 1, "an answered step is not seen");
        assert_eq!(wrong(&[look(1, 9, 1, 0)]), 1, "a step is seen that was not asked yet");
        assert_eq!(wrong(&[look(1, 99, 0, 1)]), 1, "of two moments: no such state");
        assert_eq!(wrong(&[look(10, 11, 1, 0), look(12, 13, 0, 0)]), 1, "back again");
        assert_eq!(wrong(&[look(10, 13, 1, 0), look(12, 13, 0, 0)]), 0, "at the same time either may come first");
    }

    #[test]
    fn half_of_a_write_is_seen_only_if_nobody_knew_its_outcome() {
        let mut steps = steps(3);
        let half = [look(11, 12, 0, -1)];
        assert_eq!(wrong_looks(Way::Together, &steps, &half).len(), 1);
        assert_eq!(wrong_looks(Way::Together, &steps, &[look(26, 27, -1, 0), look(36, 39, -1, -1)]).len(), 0);
        steps[0].in_doubt = true;
        assert_eq!(wrong_looks(Way::Together, &steps, &half).len(), 0);
        assert_eq!(wrong_looks(Way::Together, &steps, &[look(16, 17, 0, -1)]).len(), 1, "it is surely whole by now");
    }
}
