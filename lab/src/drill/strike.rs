//! Doing harm, and undoing it.

use super::{ground::Ground, harm::Harm, line::Line};
use anyhow::Context;
use fastrand::Rng;
use protocol::{deadline::Deadline, stop::Stop};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long a process may take to end when it is asked to.
const END_TIME: Duration = Duration::from_secs(5);
/// How long a server is stopped in between other harm, in milliseconds.
const SHORT_STOP_MS: std::ops::RangeInclusive<u64> = 300..=1_500;

/// The return of a server that was away.
#[derive(Clone, Copy, Debug)]
pub struct Return {
    /// Its address, as the load balancer knows it.
    pub address: SocketAddr,
    /// When it was there again: registered, let go on, or reachable.
    pub at: Instant,
}

/// What was done, and what came back.
#[derive(Debug, Default)]
pub struct Damage {
    /// Each blow, with the time since the drill began in seconds.
    pub blows: Vec<(f64, String)>,
    /// Each return.
    pub returns: Vec<Return>,
}

/// Strikes, and strikes again, until it is `enough`; leaves everything running and whole.
///
/// # Errors
/// If something does not come back; then the drill is void.
pub fn strike_until(harm: &Harm, enough: &Stop, ground: &mut Ground, seed: u64) -> anyhow::Result<Damage> {
    let mut dice = Rng::with_seed(seed);
    let mut damage = Damage::default();
    let begin = Instant::now();
    let mut pause = pause(harm, &mut dice) / 2;
    while !enough.wait_timeout(pause) {
        let struck = Instant::now();
        let (what, back) = strike(harm, enough, ground, &mut dice)?;
        damage.blows.push(((struck - begin).as_secs_f64(), what));
        damage.returns.extend(back);
        let spent = if harm.lasts() { Duration::ZERO } else { struck.elapsed() };
        pause = self::pause(harm, &mut dice).saturating_sub(spent);
    }
    Ok(damage)
}

fn pause(harm: &Harm, dice: &mut Rng) -> Duration {
    Duration::from_millis(dice.u64(harm.every_ms()))
}

fn strike(harm: &Harm, enough: &Stop, ground: &mut Ground, dice: &mut Rng) -> anyhow::Result<(String, Option<Return>)> {
    let victim = dice.usize(..ground.servers.len());
    let id = ground.servers[victim].plan.id.clone();
    let what = match harm {
        Harm::Kill { .. } => kill(ground, victim)?,
        Harm::Stop { lasting_ms, .. } => stop(ground, victim, dice.u64(lasting_ms.clone()), enough)?,
        Harm::Mixed { .. } => match dice.u8(..3) {
            0 => kill(ground, victim)?,
            1 => stop(ground, victim, dice.u64(SHORT_STOP_MS), enough)?,
            _ => restart(ground, victim)?,
        },
        Harm::CutOff { lasting_ms, .. } => {
            let ms = dice.u64(lasting_ms.clone());
            let ms = on_line(ground, victim, ms, enough, Line::cut)?;
            format!("cut off server {id} for {ms} ms")
        }
        Harm::Slow { delay_ms, lasting_ms, .. } => {
            let (delay, ms) = (dice.u64(delay_ms.clone()), dice.u64(lasting_ms.clone()));
            let ms = on_line(ground, victim, ms, enough, |line| line.slow(Duration::from_millis(delay)))?;
            return Ok((format!("answers of server {id} {delay} ms late for {ms} ms"), None));
        }
        Harm::RestartBalancer { .. } => {
            ground.balancer.kill();
            ground.start_balancer_again()?;
            return Ok(("killed the load balancer".to_owned(), None));
        }
    };
    let address = ground.servers[victim].entry.address;
    Ok((what, Some(Return { address, at: Instant::now() })))
}

fn kill(ground: &mut Ground, victim: usize) -> anyhow::Result<String> {
    let server = &mut ground.servers[victim];
    let what = format!("killed server {}", server.plan.id);
    server.child.kill();
    ground.start_again(victim)?;
    Ok(what)
}

fn restart(ground: &mut Ground, victim: usize) -> anyhow::Result<String> {
    let server = &mut ground.servers[victim];
    let what = format!("restarted server {}", server.plan.id);
    server.child.ask_to_end()?;
    server.child.end(Deadline::after(END_TIME));
    ground.start_again(victim)?;
    Ok(what)
}

fn stop(ground: &Ground, victim: usize, ms: u64, enough: &Stop) -> anyhow::Result<String> {
    let server = &ground.servers[victim];
    server.child.freeze()?;
    let ms = wait(ms, enough);
    server.child.thaw()?;
    Ok(format!("stopped server {} for {ms} ms", server.plan.id))
}

/// Does something to the line of a server, and undoes it after this time, in milliseconds; returns how long it was.
fn on_line(ground: &Ground, victim: usize, ms: u64, enough: &Stop, harm: impl FnOnce(&Line)) -> anyhow::Result<u64> {
    let line = ground.servers[victim].line.as_ref().context("There is no line in this drill")?;
    harm(line);
    let ms = wait(ms, enough);
    line.heal();
    Ok(ms)
}

/// Waits this long, or until it is enough; returns how long it was, in milliseconds.
fn wait(ms: u64, enough: &Stop) -> u64 {
    let begin = Instant::now();
    let _cut_short = enough.wait_timeout(Duration::from_millis(ms));
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}
