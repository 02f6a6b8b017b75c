//! Drills at the TCP and the HTTP frontend.
//!
//! **The problem.** Clients of the lab's own protocol can ask again under the same id; a browser, an echo client or a
//! download cannot. For them the load balancer has to do it alone, or to say clearly that it could not.
//!
//! **The idea.** As in the other drills, servers are killed and started again while clients ask, and each answer is held
//! against what only its own question can have. What may be expected differs by what the load balancer can know: of a
//! connection (`echo`) that it is whole or *visibly* cut, and cut only if its server died in its middle; of an HTTP request
//! that it is answered; of a download that it goes on from another server; of slow clients that they harm nobody else.
//!
//! | thread     | role                                       | blocks on             | what stops it    |
//! |------------|--------------------------------------------|-----------------------|------------------|
//! | `caller-N` | a client                                   | an answer, a pause    | its last request |
//! | `says`     | a client's sending half                    | the socket            | the last byte    |
//! | `kills`    | kills a server, and starts it again        | a pause               | the last client  |
//! | `drips-N`  | many slow clients: a byte of each, in turn | a pause               | the set time     |

mod stand;
mod kills;
mod callers;
mod echo;
mod requests;
mod downloads;
mod slow;
mod report;

pub use report::Report;

use super::play::Setting;
use anyhow::Context;
use loadbalancer::policy::Name;
use std::{ops::RangeInclusive, time::Duration};

/// A drill that can be asked for by name.
#[derive(Debug)]
pub struct Drill {
    /// Its name.
    pub name: &'static str,
    /// What happens in it, and what is expected.
    pub about: &'static str,
    /// How it is played.
    pub scene: fn() -> Scene,
}

/// What happens in a drill.
#[derive(Clone, Debug)]
pub struct Scene {
    /// How many servers there are.
    pub servers: usize,
    /// What each request costs them, in seconds.
    pub processing_time: f64,
    /// How many clients there are at once.
    pub clients: usize,
    /// How many connections or requests of each.
    pub requests: u64,
    /// The time from one kill to the next, in milliseconds.
    pub kill_every_ms: RangeInclusive<u64>,
    /// What they do.
    pub traffic: Traffic,
}

/// What clients do.
#[derive(Clone, Debug)]
pub enum Traffic {
    /// Connections to echo servers, under each of these policies; one of so many is large.
    Echo {
        /// The policies, each with servers and a load balancer of its own.
        policies: Vec<Name>,
        /// One connection of so many carries 10 million bytes.
        large_one_of: u64,
    },
    /// Small HTTP requests on connections that are kept, while servers are killed so many times.
    Requests {
        /// How many kills there are.
        kills: usize,
    },
    /// Downloads, by clients that take their time.
    Downloads {
        /// The size of the file.
        bytes: usize,
    },
    /// Small HTTP requests beside slow clients; nobody is killed.
    Slow {
        /// How many slow clients.
        clients: usize,
        /// For how long.
        lasting: Duration,
        /// A time within which 99 % of the others may always be answered, in milliseconds; above it, twice the time of before.
        always_ms: f64,
    },
}

/// The drills, in the order in which `all` plays them.
pub const DRILLS: [Drill; 4] = [
    Drill {
        name: "echo",
        about: "10,000 connections under each policy while echo servers are killed: whole, or visibly cut",
        scene: || Scene {
            servers: 3,
            processing_time: 0.0,
            clients: 200,
            requests: 50,
            kill_every_ms: 300..=700,
            traffic: Traffic::Echo {
                policies: <Name as clap::ValueEnum>::value_variants().to_vec(),
                large_one_of: 500,
            },
        },
    },
    Drill {
        name: "http",
        about: "10,000 HTTP requests, 50 at a time, during ten kills of servers: all answered",
        scene: || Scene {
            servers: 3,
            processing_time: 0.03,
            clients: 50,
            requests: 200,
            kill_every_ms: 450..=550,
            traffic: Traffic::Requests { kills: 10 },
        },
    },
    Drill {
        name: "http-downloads",
        about: "160 HTTP downloads of 4 MB while a server is killed every 0.85 s: all whole",
        scene: || Scene {
            servers: 3,
            processing_time: 0.05,
            clients: 8,
            requests: 20,
            kill_every_ms: 850..=850,
            traffic: Traffic::Downloads { bytes: 4_000_000 },
        },
    },
    Drill {
        name: "slow-connections",
        about: "4,000 slow HTTP clients for 30 s: others are served nearly as before, within 128 MiB",
        scene: || Scene {
            servers: 3,
            processing_time: 0.0,
            clients: 8,
            requests: 0,
            kill_every_ms: 0..=0,
            traffic: Traffic::Slow { clients: 4_000, lasting: Duration::from_secs(30), always_ms: 10.0 },
        },
    },
];

/// The drill of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|drill| drill.name == name)
}

/// Plays a scene and judges what was seen.
///
/// # Errors
/// If it could not be played: something did not start, or did not come back.
pub fn play(name: &str, setting: &Setting, scene: &Scene) -> anyhow::Result<Report> {
    let mut report = Report::new(name, setting.seed);
    let begin = std::time::Instant::now();
    match &scene.traffic {
        Traffic::Echo { policies, large_one_of } => {
            for policy in policies {
                echo::play(setting, scene, *policy, *large_one_of, &mut report)
                    .with_context(|| format!("With the policy {policy}"))?;
            }
        }
        Traffic::Requests { kills } => requests::play(setting, scene, *kills, &mut report)?,
        Traffic::Downloads { bytes } => downloads::play(setting, scene, *bytes, &mut report)?,
        Traffic::Slow { clients, lasting, always_ms } => {
            slow::play(setting, scene, (*clients, *lasting, *always_ms), &mut report)?;
        }
    }
    if setting.stop.is_set() {
        report.check("it was played to its end", "interrupted", false);
    }
    report.took_s = begin.elapsed().as_secs_f64();
    report.keep(&setting.folder)?;
    Ok(report)
}
