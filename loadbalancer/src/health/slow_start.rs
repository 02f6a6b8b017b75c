//! Slow start: a server that returns gets a growing share of the requests.
//!
//! **The problem.** A server that was away returns cold: caches empty, connections not yet made, code not yet compiled.
//! At that moment it looks best: it is idle. `power` gives it every request if it is the strongest; `least-connections`
//! gives it all that come until it holds as many as the others. If it went away because of too much load, it goes away
//! again.
//!
//! **The idea.** For the first `length` after its return the pool shows the server to the policy only now and then: with
//! the probability `share`, which grows in a straight line from 0.1 to 1.0. The policy never knows, so this works with
//! every policy. If nobody else could take the request, the server is shown whatever the dice say: slow start makes
//! nobody wait.
//!
//! **Worked example**, `--slow-start 10s`:
//!
//! | seconds since its return | share | with `power`, if it is the strongest | with `random`, one of three |
//! |---|---|---|---|
//! | 0   | 0.10 | 10 of 100 requests | 3 of 100  |
//! | 2.5 | 0.33 | 33                 | 11        |
//! | 5   | 0.55 | 55                 | 18        |
//! | 10  | 1.00 | 100                | 33        |
//!
//! With `least-connections`, the two others holding 50 requests each: the next 100 requests would all be its own, one
//! after the other in an instant; shown to one request in ten it gets 10 of them.
//!
//! **Against weights.** HAProxy's and Envoy's slow start scale the server's *weight*. That is exact for policies that use
//! weights: of three equal servers, one at 0.55 gets 0.55 / 2.55 = 21.6 %, where we give it 0.55 / 3 = 18.3 % (it stands
//! aside for 45 % of the requests, and those are then shared by the two others). But a weight says nothing to
//! `power`, and HAProxy and Envoy have slow start for some of their policies only. A probability is coarser, and the
//! same for all.
//!
//! **When it is wrong.** With few requests: at one request a second, a start of 10 s is ten throws of the dice, and chance
//! decides. With `consistent-hash` it sends keys to their second server during the start: what is remembered there is
//! remembered twice. When half of the servers return at once, the other half carries their load for as long as the start
//! takes (Envoy's manual warns of the same).
//!
//! **Off by default**, as in HAProxy, nginx and Envoy. Our servers have nothing to warm up; a class that starts a server
//! again wants to see it answer; and where a server returns into a full queue, holding it back costs what it is
//! meant to save. It is for servers that say less than they can, and to be watched.
//!
//! It applies to servers that *return*, after having been down or ejected, not to those that join: as in HAProxy, else
//! the start of the whole would be slow.
//!
//! Sources: HAProxy Configuration Manual, "slowstart"; Envoy, "Slow start mode" (least weight 10 %, too); nginx,
//! `slow_start` (its commercial version).

use std::time::Duration;

/// The share of a server that has just returned. Above zero, so that something is seen of it.
pub const FIRST_SHARE: f64 = 0.1;

/// The share of a server that returned `since` ago, if its start takes `length`: 0.1 to 1.0. Without a length: 1.0.
#[must_use]
pub fn share(since: Duration, length: Duration) -> f64 {
    if since >= length {
        return 1.0;
    }
    FIRST_SHARE + (1.0 - FIRST_SHARE) * since.as_secs_f64() / length.as_secs_f64()
}

/// Whether a server with this share is shown to the policy, for dice that say a number from 0.0 up to, but not, 1.0.
#[must_use]
pub fn admits(share: f64, draw: f64) -> bool {
    draw < share
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    #[test]
    fn the_share_grows_in_a_straight_line() {
        let at = |seconds| (share(Duration::from_secs_f64(seconds), LENGTH) * 1000.0).round();
        assert_eq!([0.0, 2.5, 5.0, 7.5, 10.0, 99.0].map(at), [100.0, 325.0, 550.0, 775.0, 1000.0, 1000.0]);
    }

    #[test]
    fn without_a_length_there_is_no_slow_start() {
        assert_eq!(share(Duration::ZERO, Duration::ZERO), 1.0);
        assert_eq!(share(LENGTH, LENGTH), 1.0);
    }

    #[test]
    fn a_full_share_is_always_shown() {
        assert!(admits(1.0, 0.999_999_999) && admits(1.0, 0.0));
        assert!(admits(0.1, 0.0) && !admits(0.1, 0.1));
    }

    /// 10,000 throws with 0.55: the deviation is 50 (√(10,000 × 0.55 × 0.45)), so four of them are 200.
    #[test]
    fn it_is_shown_as_often_as_its_share_says() {
        let seed = fastrand::u64(..);
        let mut dice = fastrand::Rng::with_seed(seed);
        let half_way = share(LENGTH / 2, LENGTH);
        let shown = (0..10_000).filter(|_| admits(half_way, dice.f64())).count();
        assert!((5_250..=5_750).contains(&shown), "{shown} of 10,000, seed {seed}");
    }
}
