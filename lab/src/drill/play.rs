//! Playing a drill: everything is started, warmed up and measured; then clients ask while harm is done; then everything
//! is looked at again.

use super::{
    asker::{Load, ask_all},
    gauges::{Gauges, memory_kib},
    ground::Ground,
    harm::{
        Deed, network,
        strike::{Blow, strike_until},
    },
    journal::Journal,
    question::TABLE,
    report::{Report, Times},
    scene::{Between, Must, Scene},
    tally::Tally,
    verdict::{Case, Found, judge},
    written::Rows,
};
use crate::process::{Binary, RunFolder, Site, run_statement};
use anyhow::{Context, anyhow, bail};
use protocol::{places::Places, stop::Stop};
use std::{path::PathBuf, thread, time::Instant};

/// Requests of each client in the calm before the drill, so that connections and threads are there.
const WARM_UP: u64 = 3;

/// Where and how a drill is played.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The program that is drilled.
    pub binary: Binary,
    /// Where it writes; nothing else is touched.
    pub folder: PathBuf,
    /// What all random choices come from.
    pub seed: u64,
    /// The wish to end early.
    pub stop: Stop,
    /// Whether this process is in a network of its own already.
    pub apart: bool,
}

/// Plays a scene and judges what was seen.
///
/// # Errors
/// If the drill could not be played: something did not start, or did not come back.
pub fn play(name: &str, setting: &Setting, scene: &Scene) -> anyhow::Result<Report> {
    let folder = RunFolder::make(&Places::here()?, "drill", Some(&setting.folder))?;
    let site = Site::new(setting.binary.clone(), folder)?;
    if scene.between != Between::Network {
        return play_here(name, setting, scene, site, None);
    }
    if setting.apart {
        network::begin()?;
        let note = "in network namespaces: packets really vanish";
        return play_here(name, setting, scene, site, Some(note.to_owned()));
    }
    match network::way_in() {
        Ok(way) => network::play_apart(way, name, setting, scene, &site),
        Err(why) => {
            let note = format!("network namespaces are not to be had here, so the lab's own lines are cut ({why})");
            play_here(name, setting, &on_lines(scene), site, Some(note))
        }
    }
}

/// For how many requests processes may keep something afterwards: as many as one server takes, and those of servers that
/// have joined.
fn room(scene: &Scene, servers: usize) -> usize {
    scene.capacity as usize + servers.saturating_sub(scene.servers)
}

/// The same scene, with lines that are cut instead of packets that vanish.
fn on_lines(scene: &Scene) -> Scene {
    let mut scene = Scene { between: Between::Lines, ..scene.clone() };
    scene.harm.deed = Deed::CutOff;
    scene
}

fn play_here(name: &str, setting: &Setting, scene: &Scene, site: Site, note: Option<String>) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let mut ground = Ground::open(site, scene)?;
    run_statement(ground.address, &format!("CREATE TABLE {TABLE} (token TEXT NOT NULL)"))?;
    let calm = calm(&ground, setting, scene)?;
    let before = Gauges::when_calm(&ground)?;
    if !before.idle || calm.errors() + calm.wrong > 0 {
        bail!("Already in the calm before the drill: errors {}, {before}", calm.shown_errors());
    }

    let (mut tally, blows) = storm(&mut ground, setting, scene)?;
    let asked = tally.asked;
    ground.wait_for_all().context("Not all servers came back")?;
    let most_memory_kib = memory_kib(ground.balancer.pid(), "VmHWM:").unwrap_or_default();
    let room = room(scene, ground.servers.len());
    let after = Gauges::when_back(&ground, &before, room)?;
    let times = Times::of(&calm);
    tally.add(Tally { written: calm.written, ..Tally::default() });
    // The journal first: of a question of our own it would not have the end yet.
    let journal = Journal::read(&ground.journal())?;
    let rows = Rows::read(ground.address)?;
    let found = Found { asked, room, tally, calm: times, blows, journal, before, after, most_memory_kib, rows };
    let (seed, interrupted) = (setting.seed, setting.stop.is_set());
    let report = judge(Case { name, seed, scene, note, interrupted }, found, begin.elapsed());
    report.keep(ground.folder())?;
    Ok(report)
}

/// A few requests of every client and sort while nothing happens; half as many as in the drill where the times of both are
/// compared.
fn calm(ground: &Ground, setting: &Setting, scene: &Scene) -> anyhow::Result<Tally> {
    let compared = scene.more.iter().any(|must| matches!(must, Must::KeepP99OrMs(_)));
    let requests = if compared { (scene.load.requests / 2).max(WARM_UP) } else { WARM_UP };
    // Where there are more clients than places, not even the calm has room for all.
    let clients = if scene.harm.deed == Deed::Crowd { scene.servers } else { scene.load.clients };
    let load = Load { clients, requests, ..scene.load.clone() };
    Ok(ask_all(ground.address, &load, &ground.stock, setting.seed ^ 0x00ca_1137, &setting.stop)?)
}

/// Clients ask and harm is done, until the clients have done.
fn storm(ground: &mut Ground, setting: &Setting, scene: &Scene) -> anyhow::Result<(Tally, Vec<Blow>)> {
    let enough = Stop::new();
    let (address, stock, seed) = (ground.address, ground.stock.clone(), setting.seed);
    thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let striking = named("strike").spawn_scoped(scope, || strike_until(&scene.harm, &enough, ground, seed))?;
        let tally = ask_all(address, &scene.load, &stock, seed, &setting.stop);
        enough.drain();
        let blows = striking.join().map_err(|_| anyhow!("A thread of the drill panicked"))?;
        Ok((tally?, blows?))
    })
}
