//! What theory says: the smaller of two times, or one and then the other.
//!
//! Each server takes what was measured of one alone, drawn anew for each query; a slow one takes so much longer, and a silent
//! one for ever. The load balancer takes turns. What follows is arithmetic on drawn times: `first`, `min(first, second)`, or
//! `min(first, h + second)` with the second asked only if the first is later than `h`, and only as often as the budget
//! allows. The percentile that a hedge waits for is one of the very latencies that it makes; it is looked for by going round
//! until it stays.
//!
//! **When it is wrong.** Times of two real servers on one machine are not independent: what disturbs one disturbs the other,
//! so a copy helps less than it does here. And the load balancer sees the percentile of the last answers only.

use super::{
    Names,
    variant::{Rule, Situation},
};

/// Queries that are drawn.
const DRAWN: usize = 20_000;
/// How often the percentile is looked for anew.
const TURNS: usize = 12;

/// What one query comes to.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    /// How long it takes, in milliseconds.
    pub ms: f64,
    /// Whether there is an answer.
    pub found: bool,
    /// Whether a second server was asked.
    pub second: bool,
}

/// Draws queries: `usual` are times of one server alone, in milliseconds.
#[must_use]
pub fn draw(names: &Names, situation: Situation, rule: Rule, usual: &[f64], seed: u64) -> Vec<Drawn> {
    let (time, timeout) = (ms(names.time), ms(names.timeout));
    let mut random = fastrand::Rng::with_seed(seed);
    let one = |random: &mut fastrand::Rng| usual.get(random.usize(..usual.len().max(1))).copied().unwrap_or(time);
    let pairs: Vec<(f64, f64)> = (0..DRAWN)
        .map(|n| {
            let mut both = [one(&mut random), one(&mut random)];
            match situation {
                Situation::Well => {}
                Situation::Slow => both[1] += ms(names.slow) - time,
                Situation::Silent => both[1] = f64::INFINITY,
                Situation::Disjoint => both[random.usize(..2)] = f64::INFINITY,
            }
            if n % 2 == 0 { (both[0], both[1]) } else { (both[1], both[0]) }
        })
        .collect();
    let ask = |after: f64, budget: f64| with_second(&pairs, after, budget, timeout);
    match rule {
        Rule::Never => ask(f64::INFINITY, 0.0),
        Rule::Try => ask(ms(names.second), 1.0),
        Rule::AtOnce => ask(0.0, 1.0),
        Rule::After(budget) => ask(ms(names.hedge), budget),
        Rule::Quantile(part, budget) => (0..TURNS).fold(ask(f64::INFINITY, 0.0), |before, _| {
            let mut found: Vec<f64> = before.iter().filter(|one| one.found).map(|one| one.ms).collect();
            found.sort_by(f64::total_cmp);
            let after = found.get((found.len() as f64 * part) as usize).copied().unwrap_or(f64::INFINITY);
            ask(after, budget)
        }),
    }
}

fn ms(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The second server is asked after this time, for at most this part of the queries.
fn with_second(pairs: &[(f64, f64)], after: f64, budget: f64, timeout: f64) -> Vec<Drawn> {
    let mut credit = 0.0;
    let one = |(first, second): &(f64, f64)| {
        credit = f64::min(credit + budget, 10.0);
        let asked = *first > after && after < timeout && credit >= 1.0;
        credit -= f64::from(u8::from(asked));
        let ms = if asked { first.min(after + second) } else { *first };
        Drawn { ms: ms.min(timeout), found: ms < timeout, second: asked }
    };
    pairs.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        names: Names,
    }

    /// Time, part that is found, part that asks a second server; with servers of exactly 5 and 100 ms.
    fn theory(situation: Situation, rule: Rule) -> (f64, f64, f64) {
        let line =
            ["names", "--time", "5ms", "--slow", "100ms", "--second", "50ms", "--hedge", "15ms", "--timeout", "400ms"];
        let drawn = draw(&Line::try_parse_from(line).unwrap().names, situation, rule, &[5.0], 1);
        let mean = |of: fn(&Drawn) -> f64| drawn.iter().map(of).sum::<f64>() / drawn.len() as f64;
        let round = |value: f64| (value * 100.0).round() / 100.0;
        (
            round(mean(|one| one.ms)),
            round(mean(|one| f64::from(u8::from(one.found)))),
            round(mean(|one| f64::from(u8::from(one.second)))),
        )
    }

    #[test]
    fn what_can_be_reckoned_in_the_head_comes_out() {
        use Situation::{Disjoint, Silent, Slow, Well};
        assert_eq!(theory(Well, Rule::Never), (5.0, 1.0, 0.0));
        assert_eq!(theory(Slow, Rule::Never), (52.5, 1.0, 0.0), "every second one takes 100 ms");
        assert_eq!(theory(Slow, Rule::AtOnce), (5.0, 1.0, 1.0));
        assert_eq!(theory(Slow, Rule::After(1.0)), (12.5, 1.0, 0.5), "15 + 5 ms instead of 100");
        assert_eq!(theory(Slow, Rule::Quantile(0.95, 1.0)), (52.5, 1.0, 0.0), "the percentile is the slow one's time");
        assert_eq!(theory(Silent, Rule::Never), (202.5, 0.5, 0.0));
        assert_eq!(theory(Silent, Rule::Try), (30.0, 1.0, 0.5));
        let (_, found, second) = theory(Silent, Rule::Quantile(0.95, 0.2));
        assert_eq!((found, second), (0.7, 0.2), "only as many are saved as there is budget for");
        let (_, found, second) = theory(Disjoint, Rule::AtOnce);
        assert_eq!((found, second), (1.0, 1.0));
        let (_, found, _) = theory(Disjoint, Rule::Never);
        assert!((0.48..0.52).contains(&found), "half of the names are at the other one: {found}");
    }
}
