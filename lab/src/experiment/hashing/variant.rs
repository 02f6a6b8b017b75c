//! Rings that are compared, each named by what is special about it, and said with the flags of the load balancer.

use clap::Parser;
use loadbalancer::policy::Options;

/// A ring.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// What it is called in tables and plots.
    pub name: &'static str,
    /// What the load balancer is told beside `--balance consistent-hash`.
    pub flags: &'static [&'static str],
}

/// The factor of bounded load: a quarter above the share.
pub const BOUND: f64 = 1.25;

/// As the coursework has it.
pub const COURSEWORK: Variant = Variant { name: "H and Φ", flags: &["--ring-hash", "coursework"] };
/// The same, with bounded load.
pub const COURSEWORK_BOUNDED: Variant =
    Variant { name: "H and Φ bound 1.25", flags: &["--ring-hash", "coursework", "--ring-bound", "1.25"] };
/// The load balancer's default.
pub const XXH3: Variant = Variant { name: "xxh3 K=150", flags: &[] };
/// The same, with bounded load.
pub const XXH3_BOUNDED: Variant = Variant { name: "xxh3 K=150 bound 1.25", flags: &["--ring-bound", "1.25"] };

/// All that `hashing-a4` compares.
pub const ALL: [Variant; 10] = [
    COURSEWORK,
    Variant { name: "H and Φ quadratic", flags: &["--ring-hash", "coursework", "--ring-probing", "quadratic"] },
    Variant {
        name: "H and Φ K=150 M=65537",
        flags: &["--ring-hash", "coursework", "--ring-points", "150", "--ring-slots", "65537"],
    },
    COURSEWORK_BOUNDED,
    Variant { name: "xxh3 K=9 M=512", flags: &["--ring-points", "9", "--ring-slots", "512"] },
    Variant { name: "xxh3 K=9 M=65537", flags: &["--ring-points", "9", "--ring-slots", "65537"] },
    Variant { name: "xxh3 K=150 M=512", flags: &["--ring-points", "150", "--ring-slots", "512"] },
    Variant { name: "xxh3 K=150 M=65537", flags: &["--ring-points", "150", "--ring-slots", "65537"] },
    XXH3,
    XXH3_BOUNDED,
];

impl Variant {
    /// Its options, as the load balancer understands the flags.
    ///
    /// # Errors
    /// If it would refuse them.
    pub fn options(&self) -> anyhow::Result<Options> {
        let options = Line::try_parse_from(["ring"].iter().chain(self.flags))?.options;
        options.check()?;
        Ok(options)
    }

    /// The flags of the load balancer.
    #[must_use]
    pub fn command<'a>(&self, more: &[&'a str]) -> Vec<&'a str> {
        [&["--balance", "consistent-hash", "--hash-key", "request"], self.flags, more].concat()
    }
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_is_a_ring() {
        let all: Vec<Options> = ALL.iter().map(|variant| variant.options().unwrap()).collect();
        assert_eq!((all[0].slots(), all[0].points(), all[0].bound()), (Some(512), 9, None));
        assert_eq!((all[8].slots(), all[8].points(), all[8].bound()), (None, 150, None));
        assert_eq!(all[9].bound(), Some(BOUND));
        let different = |at: usize| !all[..at].contains(&all[at]);
        assert!((0..all.len()).all(different));
    }
}
