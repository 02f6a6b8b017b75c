//! The drill of the shared database: many clients write while servers are killed and, where it is a program of its own, the database
//! itself is ended and started again.
//!
//! **What must be true.** Every row whose INSERT was acknowledged is there, once. No row is there twice, and none that was refused for
//! certain. What was in doubt (a COMMIT under way when the database fell) is settled by asking again under the same id. Nobody
//! hangs: the slowest answer came within its request's time.
//!
//! The database falls in two ways, in turn: as in a crash (PostgreSQL's *immediate* shutdown, `kill -9` of MariaDB:
//! nothing is written down, the next start recovers from the log), and in order but at once (whoever is inside is thrown out). It stays away for a
//! moment, so that servers that are started meanwhile have to wait for it, too.
//!
//! | thread | role | blocks on | what stops it |
//! |---|---|---|---|
//! | `asker-N` | a client | the load balancer's answer | its last request |
//! | `kills` | kills a server, and starts it again | a pause; the server's start | the last client |
//! | `restarts` | ends the database, and starts it again | the clients' progress; the database | the last restart, or the last client |
//!
//! **When it is wrong.** That a process is killed does not take away what the system has in memory for its disk: a power cut is not
//! drilled here.
//!
//! Source: Jepsen (K. Kingsbury).

mod engine;
mod judge;

pub use engine::Engine;

use super::{
    asker::{Load, Mix, ask_all},
    fronts::Report,
    ground::Ground,
    harm::{Deed, Harm},
    play::Setting,
    scene::{self, Between, Errors},
    tally::Tally,
    written::Rows,
};
use crate::process::{Ending, Pool, RunFolder, Site};
use anyhow::anyhow;
use engine::Store;
use fastrand::Rng;
use protocol::{places::Places, stop::Stop};
use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    thread,
    time::{Duration, Instant},
};

/// The name of the drill.
pub const NAME: &str = "database";
/// What happens in it, and what is expected.
pub const ABOUT: &str =
    "2,000 INSERTs by 20 clients while servers are killed and the database restarts (--engine): each there once";

/// How often the restarts look how far the clients are.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What happens in it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What keeps the rows.
    pub engine: Engine,
    /// How many clients there are at once.
    pub clients: usize,
    /// How many INSERTs of each.
    pub requests: u64,
    /// The time from one kill of a server to the next, in milliseconds.
    pub kill_every_ms: u64,
    /// How often the database is ended and started again, if it is a program of its own: evenly over the work.
    pub restarts: u64,
    /// How long it is away each time, in milliseconds.
    pub away_ms: RangeInclusive<u64>,
    /// How long a request may take.
    pub timeout: Duration,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            engine: Engine::Sqlite,
            clients: 20,
            requests: 100,
            kill_every_ms: 350,
            restarts: 3,
            away_ms: 300..=1_500,
            timeout: Duration::from_secs(20),
        }
    }
}

/// What was done.
#[derive(Clone, Debug, Default)]
struct Blows {
    kills: u64,
    /// How long the database was away each time, from its end to its first connection.
    restarts: Vec<Duration>,
}

/// Plays it, and judges what was seen.
///
/// # Errors
/// If it could not be played: something did not start, or did not come back.
pub fn play(setting: &Setting, scene: &Scene) -> anyhow::Result<Report> {
    let (mut report, begin) = (Report::new(NAME, setting.seed), Instant::now());
    let folder = RunFolder::make(&Places::here()?, "drill", Some(&setting.folder))?;
    let site = Site::new(setting.binary.clone(), folder)?;
    // Before the servers, and ended after them.
    let mut store = Store::open(scene.engine, &site, setting)?;
    let mut ground = Ground::open(site, &ground_of(scene))?;
    store.make_table(ground.address)?;
    let begun = Instant::now();
    let (tally, blows) = storm(&mut ground, &mut store, setting, scene)?;
    report.saw(format!("{}: {}", scene.engine.name(), judge::seen(&tally, begun.elapsed())));
    report.saw(judge::done(&blows));
    ground.list()?.wait_for(ground.servers.len())?;
    let rows = Rows::read(ground.address)?;
    judge::judge(&mut report, scene, &tally, &blows, &rows);
    if setting.stop.is_set() {
        report.check("it was played to its end", "interrupted", false);
    }
    report.took_s = begin.elapsed().as_secs_f64();
    report.keep(&setting.folder)?;
    Ok(report)
}

/// The servers and the load balancer; what is done to them is done here.
fn ground_of(scene: &Scene) -> scene::Scene {
    let mix = Mix { files: 0, reads: 0, writes: 1, returning: true };
    scene::Scene {
        servers: 3,
        processing_time: 0.05,
        capacity: 4,
        files: 0,
        file_size: 0,
        copies_differ: false,
        large_file: false,
        between: Between::Nothing,
        flags: Vec::new(),
        load: Load { clients: scene.clients, requests: scene.requests, mix, timeout: scene.timeout },
        harm: Harm::every(Deed::Kill, scene.kill_every_ms..=scene.kill_every_ms),
        errors: Errors::Open,
        more: Vec::new(),
    }
}

/// Lets clients write while servers and database fall, until the clients have done.
fn storm(ground: &mut Ground, store: &mut Store, setting: &Setting, scene: &Scene) -> anyhow::Result<(Tally, Blows)> {
    let (enough, address, admin) = (Stop::new(), ground.address, ground.admin.address);
    let load = ground_of(scene).load;
    thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let restarts = named("restarts").spawn_scoped(scope, || restart(store, admin, setting.seed, scene, &enough))?;
        let kills = named("kills").spawn_scoped(scope, || kill(ground, setting.seed, scene.kill_every_ms, &enough))?;
        let tally = ask_all(address, &load, &[], setting.seed, &setting.stop);
        enough.drain();
        let panicked = |_| anyhow!("A thread of the drill panicked");
        let (kills, restarts) = (kills.join().map_err(panicked)??, restarts.join().map_err(panicked)??);
        Ok((tally?, Blows { kills, restarts }))
    })
}

/// Kills a server every so often, and starts it again (thread "kills"). While the database is away, that has to wait for it.
fn kill(ground: &mut Ground, seed: u64, every_ms: u64, enough: &Stop) -> anyhow::Result<u64> {
    let mut dice = Rng::with_seed(!seed);
    let mut kills = 0;
    let mut pause = Duration::from_millis(every_ms);
    while !enough.wait_timeout(pause) {
        let struck = Instant::now();
        let victim = dice.usize(..ground.servers.len());
        ground.servers[victim].child.kill();
        ground.start_again(victim)?;
        kills += 1;
        pause = Duration::from_millis(every_ms).saturating_sub(struck.elapsed());
    }
    Ok(kills)
}

/// Ends the database and starts it again, when the clients have come so far (thread "restarts").
fn restart(
    store: &mut Store,
    admin: SocketAddr,
    seed: u64,
    scene: &Scene,
    enough: &Stop,
) -> anyhow::Result<Vec<Duration>> {
    let mut dice = Rng::with_seed(seed ^ 0x00da_7aba);
    let (all, parts) = (scene.clients as u64 * scene.requests, scene.restarts + 1);
    let mut away = Vec::new();
    let wanted = if scene.engine.is_a_program() { scene.restarts } else { 0 };
    while (away.len() as u64) < wanted && !enough.wait_timeout(LOOK_EVERY) {
        let next = away.len() as u64 + 1;
        if Pool::ask(admin, None)?.totals.requests < all * next / parts {
            continue;
        }
        let begin = Instant::now();
        store.end(if next % 2 == 1 { Ending::Crash } else { Ending::Fast })?;
        let _cut_short = enough.wait_timeout(Duration::from_millis(dice.u64(scene.away_ms.clone())));
        store.start()?;
        away.push(begin.elapsed());
    }
    Ok(away)
}
