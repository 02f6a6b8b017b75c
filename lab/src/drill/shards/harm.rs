//! What is done to the servers and the load balancer while clients work.

use super::{
    Scene,
    ground::Ground,
    stand::{self, Stand},
};
use fastrand::Rng;
use std::{thread, time::Duration};

/// What was done.
#[derive(Clone, Debug, Default)]
pub(super) struct Blows {
    pub(super) kills: usize,
    pub(super) stops: usize,
    /// How often the load balancer was killed.
    pub(super) restarts: usize,
    /// How often a server was removed, and added again.
    pub(super) swaps: usize,
    /// How often a shard and servers were added.
    pub(super) grown: usize,
    /// How often servers were removed, down to one for a shard.
    pub(super) shrunk: usize,
    /// What was answered that should not have been.
    pub(super) wrong: Vec<String>,
}

/// A thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    Grow,
    Shrink,
    Restart,
    Swap,
    Hit,
}

/// What comes as this strike: those that are to come so often, in turn, and between them blows at one server.
fn strike(number: usize, scene: &Scene, blows: &Blows) -> Strike {
    match number % 8 {
        2 if blows.grown < scene.grows => Strike::Grow,
        6 if blows.shrunk < scene.shrinks => Strike::Shrink,
        3 | 7 if blows.restarts < scene.restarts => Strike::Restart,
        5 => Strike::Swap,
        _ => Strike::Hit,
    }
}

fn is_all(scene: &Scene, blows: &Blows) -> bool {
    blows.restarts >= scene.restarts && blows.grown >= scene.grows && blows.shrunk >= scene.shrinks
}

/// Until the clients have done enough, and everything that was to be done was done.
pub(super) fn do_harm(seed: u64, scene: &Scene, stand: &mut Stand, ground: &Ground) -> anyhow::Result<Blows> {
    let (mut dice, mut blows) = (Rng::with_seed(!seed), Blows::default());
    for number in 1.. {
        thread::park_timeout(Duration::from_millis(dice.u64(scene.strike_every_ms.clone())));
        if ground.is_late() || (ground.ready() >= scene.clients && is_all(scene, &blows)) {
            break;
        }
        match strike(number, scene, &blows) {
            Strike::Grow => {
                stand.grow(ground, &mut dice)?;
                blows.grown += 1;
            }
            Strike::Shrink => {
                let wrong = stand.shrink(&mut dice)?;
                blows.wrong.extend(wrong);
                blows.shrunk += 1;
            }
            Strike::Restart => {
                stand.start_again()?;
                blows.restarts += 1;
            }
            Strike::Swap => blows.swaps += usize::from(stand.swap(&mut dice)?),
            Strike::Hit => hit(stand, &mut dice, &mut blows)?,
        }
    }
    Ok(blows)
}

/// Kills a server, or stops it.
fn hit(stand: &Stand, dice: &mut Rng, blows: &mut Blows) -> anyhow::Result<()> {
    let servers = stand.server_pids()?;
    let Some(victim) = servers.get(dice.usize(..servers.len().max(1))) else { return Ok(()) };
    if dice.u8(..3) > 0 {
        stand::kill(*victim);
        blows.kills += 1;
    } else {
        stand::freeze(*victim);
        blows.stops += 1;
    }
    Ok(())
}
