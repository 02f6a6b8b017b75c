//! What is compared: situations of two name servers, and what the load balancer does.

use serde::Serialize;

/// How two name servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Situation {
    /// Both know all names and answer in time.
    Well,
    /// Both know all names, and one takes much longer.
    Slow,
    /// Both live, and one knows none of the names: it says nothing.
    Silent,
    /// Each knows half of the names, as in the coursework, and says nothing about the other half.
    Disjoint,
}

impl Situation {
    /// All, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Well, Self::Slow, Self::Silent, Self::Disjoint];

    /// Its name, for files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Disjoint => "disjoint",
        }
    }

    /// In words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Well => "all well: both know every name",
            Self::Slow => "one slow: both know every name",
            Self::Silent => "one silent: it lives, and knows none of the names",
            Self::Disjoint => {
                "disjoint tables, as in the coursework: each knows half of the names, and is silent about the others"
            }
        }
    }
}

/// What the load balancer does.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// The flags that make it; what follows for all comes behind.
    pub flags: &'static [&'static str],
    /// What theory reckons with.
    #[serde(skip)]
    pub rule: Rule,
}

/// When a second server is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Never.
    Never,
    /// When the first has said nothing for `--dns-try`.
    Try,
    /// At once.
    AtOnce,
    /// When so many of the queries are answered; for at most so many of a hundred queries.
    Quantile(f64, f64),
    /// After the time of `--hedge`; for at most so many of a hundred queries.
    After(f64),
}

/// All of them, in the order of the tables.
pub const VARIANTS: [Variant; 6] = [
    Variant { name: "one", flags: &[], rule: Rule::Never },
    Variant { name: "one, then the other", flags: &[], rule: Rule::Try },
    Variant { name: "duplicate all", flags: &["--duplicate", "2"], rule: Rule::AtOnce },
    Variant { name: "hedge 95%", flags: &["--hedge-after", "95%"], rule: Rule::Quantile(0.95, 0.2) },
    Variant {
        name: "hedge 95% no budget",
        flags: &["--hedge-after", "95%", "--hedge-budget", "100%"],
        rule: Rule::Quantile(0.95, 1.0),
    },
    Variant { name: "hedge at a time", flags: &["--hedge-budget", "100%"], rule: Rule::After(1.0) },
];
