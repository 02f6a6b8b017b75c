//! Doing harm, and undoing it: one blow after the other, until it is enough.

use super::{Deed, Harm, admin, line::Line, process, rude};
use crate::drill::ground::Ground;
use anyhow::Context;
use fastrand::Rng;
use protocol::stop::Stop;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime};

/// How long a server is stopped or slow in between other harm, in milliseconds.
const SHORT_MS: std::ops::RangeInclusive<u64> = 300..=1_500;
/// How late the answers of a server are in between other harm, in milliseconds.
const SHORT_DELAY_MS: std::ops::RangeInclusive<u64> = 50..=500;

/// Something that was done. Times are microseconds since 1970, the clock of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blow {
    /// When it began.
    pub from_us: u64,
    /// When it had been undone.
    pub until_us: u64,
    /// What, as a sentence.
    pub what: String,
    /// The servers that were hit.
    pub servers: Vec<String>,
    /// Whether those were away, and were there again at its end: registered, let go on, or reachable.
    pub returned: bool,
    /// How many times it was done in this blow.
    pub times: u64,
    /// How long a server that was drained took until it held nothing, in milliseconds.
    pub empty_ms: Option<u64>,
    /// Rude clients, by the addresses of their ends, and how each behaved.
    pub rude: Vec<(std::net::SocketAddr, String)>,
}

impl Blow {
    /// A blow to these servers, after which they are there again.
    #[must_use]
    pub fn away(what: String, servers: Vec<String>) -> Self {
        Self { what, servers, returned: true, times: 1, ..Self::default() }
    }

    /// A blow that takes no server away.
    #[must_use]
    pub fn to(what: String, servers: Vec<String>) -> Self {
        Self { returned: false, ..Self::away(what, servers) }
    }
}

/// Now, on the clock of the journal.
#[must_use]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Strikes, and strikes again, until it is `enough` (thread "strike"); leaves everything running and whole.
///
/// # Errors
/// If something does not come back; then the drill is void.
pub fn strike_until(harm: &Harm, enough: &Stop, ground: &mut Ground, seed: u64) -> anyhow::Result<Vec<Blow>> {
    let mut dice = Rng::with_seed(seed);
    let mut blows = Vec::new();
    let mut pause = pause(harm, &mut dice) / 2;
    while !enough.wait_timeout(pause) {
        let (struck, from_us) = (Instant::now(), now_us());
        let mut field = Field { harm, ground, enough, dice: &mut dice };
        if let Some(blow) = field.strike()? {
            let or = |own: u64, else_us: u64| if own > 0 { own } else { else_us };
            blows.push(Blow { from_us: or(blow.from_us, from_us), until_us: or(blow.until_us, now_us()), ..blow });
        }
        let spent = if harm.lasts() { Duration::ZERO } else { struck.elapsed() };
        pause = self::pause(harm, &mut dice).saturating_sub(spent);
    }
    Ok(blows)
}

fn pause(harm: &Harm, dice: &mut Rng) -> Duration {
    Duration::from_millis(dice.u64(harm.every_ms.clone()))
}

/// Where a blow falls.
pub(super) struct Field<'a> {
    /// What there is to do.
    pub(super) harm: &'a Harm,
    /// To whom.
    pub(super) ground: &'a mut Ground,
    /// The wish to end early.
    pub(super) enough: &'a Stop,
    /// All random choices.
    pub(super) dice: &'a mut Rng,
}

impl Field<'_> {
    /// One blow; nothing if there is nothing (more) to do.
    fn strike(&mut self) -> anyhow::Result<Option<Blow>> {
        let victim = self.dice.usize(..self.ground.servers.len());
        let lasting = self.dice.u64(self.harm.lasting_ms.clone());
        match &self.harm.deed {
            Deed::Kill => process::kill(self, victim),
            Deed::Stop => process::stop(self, victim, lasting),
            Deed::Mixed => self.mixed(victim, 3),
            Deed::MixedOrSlow => self.mixed(victim, 4),
            Deed::CutOff => self.cut_off(victim, lasting),
            Deed::Slow { delay_ms } => {
                let delay = self.dice.u64(delay_ms.clone());
                self.slow(victim, delay, lasting)
            }
            Deed::Refuse => self.refuse(victim, lasting),
            Deed::Vanish => self.vanish(victim, lasting),
            Deed::Flap { phase_ms } => self.flap(victim, phase_ms.clone(), lasting),
            Deed::AllDown => process::all_down(self, lasting),
            Deed::Join { at_most } if self.ground.servers.len() >= *at_most => return Ok(None),
            Deed::Join { .. } => process::join(self),
            Deed::NeverRead { clients } => rude::never_read(self, *clients, lasting),
            Deed::Crowd => return Ok(None),
            Deed::Drain => admin::drain(self, victim, lasting),
            Deed::ChangePolicy => admin::change_policy(self),
            Deed::RestartBalancer => process::kill_balancer(self),
            Deed::EndBalancer => process::end_balancer(self),
        }
        .map(Some)
    }

    fn mixed(&mut self, victim: usize, sorts: u8) -> anyhow::Result<Blow> {
        let lasting = self.dice.u64(SHORT_MS);
        match self.dice.u8(..sorts) {
            0 => process::kill(self, victim),
            1 => process::stop(self, victim, lasting),
            2 => process::restart(self, victim),
            _ => {
                let delay = self.dice.u64(SHORT_DELAY_MS);
                self.slow(victim, delay, lasting)
            }
        }
    }

    fn cut_off(&self, victim: usize, ms: u64) -> anyhow::Result<Blow> {
        let ms = self.on_line(victim, ms, Line::cut)?;
        Ok(Blow::away(format!("cut off server {} for {ms} ms", self.id(victim)), self.ids(victim)))
    }

    fn slow(&self, victim: usize, delay: u64, ms: u64) -> anyhow::Result<Blow> {
        let ms = self.on_line(victim, ms, |line| line.slow(Duration::from_millis(delay)))?;
        let what = format!("answers of server {} {delay} ms late for {ms} ms", self.id(victim));
        Ok(Blow::to(what, self.ids(victim)))
    }

    fn refuse(&self, victim: usize, ms: u64) -> anyhow::Result<Blow> {
        let ms = self.on_line(victim, ms, Line::refuse)?;
        let what = format!("server {} refused connections for {ms} ms", self.id(victim));
        Ok(Blow::away(what, self.ids(victim)))
    }

    fn vanish(&self, victim: usize, ms: u64) -> anyhow::Result<Blow> {
        let wire = self.ground.servers[victim].wire.as_ref().context("There is no network in this drill")?;
        wire.lose_everything()?;
        let ms = self.wait(ms);
        wire.heal()?;
        let what = format!("lost every packet to and from server {} for {ms} ms", self.id(victim));
        Ok(Blow::away(what, self.ids(victim)))
    }

    /// In turn: the process is stopped and goes on, and its port refuses and accepts.
    fn flap(&mut self, victim: usize, phase_ms: std::ops::RangeInclusive<u64>, ms: u64) -> anyhow::Result<Blow> {
        let begin = Instant::now();
        let mut times = 0;
        while begin.elapsed() < Duration::from_millis(ms) && !self.enough.is_set() {
            let (away, there) = (self.dice.u64(phase_ms.clone()), self.dice.u64(phase_ms.clone()));
            if times % 2 == 0 {
                process::stop(self, victim, away)?;
            } else {
                self.on_line(victim, away, Line::refuse)?;
            }
            self.wait(there);
            times += 1;
        }
        let what = format!("server {} away and back {times} times", self.id(victim));
        Ok(Blow { times, ..Blow::away(what, self.ids(victim)) })
    }

    /// Does something to the line of a server, and undoes it after this time, in milliseconds; returns how long it was.
    fn on_line(&self, victim: usize, ms: u64, harm: impl FnOnce(&Line)) -> anyhow::Result<u64> {
        let line = self.ground.servers[victim].line.as_ref().context("There is no line in this drill")?;
        harm(line);
        let ms = self.wait(ms);
        line.heal();
        Ok(ms)
    }

    /// Waits this long, or until it is enough; returns how long it was, in milliseconds.
    pub(super) fn wait(&self, ms: u64) -> u64 {
        let begin = Instant::now();
        let _cut_short = self.enough.wait_timeout(Duration::from_millis(ms));
        u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn id(&self, victim: usize) -> &str {
        &self.ground.servers[victim].plan.id
    }

    pub(super) fn ids(&self, victim: usize) -> Vec<String> {
        vec![self.id(victim).to_owned()]
    }
}
