//! Requests that differ: `{n}`, `{client}` and `{random}` in a text.
//!
//! A thousand equal `INSERT`s cannot be told apart afterwards, so a lost one and a doubled one go unnoticed. With a
//! number in each, the rows can be counted against the requests:
//!
//! ```text
//! INSERT INTO T VALUES ({n}, {client}, {random})   →   INSERT INTO T VALUES (17, 3, 5829…)
//! ```
//!
//! Anything else in braces is left as it stands, because JSON in a statement has braces too.

use std::fmt::Write;

/// What is put in for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filling {
    /// `{n}`: the count of the request among all clients, from 1, warm-up included.
    pub n: u64,
    /// `{client}`: the number of the client, from 1.
    pub client: u64,
    /// `{random}`: a random number, which depends on the seed and on `n` only; it fits SQL's INTEGER.
    pub random: u64,
}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    N,
    Client,
    Random,
}

const PLACEHOLDERS: [(&str, Part); 3] = [("{n}", Part::N), ("{client}", Part::Client), ("{random}", Part::Random)];

impl Template {
    /// Reads a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        let first = |rest: &str| {
            let found = PLACEHOLDERS.iter().filter_map(|(name, part)| Some((rest.find(name)?, name.len(), part)));
            found.min_by_key(|(at, ..)| *at).map(|(at, length, part)| (at, length, part.clone()))
        };
        while let Some((at, length, part)) = first(rest) {
            parts.extend((at > 0).then(|| Part::Text(rest[..at].to_owned())));
            parts.push(part);
            rest = &rest[at + length..];
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
        Self { parts }
    }

    /// Writes the text of one request over what `into` holds.
    pub fn fill(&self, filling: Filling, into: &mut String) {
        into.clear();
        for part in &self.parts {
            // Writing into memory cannot fail.
            let _infallible = match part {
                Part::Text(text) => into.write_str(text),
                Part::N => write!(into, "{}", filling.n),
                Part::Client => write!(into, "{}", filling.client),
                Part::Random => write!(into, "{}", filling.random),
            };
        }
    }
}

/// The random number of request `n` under this seed: SplitMix64, without its highest bit.
///
/// Source: G. L. Steele, D. Lea, C. H. Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.
#[must_use]
pub fn random_of(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let mut into = "old".to_owned();
        Template::new(text).fill(Filling { n: 17, client: 3, random: 9 }, &mut into);
        into
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_stay() {
        assert_eq!(filled("VALUES ({n}, {client}, {random})"), "VALUES (17, 3, 9)");
        assert_eq!(filled("{n}{n}{client}"), "17173");
        assert_eq!(filled(r#"'{"n":1}' {N} {x} {n"#), r#"'{"n":1}' {N} {x} {n"#);
        assert_eq!(filled("zoë {n}"), "zoë 17");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn random_numbers_repeat_with_the_seed_only_and_fit_an_integer() {
        assert_eq!(random_of(1, 2), random_of(1, 2));
        let all: std::collections::BTreeSet<u64> = (0..1_000).map(|n| random_of(7, n)).collect();
        assert!(all.len() == 1_000 && all.iter().all(|random| i64::try_from(*random).is_ok()));
        assert_ne!(random_of(1, 2), random_of(2, 2));
        // The first output of SplitMix64 with seed 0, from the paper's generator, without its highest bit.
        assert_eq!(random_of(0, 0), 0xe220_a839_7b1d_cdaf >> 1);
    }
}
