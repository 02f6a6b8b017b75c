//! Weights: how much a server counts beside the others.
//!
//! **A weight is out of 256.** A server that counts fully has 256; one of 128 counts half. A person may give any server
//! a weight from 1 to 256; nobody has to.
//!
//! **Where no weight was given** there are two answers, and a policy says which one is its own:
//! * `weighted-round-robin` exists in order to follow power, so it derives weights from the processing times: the
//!   strongest server of the pool has 256, one that needs twice as long has 128. Less than 1 ms counts as 1 ms, so that
//!   a server of 0 s does not push all others down to 1.
//! * `random`, `power-of-two`, `least-connections`, `least-time` and `consistent-hash` have their own idea of who
//!   should get more, or want none. To them a server without a given weight counts fully.
//!
//! **Given and derived weights mix on the one scale**, and a given one stands instead of the derived one. Servers of
//! 0.1, 0.2 and 0.4 s have 256, 128 and 64; if a person gives the second one 32, they have 256, 32 and 64. So
//! changing one server never changes another, and "128" always means "half of a strong one". The price: whoever likes
//! to think in small numbers (5 : 1 : 1) must give *all* servers a weight, because next to a weight of 5 a server
//! without one counts 256. nginx and HAProxy have it the other way round: a server without a weight counts 1.

use super::Candidate;
use std::time::Duration;

/// The weight of a server that counts fully, and the largest there is.
pub const FULL: u32 = 256;

/// Processing times below this count as this: where weights and estimates are ratios, nothing may be zero.
pub const LEAST_TIME: Duration = Duration::from_millis(1);

/// The weight a person gave the server, else the full one.
#[must_use]
pub fn given(server: &Candidate) -> u32 {
    server.weight.map_or(FULL, |weight| weight.clamp(1, FULL))
}

/// The weight a person gave the server, else one from its processing time beside that of the strongest.
#[must_use]
pub fn given_or_by_power(server: &Candidate, strongest: Duration) -> u32 {
    let by_power = || {
        let (best, own) = (strongest.max(LEAST_TIME).as_nanos(), server.processing_time.max(LEAST_TIME).as_nanos());
        let rounded = (u128::from(FULL) * best + own / 2) / own;
        u32::try_from(rounded).unwrap_or(FULL)
    };
    server.weight.unwrap_or_else(by_power).clamp(1, FULL)
}

/// The requests a server holds, per weight: to be compared with that of another server, nothing else.
///
/// Exact: equal fractions give equal numbers, and two different ones of weights up to 256 are at least 1/65,536 apart,
/// which 32 binary places tell apart.
#[must_use]
pub fn load(server: &Candidate) -> u64 {
    (u64::from(server.active) << 32) / u64::from(given(server))
}

/// The same as people read it: how many requests the server would hold if its weight were the full one.
#[must_use]
pub fn shown_load(server: &Candidate) -> f64 {
    f64::from(server.active) * f64::from(FULL) / f64::from(given(server))
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::*, *};

    fn by_power(times_ms: &[u64]) -> Vec<u32> {
        let servers = idle(times_ms);
        let strongest = servers.iter().map(|server| server.processing_time).min().unwrap();
        servers.iter().map(|server| given_or_by_power(server, strongest)).collect()
    }

    #[test]
    fn the_strongest_has_256_and_the_others_in_proportion() {
        assert_eq!(by_power(&[100, 200, 400]), [256, 128, 64]);
        assert_eq!(by_power(&[100, 300]), [256, 85], "85.33 is rounded");
        assert_eq!(by_power(&[100, 150]), [256, 171], "and so is 170.67");
        assert_eq!(by_power(&[300, 400]), [256, 192]);
    }

    #[test]
    fn nobody_has_less_than_1_and_0_s_counts_as_1_ms() {
        assert_eq!(by_power(&[0, 1, 2, 256, 100_000]), [256, 256, 128, 1, 1]);
        assert_eq!(by_power(&[0, 0]), [256, 256]);
    }

    #[test]
    fn a_given_weight_stands_instead_and_leaves_the_others_alone() {
        let mut servers = idle(&[100, 200, 400]);
        servers[1].weight = Some(32);
        let strongest = Duration::from_millis(100);
        assert_eq!(servers.iter().map(|s| given_or_by_power(s, strongest)).collect::<Vec<_>>(), [256, 32, 64]);
        assert_eq!(servers.iter().map(given).collect::<Vec<_>>(), [256, 32, 256]);
    }

    #[test]
    fn loads_compare_as_fractions_do() {
        let of = |active: u32, weight: u32| {
            let mut server = idle(&[100]).remove(0);
            (server.active, server.weight) = (active, Some(weight));
            load(&server)
        };
        for (a, v, b, w) in (1..40).flat_map(|a| (250..=256).map(move |v| (a, v, 41 - a, v - 249))) {
            assert_eq!(of(a, v).cmp(&of(b, w)), (a * w).cmp(&(b * v)), "{a}/{v} and {b}/{w}");
        }
        assert_eq!(of(2, 6), of(1, 3));
        assert!(of(255, 256) > of(254, 255));
        assert!(of(u32::MAX, 1) > of(u32::MAX, 2));
    }
}
