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
        let _nobody_reads = DRILLS.iter().all(|drill| show!("{:16} {}", drill.name, drill.about));
        return Ok(ExitCode::SUCCESS);
    }
    let Some(wanted) = wanted(&drills.names) else { return Ok(ExitCode::from(2)) };
    let stop = Stop::on_signals().context("Signals cannot be handled")?;
    let run = RunFolder::make(&Places::here()?, "drill", drills.apart.as_deref())?;
    let seed = drills.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
    let mut good = true;
    for drill in wanted {
        let folder = drills.apart.clone().unwrap_or_else(|| run.path().join(drill.name));
        let apart = drills.apart.is_some();
        let setting = Setting { binary: Binary::own()?, folder, seed, stop: stop.clone(), apart };
        let mut scene = (drill.scene)();
        scene.load.clients = drills.clients.unwrap_or(scene.load.clients);
        scene.load.requests = drills.requests.unwrap_or(scene.load.requests);
        let played = play(drill.name, &setting, &scene);
        let report = played.with_context(|| format!("The drill {} could not be played", drill.name))?;
        good &= report.good;
        if drills.json {
            show!("{}", serde_json::to_string(&report)?);
        } else {
            report.tell();
        }
        if stop.is_set() {
            break;
        }
    }
    if !drills.json {
        say!("Everything that the processes wrote is in {}.", run.shown());
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The drills of these names; tells what is wrong if there is no such.
fn wanted(names: &[String]) -> Option<Vec<&'static Drill>> {
    if names.iter().any(|name| name == "all") {
        return Some(DRILLS.iter().collect());
    }
    let mut found = Vec::new();
    for name in names {
        let Some(drill) = find(name) else {
            warn!("There is no drill {name}. `lab drill --list` shows those that there are.");
            return None;
        };
        found.push(drill);
    }
    Some(found)
}
