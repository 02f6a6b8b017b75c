//! What goes wrong, and what people order.

use super::agenda::Event;
use crate::{policy::Name, pool::Admin};
use clap::ValueEnum as _;
use std::time::Duration;

/// Something that happens to a server, or to the load balancer. Servers are named by their place in the scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The process is gone at once (`kill -9`), with all that it was doing.
    Crash(usize),
    /// It is started again: a new process, which has nothing to do.
    Return(usize),
    /// It stands still (SIGSTOP): connections stay, nothing is answered.
    Hang(usize),
    /// It goes on, with all that has gathered.
    Resume(usize),
    /// It takes so many times as long from now on; 1 is as usual.
    Slow(usize, f64),
    /// This part of its answers is lost, from now on; 0 is none. Of the lost, half break the connection and half vanish
    /// without a word.
    Loses(usize, f64),
    /// Its entry is removed.
    Leave(usize),
    /// Its entry is there again.
    Join(usize),
    /// It is told to end: it takes nothing new and finishes what it has.
    Ends(usize),
    /// A person decides about it.
    Admin(usize, Admin),
    /// A person gives it a weight.
    Weigh(usize, Option<u32>),
    /// A person gives it a capacity, at most its own.
    Resize(usize, u32),
    /// From now on this policy chooses.
    Policy(Name),
}

/// Something that goes wrong by chance, and how it is put right again later. `home` is the policy of the scenario: others
/// choose for a moment only, or a day under one policy would soon be a day under any.
pub(super) fn mishap(servers: usize, home: Name, random: &mut fastrand::Rng) -> Vec<(Duration, Event)> {
    let server = random.usize(..servers);
    let now = Duration::ZERO;
    let later = Duration::from_millis(random.u64(50..6_000));
    let both = |first, then| vec![(now, first), (later, then)];
    let faults = match random.u8(..12) {
        0 => both(Fault::Crash(server), Fault::Return(server)),
        1 => both(Fault::Hang(server), Fault::Resume(server)),
        2 => both(Fault::Slow(server, random.f64() * 40.0 + 1.0), Fault::Slow(server, 1.0)),
        3 => both(Fault::Loses(server, random.f64()), Fault::Loses(server, 0.0)),
        4 => both(Fault::Leave(server), Fault::Join(server)),
        5 => both(Fault::Ends(server), Fault::Return(server)),
        6 => both(Fault::Admin(server, Admin::Drain), Fault::Admin(server, Admin::Ready)),
        7 => both(Fault::Admin(server, Admin::Maintenance), Fault::Admin(server, Admin::Ready)),
        8 => vec![(now, Fault::Weigh(server, random.bool().then(|| random.u32(1..=256))))],
        9 | 10 => vec![(now, Fault::Resize(server, random.u32(1..8)))],
        _ => {
            let all = Name::value_variants();
            let soon = Duration::from_millis(random.u64(20..300));
            vec![(now, Fault::Policy(all[random.usize(..all.len())])), (soon, Fault::Policy(home))]
        }
    };
    faults.into_iter().map(|(at, fault)| (at, Event::Fault(fault))).collect()
}
