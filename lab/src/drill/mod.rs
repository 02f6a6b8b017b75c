//! `lab drill`: things go wrong on purpose, in real processes, while clients ask.
//!
//! **The problem.** That nothing is lost when a server dies cannot be seen from the code, and a test in which nothing
//! dies proves the opposite of what it says.
//!
//! **The idea.** Each drill starts servers and a load balancer, measures what they hold, and lets many clients ask
//! while harm is done at random moments. Every question carries something that only its own answer can have; every
//! acknowledged `INSERT` is looked for in the database afterwards; a request of unknown outcome is asked again under
//! the same id. Then: what was asked, what was seen, and a verdict.
//!
//! **When it is wrong.** A drill that finds nothing has shown that this seed, on this machine, found nothing. The
//! seed repeats the choices, not the moments at which threads meet them. And a process that is stopped cannot notice
//! that its lifeline has ended: a drill that is itself ended with `kill -9` in that moment leaves it behind. (Ctrl-C
//! lets everything go on first.)
//!
//! | thread      | role                                     | blocks on                  | what stops it       |
//! |-------------|------------------------------------------|----------------------------|---------------------|
//! | `asker-N`   | a client                                 | the load balancer's answer | its last request    |
//! | `strike`    | does harm, and undoes it                 | a pause                    | the last asker      |
//! | `line`, `line-service`, `line-control` | pass bytes on | a socket, the line's lock  | the line's end      |
//!
//! All of this is about the lab's own frontend; the drills at the others are in [`fronts`], that of the sharded table in [`shards`], and
//! that of a database which itself falls in [`database`].
//!
//! Sources: Jepsen (K. Kingsbury), whose nemesis this harm is; the outcome "info" there is "unknown" here.

mod programme;
mod scene;
mod play;
mod ground;
mod stock;
mod asker;
mod question;
mod tally;
mod harm;
mod gauges;
mod journal;
mod written;
mod verdict;
mod report;
pub mod fronts;
pub mod shards;
pub mod database;

pub use asker::{Load, Mix};
pub use gauges::{Gauges, Process};
pub use harm::{Deed, Harm};
pub use play::{Setting, play};
pub use programme::{DRILLS, Drill, find};
pub use report::{Check, Report};
pub use scene::{Between, Errors, Must, Scene};
pub use tally::Tally;

use crate::process::{Binary, RunFolder};
use anyhow::Context;
use clap::Args;
use protocol::{
    output::{say, show, warn},
    places::Places,
    stop::Stop,
};
use std::{path::PathBuf, process::ExitCode};

/// Options of `lab drill`.
#[derive(Args, Debug)]
pub struct Drills {
    /// Which drills, or `all` (`--list` shows them)
    #[arg(value_name = "NAME", required_unless_present = "list")]
    pub names: Vec<String>,
    /// Show the drills
    #[arg(long)]
    pub list: bool,
    /// Repeat the random choices of an earlier drill [default: drawn]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Clients that ask at once [default: the drill's own]
    #[arg(long, value_name = "N")]
    pub clients: Option<usize>,
    /// Requests of each client [default: the drill's own]
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// What keeps the rows in the drill `database`
    #[arg(long, value_enum, value_name = "ENGINE", default_value = "sqlite")]
    pub engine: database::Engine,
    /// Print the report as JSON, one line for each drill
    #[arg(long)]
    pub json: bool,
    /// This process was started in a network of its own, to play one drill in this folder
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub apart: Option<PathBuf>,
}

/// Plays the drills. The status is 1 if a verdict is bad.
///
/// # Errors
/// If a drill could not be played.
pub fn run(drills: &Drills) -> anyhow::Result<ExitCode> {
    if drills.list {
        let _nobody_reads = all().all(|drill| show!("{:16} {}", drill.name(), drill.about()));
        return Ok(ExitCode::SUCCESS);
    }
    let Some(wanted) = wanted(&drills.names) else { return Ok(ExitCode::from(2)) };
    let stop = Stop::on_signals().context("Signals cannot be handled")?;
    let run = RunFolder::make(&Places::here()?, "drill", drills.apart.as_deref())?;
    let seed = drills.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
    let mut good = true;
    for drill in wanted {
        let folder = drills.apart.clone().unwrap_or_else(|| run.path().join(drill.name()));
        let apart = drills.apart.is_some();
        let setting = Setting { binary: Binary::own()?, folder, seed, stop: stop.clone(), apart };
        let played = drill.play(&setting, drills);
        good &= played.with_context(|| format!("The drill {} could not be played", drill.name()))?;
        if stop.is_set() {
            break;
        }
    }
    if !drills.json {
        say!("Everything that the processes wrote is in {}.", run.shown());
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A drill at any frontend.
#[derive(Clone, Copy)]
enum Any {
    /// At the lab's own.
    Lab(&'static Drill),
    /// At another one.
    Front(&'static fronts::Drill),
    /// Of the sharded table.
    Shards,
    /// Of the shared database.
    Database,
}

/// All drills, in the order in which they are played.
fn all() -> impl Iterator<Item = Any> {
    DRILLS.iter().map(Any::Lab).chain(fronts::DRILLS.iter().map(Any::Front)).chain([Any::Shards, Any::Database])
}

impl Any {
    fn name(self) -> &'static str {
        match self {
            Self::Lab(drill) => drill.name,
            Self::Front(drill) => drill.name,
            Self::Shards => shards::NAME,
            Self::Database => database::NAME,
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Lab(drill) => drill.about,
            Self::Front(drill) => drill.about,
            Self::Shards => shards::ABOUT,
            Self::Database => database::ABOUT,
        }
    }

    /// Plays it with what the command line wants to have otherwise, and tells what was seen; says whether all was good.
    fn play(self, setting: &Setting, drills: &Drills) -> anyhow::Result<bool> {
        let said = |json: serde_json::Result<String>| {
            json.map(|json| {
                let _nobody_reads = show!("{json}");
            })
        };
        match self {
            Self::Lab(drill) => {
                let mut scene = (drill.scene)();
                scene.load.clients = drills.clients.unwrap_or(scene.load.clients);
                scene.load.requests = drills.requests.unwrap_or(scene.load.requests);
                let report = play(drill.name, setting, &scene)?;
                if drills.json {
                    said(serde_json::to_string(&report))?
                } else {
                    report.tell()
                }
                Ok(report.good)
            }
            Self::Front(drill) => {
                let mut scene = (drill.scene)();
                scene.clients = drills.clients.unwrap_or(scene.clients);
                scene.requests = drills.requests.unwrap_or(scene.requests);
                let report = fronts::play(drill.name, setting, &scene)?;
                if drills.json {
                    said(serde_json::to_string(&report))?
                } else {
                    report.tell()
                }
                Ok(report.good)
            }
            Self::Shards => {
                let mut scene = shards::Scene::default();
                scene.clients = drills.clients.unwrap_or(scene.clients);
                scene.changes = drills.requests.unwrap_or(scene.changes);
                let report = shards::play(setting, &scene)?;
                if drills.json {
                    said(serde_json::to_string(&report))?
                } else {
                    report.tell()
                }
                Ok(report.good)
            }
            Self::Database => {
                let mut scene = database::Scene { engine: drills.engine, ..database::Scene::default() };
                scene.clients = drills.clients.unwrap_or(scene.clients);
                scene.requests = drills.requests.unwrap_or(scene.requests);
                let report = database::play(setting, &scene)?;
                if drills.json {
                    said(serde_json::to_string(&report))?
                } else {
                    report.tell()
                }
                Ok(report.good)
            }
        }
    }
}

/// The drills of these names; tells what is wrong if there is no such.
fn wanted(names: &[String]) -> Option<Vec<Any>> {
    if names.iter().any(|name| name == "all") {
        return Some(all().collect());
    }
    let mut found = Vec::new();
    for name in names {
        let Some(drill) = all().find(|drill| drill.name() == name) else {
            warn!("There is no drill {name}. `lab drill --list` shows those that there are.");
            return None;
        };
        found.push(drill);
    }
    Some(found)
}
