//! Passive observation: a server that fails or dawdles more than the others is taken out for a while.
//!
//! **The problem.** A server answers its probes and fails its requests: its disk is full, its database gone, its program
//! wrong. Every request costs a retry, and with a policy that looks at load it is worse: who fails at once is idle at
//! once, so the broken server attracts *most* requests (a black hole).
//!
//! **The idea.** Look at how requests end. After so many failures in a row the server is *ejected*: it gets nothing for
//! a time. Then it gets requests again, and if those fail, too, it is out for longer: `base` times the number of
//! ejections in a row, up to `longest`. One step is forgiven for every `base` of staying in. No probe is needed: the
//! requests are the probe.
//!
//! Because the observer may be the one who is wrong (the fault is in the requests, or everybody is slow), two limits
//! hold whatever is seen: never more than half of the servers, and never the last one ([`may_eject`]).
//!
//! **Worked example**: `errors 5 for 5s at-most 50%`, four servers, 10 requests a second for each, and one server's disk
//! is full from t = 0 on:
//!
//! ```text
//!  t = 0.5   fifth failure in a row      out for 1 × 5 s
//!      5.5   back
//!      6.0   fifth failure               out for 2 × 5 s   (in for 0.5 s: nothing forgiven)
//!     16.0   back
//!     16.5   fifth failure               out for 3 × 5 s
//!      …     … 60 s at the most: 12 ejections
//!    t + 10  in for 10 s without trouble  two steps forgiven
//! ```
//!
//! In the first minute it gets 5 × 5 requests instead of 600, and each of the 25 is answered by another server.
//!
//! *Slowness*, if asked for (`slower-than 5x`): each server's moving average of the time to answer is compared with the
//! median of the other servers' averages. Others take 100 ms, this one 600 ms: out. The median, because one more slow
//! server must not make slowness normal.
//!
//! **When it is wrong.** Errors in a row are blind to a server that fails every second request; a success rate would
//! see it, and needs more requests than a class makes. Where servers differ by design (processing times 1 : 2 : 4), slowness
//! is no fault: hence off unless asked for, and the factor must be above the differences that are meant. An average below
//! [`NEVER_SLOW`] is never called slow: among servers that answer in a tenth of a millisecond, 5x is noise. A server that is
//! ejected while others go down may be the only one left: the pool must then use it, ejected or not.
//! Staying in without requests is forgiven like good work.
//!
//! **Simplified here.** One kind of error, decided in line with each request. Envoy tells gateway errors, local
//! errors, success rates and failure percentages apart, looks at some of them every 10 s only, and gives the return
//! some jitter. Its defaults are 5 errors, 30 s × the number of ejections, 300 s at the most, 10 % of the servers but at
//! least one; ours are shorter because a class watches. nginx: `max_fails=1 fail_timeout=10s`, without growing time.
//! HAProxy: `observe layer7 error-limit 10 on-error mark-down`, returned by its probes.
//!
//! Sources: Envoy, "Outlier detection"; nginx, `ngx_http_upstream_module`, `max_fails`; HAProxy Configuration Manual,
//! "observe"; Finagle's failure accrual.

use super::words::{Words, written};
use crate::policy::Ended;
use std::{fmt, str::FromStr, time::Duration};

/// Most percent of the servers that may be out: with more, the rest would carry more than double their load.
pub const MOST_PERCENT: u32 = 50;

/// Answers that a moving average needs before it is believed.
pub const ENOUGH: u32 = 10;

/// The weight of a new answer in the moving average is one part in so many (as in TCP's smoothed round trip time): after
/// 8 answers of another kind two thirds of the way are gone.
const SMOOTH: u32 = 8;

/// An average below this is never slow, whatever the others do.
pub const NEVER_SLOW: Duration = Duration::from_millis(10);

/// Highest number of errors in a row, and highest factor, that can be asked for.
const MOST: u32 = 10_000;

/// When a server is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Failures in a row after which a server is suspected; 0 if they are not looked at.
    pub consecutive_errors: u32,
    /// How long the first ejection takes, and how much longer each one in a row.
    pub base: Duration,
    /// The longest ejection.
    pub longest: Duration,
    /// How many percent of the servers may be out at once, 1 to [`MOST_PERCENT`].
    pub most_percent: u32,
    /// How many times slower than the others a server may be; `None` if slowness is not looked at.
    pub slow_factor: Option<u32>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            consecutive_errors: 5,
            base: Duration::from_secs(5),
            longest: Duration::from_secs(60),
            most_percent: MOST_PERCENT,
            slow_factor: None,
        }
    }
}

impl Rules {
    /// Nobody is ever ejected.
    #[must_use]
    pub fn off() -> Self {
        Self { consecutive_errors: 0, slow_factor: None, ..Self::default() }
    }

    /// Whether nobody is ever ejected, so that nothing need be observed.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.consecutive_errors == 0 && self.slow_factor.is_none()
    }
}

impl FromStr for Rules {
    type Err = String;

    /// `errors 5 for 5s longest 60s at-most 50% slower-than 5x`, or some of these words in any order, or `off`. Those that
    /// are missing keep their defaults; `errors 0` does not look at errors.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "off" {
            return Ok(Self::off());
        }
        let words = Words::read(text, &["errors", "for", "longest", "at-most", "slower-than"])
            .map_err(|why| format!("{why} 'off' alone ejects nobody."))?;
        let default = Self::default();
        let base = words.time("for", default.base)?;
        // `for 2m` alone means two minutes, not the default longest.
        let longest = words.time("longest", default.longest.max(base))?;
        if longest < base {
            return Err(format!("'longest {}' is shorter than 'for {}'.", written(longest), written(base)));
        }
        Ok(Self {
            consecutive_errors: words.number("errors", 0, MOST, "")?.unwrap_or(default.consecutive_errors),
            base,
            longest,
            most_percent: words.number("at-most", 1, MOST_PERCENT, "%")?.unwrap_or(default.most_percent),
            slow_factor: words.number("slower-than", 2, MOST, "x")?,
        })
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_off() {
            return f.write_str("off");
        }
        let Self { consecutive_errors, base, longest, most_percent, slow_factor } = self;
        write!(f, "errors {consecutive_errors} for {} longest {}", written(*base), written(*longest))?;
        write!(f, " at-most {most_percent}%")?;
        slow_factor.map_or(Ok(()), |factor| write!(f, " slower-than {factor}x"))
    }
}

/// What was seen of one server's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Failures since the last answer.
    in_a_row: u32,
    /// The moving average of the time to answer.
    average: Duration,
    /// How many answers are in it, counted up to [`ENOUGH`].
    answers: u32,
    /// Ejections in a row, less those forgiven.
    times: u32,
    /// When the last ejection ends or ended.
    until: Duration,
    /// Whether it is out, and its return has not been told.
    out: bool,
}

impl Observed {
    /// A request of this server has ended like this after this time. `usual` is what the other servers take, if that is
    /// looked at: see [`usual_time`]. Returns, as a sentence, why the server should be ejected now; the caller asks
    /// [`may_eject`] first, and hears it again with the next failure if that says no.
    ///
    /// What ends while the server is out began before, and is not held against it.
    pub fn note(
        &mut self,
        ended: Ended,
        took: Duration,
        now: Duration,
        usual: Option<Duration>,
        rules: &Rules,
    ) -> Option<String> {
        if self.is_ejected(now) {
            return None;
        }
        match ended {
            // Says something about the client, or about another server that was faster.
            Ended::Cancelled => None,
            Ended::Failed => self.failed(rules),
            Ended::Answered => {
                self.in_a_row = 0;
                self.smooth(took);
                self.too_slow(rules.slow_factor?, usual?)
            }
        }
    }

    fn failed(&mut self, rules: &Rules) -> Option<String> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        match (rules.consecutive_errors, self.in_a_row) {
            (0, _) => None,
            (enough, count) if count < enough => None,
            (_, 1) => Some("a request to it failed.".to_owned()),
            (_, count) => Some(format!("{count} requests to it failed in a row.")),
        }
    }

    fn smooth(&mut self, took: Duration) {
        self.average = match self.answers {
            0 => took,
            _ => (self.average * (SMOOTH - 1) + took) / SMOOTH,
        };
        self.answers = (self.answers + 1).min(ENOUGH);
    }

    fn too_slow(&self, factor: u32, usual: Duration) -> Option<String> {
        let average = self.average().filter(|average| *average >= NEVER_SLOW)?;
        let slow = average > usual.saturating_mul(factor);
        slow.then(|| {
            format!("it takes {average:.0?} to answer, more than {factor} times what the others take ({usual:.0?}).")
        })
    }

    /// The moving average of the time to answer, once there were [enough](ENOUGH) answers.
    #[must_use]
    pub fn average(&self) -> Option<Duration> {
        (self.answers >= ENOUGH).then_some(self.average)
    }

    /// The server is taken out. Returns for how long.
    pub fn eject(&mut self, now: Duration, rules: &Rules) -> Duration {
        self.times = self.times_after(now, rules).saturating_add(1);
        let lasting = rules.base.saturating_mul(self.times).min(rules.longest);
        self.until = now.saturating_add(lasting);
        // When it returns it is judged anew.
        (self.out, self.in_a_row, self.answers) = (true, 0, 0);
        lasting
    }

    /// Ejections in a row, less one for each period that it has stayed in since.
    fn times_after(&self, now: Duration, rules: &Rules) -> u32 {
        let stayed_in = now.saturating_sub(self.until).as_nanos();
        let forgiven = stayed_in.checked_div(rules.base.as_nanos()).unwrap_or(u128::from(self.times));
        self.times.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    /// Whether it is out.
    #[must_use]
    pub fn is_ejected(&self, now: Duration) -> bool {
        self.out && now < self.until
    }

    /// Until when it is out, if it is or its return has not been told.
    #[must_use]
    pub fn ejected_until(&self) -> Option<Duration> {
        self.out.then_some(self.until)
    }

    /// Whether its ejection is over: true once for each.
    pub fn returns(&mut self, now: Duration) -> bool {
        let over = self.out && now >= self.until;
        self.out &= !over;
        over
    }

    /// Somebody knows better (a person says `ready`, the process was restarted): the ejection ends now. Whether there was
    /// one.
    pub fn pardon(&mut self, now: Duration) -> bool {
        let was_out = self.out;
        if was_out {
            (self.out, self.until) = (false, self.until.min(now));
        }
        was_out
    }
}

/// Whether one more server may be ejected, of `servers` that are in use but for their ejections (neither down nor
/// draining), of which `ejected` are out: never more than the rules' share, which is at most half, and at least one server
/// whatever the share; never the last one.
#[must_use]
pub fn may_eject(ejected: usize, servers: usize, rules: &Rules) -> bool {
    let share = servers * rules.most_percent.min(MOST_PERCENT) as usize / 100;
    servers >= 2 && ejected < share.max(1)
}

/// What is usual among these servers: the middle one of their averages, or the lower of the two in the middle. `None`
/// if slowness is not looked at, or none of them has an average yet.
#[must_use]
pub fn usual_time<'a>(others: impl IntoIterator<Item = &'a Observed>, rules: &Rules) -> Option<Duration> {
    rules.slow_factor?;
    let mut averages: Vec<Duration> = others.into_iter().filter_map(Observed::average).collect();
    let middle = averages.len().checked_sub(1)? / 2;
    Some(*averages.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests;
