//! Killing servers, one at a time, while clients are at work.

use super::{Scene, Setting, stand::Stand};
use anyhow::anyhow;
use fastrand::Rng;
use protocol::stop::Stop;
use std::{
    thread,
    time::{Duration, Instant},
};

/// A server was killed.
pub(super) struct Kill {
    /// A moment at which it surely lived.
    from: Instant,
    /// The first moment at which it was surely gone.
    gone: Instant,
}

impl Kill {
    /// Whether something that lasted from the one moment to the other may have been hit.
    pub(super) fn may_have_hit(&self, begin: Instant, end: Instant) -> bool {
        begin <= self.gone && end >= self.from
    }
}

/// Lets clients work while servers are killed, at most so many times. Each is started again, and registered, before the
/// next is killed, so that there is always one that lives. Returns what the clients saw.
pub(super) fn work_while_killing<T: Send>(
    setting: &Setting,
    scene: &Scene,
    stand: &mut Stand,
    most: usize,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Vec<Kill>)> {
    let enough = Stop::new();
    thread::scope(|scope| {
        let kills = || kill_until(setting.seed, scene, stand, most, &enough);
        let killing = thread::Builder::new().name("kills".to_owned()).spawn_scoped(scope, kills)?;
        let worked = work();
        enough.drain();
        let kills = killing.join().map_err(|_| anyhow!("The thread that kills panicked"))?;
        Ok((worked?, kills?))
    })
}

fn kill_until(seed: u64, scene: &Scene, stand: &mut Stand, most: usize, enough: &Stop) -> anyhow::Result<Vec<Kill>> {
    let mut dice = Rng::with_seed(seed);
    let mut pause =
        |spent: Duration| Duration::from_millis(dice.u64(scene.kill_every_ms.clone())).saturating_sub(spent);
    let (mut kills, mut victims) = (Vec::new(), Rng::with_seed(!seed));
    let mut wait = pause(Duration::ZERO) / 2;
    while kills.len() < most && !enough.wait_timeout(wait) {
        let (victim, from) = (victims.usize(..stand.servers.len()), Instant::now());
        stand.servers[victim].child.kill();
        kills.push(Kill { from, gone: Instant::now() });
        stand.start_again(victim)?;
        wait = pause(from.elapsed());
    }
    Ok(kills)
}
