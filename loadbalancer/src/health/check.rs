//! Active checks: when do probes take a server down, and when do they bring it up again?
//!
//! **The problem.** One unanswered question proves little: a packet was lost, the machine was busy for a second. Who
//! believes each answer at once makes a server *flap*: up, down, up, and every change throws its requests about. Who
//! waits for certainty sends requests into the void meanwhile.
//!
//! **The idea.** Count, and ask for more proof in the direction of a change. A server that is up goes down after `fall`
//! bad probes in a row; one that is down comes up after `rise` good ones in a row. One probe to the contrary and the
//! count begins anew. And since a change is in the air once the first odd probe is there, the next questions come
//! sooner ([`HURRY`]): that costs a few probes and saves seconds.
//!
//! **Worked example**, with the defaults `inter 1s timeout 1s rise 2 fall 3`. A server is stopped (SIGSTOP) right after
//! it has answered a probe, the worst moment:
//!
//! ```text
//!  t = 0.00  good probe; the server stops
//!      1.00  probe             (inter)
//!      2.00  not answered      (timeout)          1 bad
//!      2.25  probe             (hurry)
//!      3.25  not answered                         2 bad
//!      3.50  probe
//!      4.50  not answered                         3 bad: down
//! ```
//!
//! In general `inter + fall × timeout + (fall − 1) × hurry` at the latest: 1 + 3 + 0.5 = 4.5 s, which is under the 5 s
//! that we promise ([`Check::latest`] computes it for other values). Without the hurry it would be 6 s. On the way up:
//! it goes on, the handshake is a good probe, and 0.25 s later another one brings it up.
//!
//! That is the server nobody uses. A request that is lost there says so sooner: the server is *in doubt*, gets nothing
//! new, is asked at once, and then [two](Probes::bad_in_doubt) bad probes are enough.
//!
//! **When it is wrong.** A probe asks the control port, not the work: a server that fails all its requests and answers
//! its probes is healthy to this file (see [`outlier`](super::outlier)). All load balancers probe for themselves, so
//! with many of them the probes become a load of their own. A server too busy to answer within `timeout` is taken out,
//! its load falls on the others, and they follow: that is why heartbeats have a thread of their own in the server, and
//! why `timeout` should be generous and `fall` above 1.
//!
//! **Production.** The words are HAProxy's (`check inter 1s rise 2 fall 3`; `fastinter` is our hurry, `downinter` a
//! third period for servers that are down, which are asked in a hurry here, too: a class does not like to wait). HAProxy's
//! own defaults are `inter 2s rise 2 fall 3`. Envoy calls them `interval`, `timeout`, `healthy_threshold` and
//! `unhealthy_threshold`, and spreads its probes by jitter, which we leave out: our probes are spread by the servers'
//! joining at different times.
//!
//! Sources: HAProxy Configuration Manual, "check", "inter", "rise", "fall"; Envoy, "Health checking"; on the trade between
//! speed and certainty: Chandra and Toueg, "Unreliable Failure Detectors for Reliable Distributed Systems" (1996).

use super::words::{Words, written};
use protocol::limits::{CONTROL_TIME, HEARTBEAT_EVERY};
use std::{fmt, str::FromStr, time::Duration};

/// How soon the next probe comes while a server is on its way up or down, and while it is down: soon enough that a
/// server is noticed within 5 s, and not so soon that a server that is just starting is flooded.
pub const HURRY: Duration = Duration::from_millis(250);

/// Bad probes after which a server is down of which the answer to a request was lost already: that loss is the first
/// piece of evidence.
pub const FALL_IN_DOUBT: u32 = 2;

/// Highest `rise` and `fall`. More in a row are a slip of the finger.
const MOST: u32 = 1_000;

/// How servers are asked whether they live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// How long after a probe the next one comes, as long as nothing is odd.
    pub inter: Duration,
    /// How long the answer to a probe may take.
    pub timeout: Duration,
    /// After how many good probes in a row a server that is down is up.
    pub rise: u32,
    /// After how many bad probes in a row a server that is up is down.
    pub fall: u32,
}

impl Check {
    /// How soon the next probe comes when something is odd.
    #[must_use]
    pub fn hurry(&self) -> Duration {
        HURRY.min(self.inter)
    }

    /// The longest time from the moment a server falls silent to the moment it is down.
    #[must_use]
    pub fn latest(&self) -> Duration {
        self.inter + self.timeout * self.fall + self.hurry() * (self.fall - 1)
    }
}

impl Default for Check {
    fn default() -> Self {
        Self { inter: HEARTBEAT_EVERY, timeout: CONTROL_TIME, rise: 2, fall: 3 }
    }
}

impl FromStr for Check {
    type Err = String;

    /// `inter 1s timeout 1s rise 2 fall 3`, or some of these words in any order; those that are missing keep their
    /// defaults. The word `check` may stand before them, as in HAProxy.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let words = Words::read(text.strip_prefix("check ").unwrap_or(text), &["inter", "timeout", "rise", "fall"])?;
        let default = Self::default();
        Ok(Self {
            inter: words.time("inter", default.inter)?,
            timeout: words.time("timeout", default.timeout)?,
            rise: words.number("rise", 1, MOST, "")?.unwrap_or(default.rise),
            fall: words.number("fall", 1, MOST, "")?.unwrap_or(default.fall),
        })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inter, timeout, rise, fall } = self;
        write!(f, "inter {} timeout {} rise {rise} fall {fall}", written(*inter), written(*timeout))
    }
}

/// What probes have found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server was down and is up.
    Up,
    /// The server was up and is down.
    Down,
}

/// What the probes of one server have said so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    check: Check,
    up: bool,
    /// Probes in a row that speak for a change.
    against: u32,
}

impl Probes {
    /// A server that has just shown that it lives: it is up.
    #[must_use]
    pub fn new(check: &Check) -> Self {
        Self { check: *check, up: true, against: 0 }
    }

    /// A probe was answered as it should be.
    pub fn good(&mut self) -> Option<Verdict> {
        self.count(true, self.check.rise)
    }

    /// A probe was not answered in time, or wrongly.
    pub fn bad(&mut self) -> Option<Verdict> {
        self.count(false, self.check.fall)
    }

    /// The same, of a server of which an answer was lost already: [two](FALL_IN_DOUBT) are enough, or `fall` if that is
    /// less.
    pub fn bad_in_doubt(&mut self) -> Option<Verdict> {
        self.count(false, self.check.fall.min(FALL_IN_DOUBT))
    }

    /// What cannot be a slip: nobody listens, the connection was closed, somebody else is there. The server is down at
    /// once.
    pub fn gone(&mut self) -> Option<Verdict> {
        self.count(false, 1)
    }

    fn count(&mut self, good: bool, enough: u32) -> Option<Verdict> {
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.against < enough {
            return None;
        }
        (self.up, self.against) = (good, 0);
        Some(if good { Verdict::Up } else { Verdict::Down })
    }

    /// Whether the server is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// How many probes in a row have spoken for a change: bad ones of a server that is up, good ones of one that is
    /// down.
    #[must_use]
    pub fn against(&self) -> u32 {
        self.against
    }

    /// How long after this probe the next one comes.
    #[must_use]
    pub fn next_in(&self) -> Duration {
        if self.up && self.against == 0 { self.check.inter } else { self.check.hurry() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Check {
        text.parse().unwrap()
    }

    /// The verdicts on a sequence of probes: `+` good, `-` bad, `?` bad in doubt; a dot for "no change".
    fn verdicts(check: &Check, probes: &str) -> String {
        let mut server = Probes::new(check);
        let verdict = |probe| match probe {
            '+' => server.good(),
            '-' => server.bad(),
            '?' => server.bad_in_doubt(),
            '!' => server.gone(),
            other => panic!("{other} is no probe"),
        };
        let letter = |verdict| match verdict {
            None => '.',
            Some(Verdict::Up) => 'U',
            Some(Verdict::Down) => 'D',
        };
        probes.chars().map(verdict).map(letter).collect()
    }

    #[test]
    fn it_takes_several_in_a_row_and_one_to_the_contrary_begins_anew() {
        let check = Check::default();
        assert_eq!(verdicts(&check, "--+--+---"), "........D");
        assert_eq!(verdicts(&check, "---+-++--+---"), "..D...U.....D");
        assert_eq!(verdicts(&check, "-------++"), "..D.....U", "a server that is down does not go down again");
        assert_eq!(verdicts(&check, "+++++"), ".....");
    }

    #[test]
    fn thresholds_of_one_believe_every_probe() {
        assert_eq!(verdicts(&check("rise 1 fall 1"), "-+-+"), "DUDU");
    }

    #[test]
    fn in_doubt_two_are_enough_and_a_closed_connection_is_enough_alone() {
        assert_eq!(verdicts(&Check::default(), "??"), ".D");
        assert_eq!(verdicts(&Check::default(), "-?"), ".D", "the bad one before the doubt counts");
        assert_eq!(verdicts(&check("fall 1"), "?"), "D", "doubt never makes it slower");
        assert_eq!(verdicts(&Check::default(), "!+!++"), "D...U");
    }

    #[test]
    fn the_next_probe_comes_soon_when_something_is_odd() {
        let mut server = Probes::new(&check("inter 2s rise 2 fall 2"));
        let seconds = Duration::from_secs;
        assert_eq!(server.next_in(), seconds(2));
        server.bad();
        assert_eq!(server.next_in(), HURRY, "on its way down");
        server.good();
        assert_eq!(server.next_in(), seconds(2));
        assert_eq!([server.bad(), server.bad()], [None, Some(Verdict::Down)]);
        assert_eq!((server.is_up(), server.next_in()), (false, HURRY), "down");
        server.good();
        assert_eq!(server.next_in(), HURRY, "on its way up");
        server.good();
        assert_eq!((server.is_up(), server.next_in()), (true, seconds(2)));
        assert_eq!(check("inter 100ms").hurry(), Duration::from_millis(100), "never slower than inter");
    }

    /// The promise of the module's head, played through: silence that begins at the worst moment.
    #[test]
    fn a_silent_server_is_down_within_five_seconds() {
        for check in [Check::default(), check("inter 3s timeout 200ms fall 5"), check("inter 100ms fall 1")] {
            let mut server = Probes::new(&check);
            let mut now = Duration::ZERO;
            while server.is_up() {
                now += server.next_in() + check.timeout;
                server.bad();
            }
            assert_eq!(now, check.latest(), "{check}");
        }
        assert_eq!(Check::default().latest(), Duration::from_millis(4_500));
    }

    #[test]
    fn any_of_the_words_in_any_order() {
        let default = Check::default();
        assert_eq!(check("inter 1s timeout 1s rise 2 fall 3"), default);
        assert_eq!(check("check inter 1s rise 2 fall 3"), default);
        assert_eq!(check(" fall 5  inter 500ms "), Check { fall: 5, inter: Duration::from_millis(500), ..default });
        for text in ["inter 1s timeout 1s rise 2 fall 3", "inter 250ms timeout 1500ms rise 1 fall 1000"] {
            assert_eq!(check(text).to_string(), text);
        }
    }

    #[test]
    fn wrong_words_are_explained() {
        for (text, words) in [
            ("rise 0", "from 1 to 1000"),
            ("fall 0", "from 1 to 1000"),
            ("rise two", "not 'two'"),
            ("inter 0", "The value of 'inter' is wrong. A limit of no time"),
            ("timeout soon", "'soon' is not a time"),
            ("timeout -1s", "negative"),
            ("inter", "'inter' has no value"),
            ("inter rise 2", "'inter' has no value"),
            ("interval 1s", "write inter, timeout, rise, fall"),
            ("rise 2 rise 3", "twice"),
            ("", "It is empty"),
        ] {
            let refused = text.parse::<Check>().unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
