//! `lab race`: races, made visible, and shown to be impossible.
//!
//! **The problem.** Two clients look at the list of idle servers in the same moment, both see server 1, both take it. That
//! happens once in a million requests, never while somebody watches, and not at all on the machine of the one who
//! wrote it. A test that runs the threads and hopes finds nothing; a sleep in the right place finds what one knew.
//!
//! **The idea.** Who goes on when, is not left to the operating system. [shuttle](https://docs.rs/shuttle) runs the threads
//! of a small scene one at a time, stops each at every lock and channel, and draws who goes on. Ten thousand draws are
//! ten thousand different meetings, in one second. One in which something is wrong can be repeated exactly, because the
//! draws are all there is to it: they are the *schedule*.
//!
//! What is run is the pool of the program itself ([`loadbalancer::pool::locked`]), with shuttle's locks and channels in the
//! place of the real ones; not a drawing of it.
//!
//! **Worked example.** A client of the coursework's load balancer looks and takes in two steps: L, T. Two clients have six
//! orders: LTLT (1122), LLTT (1212, 1221, and the same begun by client 2). In four of the six both see the same server. A
//! real lock makes L and T one step, and there is no order left in which it goes wrong.
//!
//! **What is checked** in every play: no server has more requests than it may; when nobody can move, the pool's
//! count of each server is the number of those who use it (no lease lost, none given back twice), and nobody waits
//! while a server is idle; each model adds its own. And a test that has never failed proves little, so each model must find the
//! mistakes that are [planted] for it.
//!
//! **When it is wrong.** Draws are a sample: what one order in a billion shows, ten thousand miss. shuttle stops at
//! locks and channels only, and has one order of memory for all; what goes wrong between two processors without locks, it
//! does not see (there is no such code in the pool). Not played are the threads around the pool: for these there are the
//! drills.
//!
//! | file           | what is in it                                                    |
//! |----------------|------------------------------------------------------------------|
//! | [`models`]     | the scenes, and what must be so in each                           |
//! | [`planted`]    | mistakes                                                         |
//! | [`desk`]       | the pool as a client sees it                                     |
//! | [`stage`]      | a play: what its threads tell and hold, and the judge            |
//! | [`schedule`]   | who goes on: drawn, written, repeated                            |
//! | [`primitives`] | shuttle's locks and channels                                     |
//! | [`play`]       | plays until something is wrong, and repeats that                  |
//! | `lesson`       | what `lab race` prints                                           |
//!
//! Each model is played on a thread of its own (`race-…`), which ends with its last play.
//!
//! Sources: AWS's shuttle; S. Burckhardt et al., *A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs*,
//! ASPLOS 2010; M. Musuvathi et al., *Finding and Reproducing Heisenbugs in Concurrent Programs* (CHESS), OSDI 2008.

pub mod primitives;
pub mod schedule;
pub mod stage;
pub mod desk;
pub mod planted;
pub mod models;
pub mod play;
mod lesson;

#[cfg(test)]
mod tests;

use self::{models::Model, schedule::Schedule};
use anyhow::bail;
use clap::Args;
use protocol::output::show;
use std::process::ExitCode;

/// The model that is played when none is named: the race of the coursework.
const FIRST: &str = "two-clients";

/// Options of `lab race`.
#[derive(Args, Debug)]
pub struct Race {
    /// What is played: a model of --list, or all. Without one: the race of the coursework
    #[arg(value_name = "MODEL")]
    model: Option<String>,
    /// How many orders of the threads are tried
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    schedules: u32,
    /// What the orders are drawn from; the same seed draws the same [default: drawn, and told]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Which version of the model is played with --replay: a planted mistake, or real [default: the first mistake]
    #[arg(long, value_name = "NAME", requires = "replay")]
    version: Option<String>,
    /// Repeat the play with this schedule, step by step
    #[arg(long, value_name = "SCHEDULE")]
    replay: Option<Schedule>,
    /// Tell what models there are
    #[arg(long, exclusive = true)]
    list: bool,
}

/// Plays, and prints what was seen.
///
/// # Errors
/// If there is no such model or version.
pub fn run(race: &Race) -> anyhow::Result<ExitCode> {
    if race.list {
        lesson::list();
        return Ok(ExitCode::SUCCESS);
    }
    let name = race.model.as_deref().unwrap_or(FIRST);
    if let Some(schedule) = &race.replay {
        return race.replay(find(name)?, schedule);
    }
    let (plays, seed) = (race.schedules as usize, race.seed.unwrap_or_else(|| fastrand::u64(..)));
    let as_it_should = match name {
        "all" => lesson::all(plays, seed)?,
        name => lesson::one(find(name)?, plays, seed),
    };
    Ok(if as_it_should { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn find(name: &str) -> anyhow::Result<&'static Model> {
    let Some(model) = models::find(name) else {
        let names: Vec<&str> = models::all().map(|model| model.name).collect();
        bail!("There is no model '{name}'. There are: {}; or all.", names.join(", "));
    };
    Ok(model)
}

impl Race {
    fn replay(&self, model: &'static Model, schedule: &Schedule) -> anyhow::Result<ExitCode> {
        let first = model.planted.first().unwrap_or(&model.real);
        let name = self.version.as_deref().unwrap_or(first.name);
        let Some(version) = model.planted.iter().chain([&model.real]).find(|version| version.name == name) else {
            bail!("The model {} has no version '{name}'.", model.name);
        };
        // Where a thread cannot go on just then another one does; but one that never was is a slip of the pen.
        let most = play::highest_thread(version);
        if let Some(stranger) = schedule.highest().filter(|thread| *thread > most) {
            bail!("There is no thread {stranger} in {}, {}: its threads are 1 to {most}.", model.name, version.name);
        }
        let (steps, broken) = play::repeat(version, schedule);
        show!("{}, {}: {}\n", model.name, version.name, version.about);
        lesson::tell(&steps, broken.as_deref());
        Ok(ExitCode::SUCCESS)
    }
}
