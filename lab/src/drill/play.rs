//! Playing a drill: everything is started, warmed up and measured; then clients ask while harm is done; then everything
//! is looked at again.

use super::{
    asker::{Load, Mix, ask_all},
    gauges::Gauges,
    ground::Ground,
    question::TABLE,
    report::{Found, Report, judge},
    scene::Scene,
    strike::strike_until,
    tally::Tally,
    watch::watch,
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
}

/// Plays a scene and judges what was seen.
///
/// # Errors
/// If the drill could not be played: something did not start, or did not come back.
pub fn play(name: &str, setting: &Setting, scene: &Scene) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let folder = RunFolder::make(&Places::here()?, "drill", Some(&setting.folder))?;
    let mut ground = Ground::open(Site::new(setting.binary.clone(), folder)?, scene)?;
    run_statement(ground.address, &format!("CREATE TABLE {TABLE} (token TEXT NOT NULL)"))?;
    let calm = warm_up(&ground, setting, scene)?;
    let before = Gauges::when_calm(&ground)?;
    if !before.idle || calm.errors() + calm.wrong > 0 {
        bail!("Already in the calm before the drill: errors {}, {before}", calm.shown_errors());
    }

    let (mut tally, damage, watched) = storm(&mut ground, setting, scene)?;
    let asked = tally.asked;
    ground.list()?.wait_for(scene.servers).context("Not all servers came back")?;
    let after = Gauges::when_back(&ground, &before, scene.capacity as usize)?;
    tally.add(Tally { written: calm.written, ..Tally::default() });
    let rows = Rows::read(ground.address)?;
    let recoveries_ms = watched.recoveries_ms(&damage.returns);
    let found = Found { asked, tally, damage, recoveries_ms, before, after, rows };
    let report = judge(name, setting.seed, scene, found, begin.elapsed(), setting.stop.is_set());
    report.keep(ground.folder())?;
    Ok(report)
}

/// A few requests of every client and sort while nothing happens.
fn warm_up(ground: &Ground, setting: &Setting, scene: &Scene) -> anyhow::Result<Tally> {
    let Mix { files, reads, writes } = scene.load.mix;
    // Where copies of files differ, or nothing but files is asked, a drill's warm-up asks the same.
    let load = Load { requests: WARM_UP, mix: Mix { files, reads, writes }, ..scene.load.clone() };
    Ok(ask_all(ground.address, &load, &ground.stock, setting.seed ^ 0x00ca_1137, &setting.stop)?)
}

/// Clients ask, harm is done, and the list is watched, until the clients have done.
fn storm(
    ground: &mut Ground,
    setting: &Setting,
    scene: &Scene,
) -> anyhow::Result<(Tally, super::strike::Damage, super::watch::Watched)> {
    let (enough, seen) = (Stop::new(), Stop::new());
    let (address, stock, seed) = (ground.address, ground.stock.clone(), setting.seed);
    thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let watching = named("watch").spawn_scoped(scope, || watch(address, &seen))?;
        let striking = named("strike").spawn_scoped(scope, || {
            let damage = strike_until(&scene.harm, &enough, ground, seed);
            let back = ground.list().and_then(|mut list| list.wait_for(scene.servers));
            damage.and_then(|damage| back.map(|()| damage))
        });
        let tally = ask_all(address, &scene.load, &stock, seed, &setting.stop);
        enough.drain();
        let damage = striking.map(thread::ScopedJoinHandle::join);
        seen.drain();
        let panicked = |_| anyhow!("A thread of the drill panicked");
        let watched = watching.join().map_err(panicked)?;
        Ok((tally?, damage?.map_err(panicked)??, watched))
    })
}
