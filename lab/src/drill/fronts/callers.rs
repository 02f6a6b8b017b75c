//! Many clients at once.

use super::{Scene, Setting};
use fastrand::Rng;
use std::thread;

/// Lets each client do something as often as the scene says, and returns what all have seen.
pub(super) fn all<T: Send>(
    setting: &Setting,
    scene: &Scene,
    client: impl Fn(&mut Rng, &dyn Fn() -> bool) -> Vec<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let client = &client;
    thread::scope(|scope| {
        let start = |number: usize| {
            let seed = setting.seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
            let goes_on = || !setting.stop.is_set();
            let run = move || client(&mut Rng::with_seed(seed), &goes_on);
            thread::Builder::new().name(format!("caller-{number}")).spawn_scoped(scope, run)
        };
        let clients = (0..scene.clients).map(start).collect::<Result<Vec<_>, _>>()?;
        // A panic in a client is a defect of the drill; it shows as something that nobody did.
        Ok(clients.into_iter().flat_map(|client| client.join().unwrap_or_default()).collect())
    })
}
