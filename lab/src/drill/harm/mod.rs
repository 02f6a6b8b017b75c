//! What is done to the processes of a drill while clients ask.
//!
//! | file        | what it breaks                                                             |
//! |-------------|----------------------------------------------------------------------------|
//! | [`process`] | processes: killed, stopped, ended in order, started again, started anew    |
//! | [`mod@line`] | a line of ours between load balancer and server: cut, late, refusing       |
//! | [`network`] | a real network, of namespaces of the kernel: packets vanish                |
//! | [`admin`]   | nothing: it changes what a person may change, at the worst moment          |
//! | [`rude`]    | the other side: clients that ask and do not read                           |
//!
//! [`strike`] does one after the other at random moments, and undoes it.

pub mod admin;
pub mod line;
pub mod network;
pub mod process;
pub mod rude;
pub mod strike;

use std::ops::RangeInclusive;

/// What is done, how long each time, and how often.
#[derive(Clone, Debug)]
pub struct Harm {
    /// What is done.
    pub deed: Deed,
    /// How long it lasts before it is undone, in milliseconds; 0 where it is undone at once.
    pub lasting_ms: RangeInclusive<u64>,
    /// The time from one blow to the next, in milliseconds; of blows that last, the pause between them.
    pub every_ms: RangeInclusive<u64>,
}

/// Something that goes wrong, or is done on purpose, in a real system. The victim is drawn at random.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A server is killed (`kill -9`) and started again at once.
    Kill,
    /// A server is stopped (SIGSTOP) for a while.
    Stop,
    /// A server is killed, stopped for a while, or ended in order; then started again, or let go on.
    Mixed,
    /// As [`Deed::Mixed`], or its answers are late for a while.
    MixedOrSlow,
    /// The line to a server passes nothing for a while.
    CutOff,
    /// The answers of a server are late for a while.
    Slow {
        /// How late, in milliseconds.
        delay_ms: RangeInclusive<u64>,
    },
    /// A server lives, but its service port refuses every connection for a while.
    Refuse,
    /// Every packet to and from a server is lost for a while.
    Vanish,
    /// A server goes away and comes back, again and again.
    Flap {
        /// How long it is away each time, and how long there, in milliseconds.
        phase_ms: RangeInclusive<u64>,
    },
    /// All servers are killed, and started again after a while.
    AllDown,
    /// Another server is started, up to so many.
    Join {
        /// How many there are in the end.
        at_most: usize,
    },
    /// Clients ask for more than a connection holds, and do not read it.
    NeverRead {
        /// How many at once.
        clients: usize,
    },
    /// A server is drained by a person until it holds nothing, and had back after a while; or it ends (Ctrl-C) and is
    /// started again.
    Drain,
    /// A person changes the policy.
    ChangePolicy,
    /// Nothing is done to anybody: there are more clients than places.
    Crowd,
    /// The load balancer is killed (`kill -9`) and started again at once.
    RestartBalancer,
    /// The load balancer is asked to end (Ctrl-C) with requests in hand, and started again.
    EndBalancer,
}

impl Harm {
    /// Something that is undone at once, from time to time.
    #[must_use]
    pub fn every(deed: Deed, every_ms: RangeInclusive<u64>) -> Self {
        Self { deed, lasting_ms: 0..=0, every_ms }
    }

    /// Something that lasts, with pauses in between.
    #[must_use]
    pub fn lasting(deed: Deed, lasting_ms: RangeInclusive<u64>, apart_ms: RangeInclusive<u64>) -> Self {
        Self { deed, lasting_ms, every_ms: apart_ms }
    }

    /// Whether a blow lasts; the pause then begins at its end.
    #[must_use]
    pub fn lasts(&self) -> bool {
        *self.lasting_ms.end() > 0
    }

    /// What it is, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (lasting, every) = (seconds(&self.lasting_ms), seconds(&self.every_ms));
        match &self.deed {
            Deed::Kill => format!("kill -9 of a random server every {every}, started again"),
            Deed::Stop => format!("SIGSTOP of a random server for {lasting}, {every} apart"),
            Deed::Mixed => format!("kill -9, SIGSTOP or restart of a random server, {every} apart"),
            Deed::MixedOrSlow => {
                format!("kill -9, SIGSTOP, restart or late answers of a random server, {every} apart")
            }
            Deed::CutOff => format!("no byte to or from a random server for {lasting}, {every} apart"),
            Deed::Slow { delay_ms } => {
                let late = seconds(delay_ms);
                format!("answers of a random server {late} late for {lasting}, {every} apart")
            }
            Deed::Refuse => {
                format!("the service port of a random server refuses connections for {lasting}, {every} apart")
            }
            Deed::Vanish => format!("every packet to and from a random server lost for {lasting}, {every} apart"),
            Deed::Flap { phase_ms } => {
                let phase = seconds(phase_ms);
                format!("a random server away and back every {phase} for {lasting}, {every} apart")
            }
            Deed::AllDown => format!("kill -9 of all servers, started again after {lasting}, {every} apart"),
            Deed::Join { at_most } => format!("another server every {every}, until there are {at_most}"),
            Deed::NeverRead { clients } => format!(
                "{clients} clients that ask for much and read nothing, or a byte a second, for {lasting}, {every} apart"
            ),
            Deed::Drain => {
                format!(
                    "a random server drained until it is empty, ready again after {lasting}, or Ctrl-C of it, {every} apart"
                )
            }
            Deed::ChangePolicy => format!("another policy every {every}"),
            Deed::Crowd => "more clients than places".to_owned(),
            Deed::RestartBalancer => format!("kill -9 of the load balancer every {every}, started again"),
            Deed::EndBalancer => format!("Ctrl-C of the load balancer every {every}, started again"),
        }
    }
}

/// A range of times, in seconds, for people.
fn seconds(ms: &RangeInclusive<u64>) -> String {
    let (from, to) = (*ms.start() as f64 / 1000.0, *ms.end() as f64 / 1000.0);
    if from == to { format!("{from} s") } else { format!("{from}–{to} s") }
}
