//! The drill of the sharded table: rows are added, changed, removed and read by many clients at once, the same rows by all of them, while
//! servers are killed and stopped, shards and servers are added, servers are removed until a shard has only one, and the load balancer
//! itself is killed and started again.
//!
//! What must be true: the history of every row is linearizable ([`history`]), from the first call to a look at everything at the end;
//! so every acknowledged change is there, once, and no read has seen less, or half. A look at two shards is of one moment ([`pairs`]). The
//! last copy of a shard cannot be removed. At the end all servers of a shard have the same rows, byte by byte, and these are what the table
//! shows. And a server that is killed then is soon back (`recovery`).
//!
//! Whether all this would find a mistake is tried, too: `planted` lets the same clients work at a table that makes some.
//!
//! | thread | role | blocks on | what stops it |
//! |---|---|---|---|
//! | `student-N` | a client | an answer, a pause | enough of its changes were answered, and all harm was done |
//! | `pair-N`, `looks-N` | changes a pair of rows; looks at it | the same | the same |
//! | `harm` | kills, stops, starts again, adds and removes | a pause | the same |
//!
//! Source: Jepsen (K. Kingsbury).

mod ground;
mod clients;
pub mod history;
pub mod pairs;
mod stand;
mod places;
mod harm;
mod recovery;
mod verdict;

#[cfg(test)]
mod planted;

pub use recovery::Recovery;

use super::{fronts::Report, play::Setting};
use anyhow::{anyhow, ensure};
use clients::Seen;
use fastrand::Rng;
use ground::{Ground, KEYS};
use harm::Blows;
use pairs::{Look, PAIRS, Pair, Step};
use stand::Stand;
use std::{
    io,
    ops::RangeInclusive,
    thread::{self, Scope, ScopedJoinHandle},
    time::Duration,
};

/// The name of the drill.
pub const NAME: &str = "shards";
/// What happens in it, and what is expected.
pub const ABOUT: &str = "20,000 changes by 20 clients while servers and load balancer are killed, shards and servers come and go: \
                         linearizable, copies equal";

/// What happens in it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// How many clients there are at once.
    pub clients: usize,
    /// How many changes of each are answered, at least; a third as many reads are made.
    pub changes: u64,
    /// Over how many rows, as long as no shard is added; at most a quarter of the keys.
    pub rows: i64,
    /// The time from one blow to the next, in milliseconds.
    pub strike_every_ms: RangeInclusive<u64>,
    /// How often the load balancer is killed.
    pub restarts: usize,
    /// How often a shard is added, with two servers.
    pub grows: usize,
    /// How often servers are removed, down to one for a shard, and added again.
    pub shrinks: usize,
    /// What is measured at the end.
    pub recovery: Recovery,
    /// Clients do not go on for longer than this.
    pub at_most: Duration,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            clients: 20,
            changes: 1_000,
            rows: 2_048,
            strike_every_ms: 800..=1_200,
            restarts: 2,
            grows: 2,
            shrinks: 1,
            recovery: Recovery { rows: 10_000, kills: 6, within: Some(Duration::from_secs(2)) },
            at_most: Duration::from_secs(900),
        }
    }
}

impl Scene {
    /// From the key of one row to that of the next.
    fn step(&self) -> i64 {
        KEYS / self.rows.clamp(1, KEYS / 4)
    }
}

/// What was seen of a pair.
#[derive(Debug, Default)]
struct Watched {
    steps: Vec<Step>,
    trouble: Option<String>,
    looks: Vec<Look>,
}

/// Plays it, and judges what was seen.
///
/// # Errors
/// If it could not be played: something did not start, or did not come back.
pub fn play(setting: &Setting, scene: &Scene) -> anyhow::Result<Report> {
    let mut report = Report::new(NAME, setting.seed);
    let mut stand = Stand::open(setting)?;
    let ground = Ground::new(stand.address(), scene.at_most, setting.stop.clone());
    ensure!(PAIRS.iter().all(|pair| pair.begin(&ground)), "The table takes no rows");
    let (mut seen, watched, blows) = work_under_harm(setting, scene, &mut stand, &ground)?;
    verdict::tell(&mut report, &seen, &watched, &blows, ground.seconds());
    stand.wait_until_in_step(ground.keys())?;
    let there = clients::look_at_everything(&ground, scene, &mut seen)?;
    let missed = recovery::measure(scene.recovery, &mut stand, &ground, there)?;
    stand.wait_until_in_step(ground.keys())?;
    let there = clients::all_rows(&ground)?;
    let copies = stand.copies()?;
    verdict::judge(&mut report, scene, &seen, &blows);
    verdict::judge_pairs(&mut report, &watched);
    verdict::judge_copies(&mut report, &copies, &there);
    verdict::judge_recovery(&mut report, scene.recovery, &missed);
    report.took_s = ground.seconds();
    report.keep(&setting.folder)?;
    Ok(report)
}

/// Lets clients work while harm is done.
fn work_under_harm(
    setting: &Setting,
    scene: &Scene,
    stand: &mut Stand,
    ground: &Ground,
) -> anyhow::Result<(Seen, Vec<Watched>, Blows)> {
    thread::scope(|scope| {
        let harm = || {
            let blows = harm::do_harm(setting.seed, scene, stand, ground);
            // Whatever has gone wrong: the others go home.
            ground.end();
            blows
        };
        let harm = named(scope, "harm".to_owned(), harm)?;
        let (seen, watched) = let_work(scope, setting.seed, scene, ground)?;
        let blows = harm.join().map_err(|_| anyhow!("The thread that does harm panicked"))??;
        Ok((seen, watched, blows))
    })
}

/// All clients, until it is over.
fn let_work<'scope>(
    scope: &'scope Scope<'scope, '_>,
    seed: u64,
    scene: &'scope Scene,
    ground: &'scope Ground,
) -> anyhow::Result<(Seen, Vec<Watched>)> {
    let clients: Vec<_> = (0..scene.clients)
        .map(|number| {
            let dice = Rng::with_seed(seed.wrapping_add(number as u64));
            named(scope, format!("student-{number}"), move || clients::work(number, scene, ground, dice))
        })
        .collect::<Result<_, _>>()?;
    let pairs: Vec<_> =
        PAIRS.iter().enumerate().map(|(n, pair)| watch(scope, n, pair, ground)).collect::<Result<_, _>>()?;
    let mut all = Seen::default();
    for one in clients {
        all.add(one.join().map_err(|_| anyhow!("A client panicked"))?);
    }
    let mut watched = Vec::new();
    for (changes, looks) in pairs {
        let (steps, trouble) = changes.join().map_err(|_| anyhow!("Who changes a pair panicked"))?;
        watched.push(Watched { steps, trouble, looks: looks.join().map_err(|_| anyhow!("Who looks panicked"))? });
    }
    Ok((all, watched))
}

/// Who changes a pair, and who looks at it.
type Watching<'scope> = (ScopedJoinHandle<'scope, (Vec<Step>, Option<String>)>, ScopedJoinHandle<'scope, Vec<Look>>);

fn watch<'scope>(
    scope: &'scope Scope<'scope, '_>,
    number: usize,
    pair: &'static Pair,
    ground: &'scope Ground,
) -> io::Result<Watching<'scope>> {
    let changes = named(scope, format!("pair-{number}"), move || pair.change(ground))?;
    Ok((changes, named(scope, format!("looks-{number}"), move || pair.watch(ground))?))
}

fn named<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: String,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().name(name).spawn_scoped(scope, work)
}
