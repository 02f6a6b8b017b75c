//! Processes of the laboratory: how they are started, found ready, and ended, and the folder in which a run keeps what
//! it writes.
//!
//! `lab up`, `lab drill` and `lab bench` all start real processes. Each is a [`Child`] (dropping it kills it) that
//! holds on to the lifeline of a [`Site`], so that none is left behind, however the program that started it ends.

mod child;
mod folder;
mod list;
mod pools;
mod port;
mod own_user;
mod postgres;
mod mariadb;
mod site;
mod statement;
mod tied;

pub use child::{Binary, Child};
pub use folder::{COLORS_CSV, RunFolder};
pub use list::{List, is_up, settled, shown};
pub use mariadb::Mariadb;
pub use pools::{Member, Pool, Totals};
pub use port::free_port;
pub use postgres::{Ending, Postgres, postgres_program};
pub use site::{ServerPlan, Site};
pub use statement::run_statement;
pub use tied::{Tie, run as run_tied, start as start_tied};

use anyhow::Context;
use std::{path::Path, time::Duration};

/// How long everything may take to be ready. A server that has to make its database needs tens of milliseconds;
/// this is for machines that are busy with something else.
pub const READY_TIME: Duration = Duration::from_secs(60);
/// How long children may take to end by themselves when their lifeline is gone.
pub const END_TIME: Duration = Duration::from_secs(4);
/// How often we look whether something is ready.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A path as an argument.
///
/// # Errors
/// If it is not Unicode; every path of ours is made from texts and the current folder.
pub fn argument(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str();
    text.map(str::to_owned).with_context(|| format!("The path {} is not valid Unicode.", path.display()))
}
