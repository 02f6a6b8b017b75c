//! The rules of the policies, and how they lead to a winner.
//!
//! A rule is one sentence. Why *this* server won under it is found by comparing it with the other candidates, as they were
//! before the choice; if it should not have won, that is what is said.

use super::words::{list, number, seconds};
use crate::{event::Considered, policy::How};

/// A choice to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// The name of the policy.
    pub policy: &'a str,
    /// Who won.
    pub server: &'a str,
    /// What led to it, beside the candidates.
    pub how: How,
    /// Who could have won.
    pub considered: &'a [Considered],
    /// Who was chosen before, by anybody.
    pub before: Option<&'a str>,
}

/// A policy's rule; `None` for a policy that is not known here.
#[must_use]
pub fn rule(policy: &str) -> Option<&'static str> {
    Some(match policy {
        "power" => "the strongest server that can take it; equals in turn",
        "round-robin" => "each in turn, in a circle; who cannot take it is passed over",
        "weighted-round-robin" => {
            "each in turn, the strong more often: what each is owed rises by its weight with every \
             request, and whoever is owed most is chosen and pays for all"
        }
        "random" => "dice decide, evenly, or by the weights that a person gave",
        "power-of-two" => "dice draw two, and the one that holds fewer requests is chosen",
        "least-connections" => "the server that holds the fewest requests; equals in turn",
        "least-time" => {
            "the server that will probably answer first: its average response time, times the requests that it \
             would hold; equals in turn"
        }
        "consistent-hash" => {
            "the key of the request has its place on a circle, and the next server clockwise is chosen; \
             who is full is passed by"
        }
        _ => return None,
    })
}

/// Why this server won, as a sentence.
#[must_use]
pub fn because(chosen: Chosen<'_>) -> String {
    if let How::Ring { key, point, passed } = chosen.how {
        return on_the_ring(&chosen, key, point, passed);
    }
    let Some(won) = chosen.considered.iter().find(|candidate| candidate.server == chosen.server) else {
        return "The journal does not say who else could have taken it.".to_owned();
    };
    if chosen.considered.len() == 1 {
        return "It was the only one that could take it.".to_owned();
    }
    match (chosen.policy, chosen.how) {
        ("random", How::Drawn { of, .. }) => drawn(&chosen, of),
        (_, How::Drawn { first, second: Some(second), of }) => of_two(&chosen, first, second, of),
        (_, How::Drawn { of, .. }) => drawn(&chosen, of),
        ("round-robin", _) => in_turn(&chosen),
        ("power", _) => least(&chosen, won, &POWER),
        ("weighted-round-robin", _) => least(&chosen, won, &OWED),
        ("least-connections", _) => least(&chosen, won, &HELD),
        ("least-time", _) => least(&chosen, won, &EXPECTED),
        _ => least(&chosen, won, &SCORE),
    }
}

/// How a policy that takes the least of something is told.
struct Least {
    /// What is compared.
    of: fn(&Considered) -> Option<f64>,
    /// `It is the strongest`.
    most: &'static str,
    /// The value, in words.
    value: fn(f64) -> String,
    /// Whether equals take turns; else the first in the order of the pool wins.
    turns: bool,
}

const POWER: Least = Least {
    of: |server| Some(server.processing_time),
    most: "It is the strongest of those",
    value: |time| format!("{} for a request", seconds(time)),
    turns: true,
};
const OWED: Least =
    Least { of: |server| server.score, most: "It was owed the most", value: |score| number(-score), turns: false };
const HELD: Least = Least {
    of: |server| server.score.or(Some(f64::from(server.active))),
    most: "It held the fewest requests",
    value: number,
    turns: true,
};
const EXPECTED: Least = Least {
    of: |server| server.score,
    most: "It will probably answer first",
    value: |score| format!("in {}", seconds(score)),
    turns: true,
};
const SCORE: Least = Least { of: |server| server.score, most: "It had the lowest score", value: number, turns: false };

fn least(chosen: &Chosen<'_>, won: &Considered, least: &Least) -> String {
    let Some(own) = (least.of)(won) else { return "The journal does not say what was compared.".to_owned() };
    let others = chosen.considered.iter().filter(|other| other.server != won.server);
    let next = others.filter_map(|other| Some(((least.of)(other)?, &*other.server))).min_by(|a, b| a.0.total_cmp(&b.0));
    let said = (least.value)(own);
    match next {
        None => format!("{} ({said}).", least.most),
        Some((value, server)) if value < own => {
            let better = (least.value)(value);
            format!("The rule does not explain it: server {server} had {better}, this one {said}.")
        }
        Some((value, server)) if value > own => {
            format!("{}: {said}; the next is server {server}, {}.", least.most, (least.value)(value))
        }
        Some(_) => {
            let equal = |other: &&Considered| (least.of)(other) == Some(own);
            let equals: Vec<&Considered> = chosen.considered.iter().filter(equal).collect();
            among_equals(won, &equals, least, &said)
        }
    }
}

fn among_equals(won: &Considered, equals: &[&Considered], least: &Least, said: &str) -> String {
    let names = list(&equals.iter().map(|server| &*server.server).collect::<Vec<_>>());
    let tie = format!("Servers {names} were equal ({said})");
    if !least.turns {
        return format!("{tie}; of equals the first one, in the order of the pool, is chosen.");
    }
    match equals.iter().find(|other| other.last_chosen < won.last_chosen) {
        Some(other) => {
            format!("{tie}, but the rule does not explain it: server {} was chosen longer ago.", other.server)
        }
        None if won.last_chosen == 0 => format!("{tie}; this one had not been chosen before."),
        None => format!("{tie}; this one was chosen longest ago, so it was its turn."),
    }
}

/// The circle goes through the candidates in the order of the pool; who was passed over is not in it.
fn in_turn(chosen: &Chosen<'_>) -> String {
    let at = |id: &str| chosen.considered.iter().position(|candidate| candidate.server == id);
    let (Some(before), Some(now)) = (chosen.before, at(chosen.server)) else {
        return "The circle begins with the first one, in the order of the pool.".to_owned();
    };
    match at(before) {
        Some(last) if (last + 1) % chosen.considered.len() == now => {
            format!("It is the next one in the circle after server {before}, which was chosen before.")
        }
        Some(_) => "It was its turn in the circle.".to_owned(),
        None => format!("It was its turn in the circle after server {before}, which was chosen before."),
    }
}

fn drawn(chosen: &Chosen<'_>, of: u32) -> String {
    let weighted = chosen.considered.iter().any(|candidate| candidate.weight.is_some());
    let how = if weighted { "by weight" } else { "each as likely as the others" };
    format!("The dice drew it, of {of}, {how}.")
}

fn of_two(chosen: &Chosen<'_>, first: u32, second: u32, of: u32) -> String {
    let drawn = |index: u32| chosen.considered.get(index as usize);
    let (Some(first), Some(second)) = (drawn(first), drawn(second)) else {
        return format!("The dice drew two of {of}, and this one held fewer requests.");
    };
    let (won, lost) = if first.server == chosen.server { (first, second) } else { (second, first) };
    let held = |server: &Considered| (HELD.of)(server).unwrap_or(f64::MAX);
    let said = format!("The dice drew servers {} and {}, of {of}", first.server, second.server);
    let per_weight = if won.weight.or(lost.weight).is_some() { " for a full weight" } else { "" };
    let (own, other) = (held(won), held(lost));
    if own < other {
        return format!("{said}: this one held {}, the other one {}{per_weight}.", number(own), number(other));
    }
    if own > other || won.server != first.server {
        return format!(
            "{said}. The rule does not explain it: this one held {}, the other one {}.",
            number(own),
            number(other)
        );
    }
    format!("{said}: both held {}{per_weight}, and of equals the first one drawn is chosen.", number(own))
}

fn on_the_ring(chosen: &Chosen<'_>, key: u64, point: u64, passed: u32) -> String {
    // The coursework's circle has a few hundred places; that of a hash has 2⁶⁴.
    let place = |at: u64| if at < 100_000 { at.to_string() } else { format!("{at:016x}") };
    let (key, point) = (place(key), place(point));
    let rest = match passed {
        0 => String::new(),
        1 => " One server before it was full, or could not take it, and was passed by.".to_owned(),
        n => format!(" {n} servers before it were full, or could not take it, and were passed by."),
    };
    format!("The key lies at {key}; clockwise from there, at {point}, lies a point of server {}.{rest}", chosen.server)
}
