//! What is compared: policies, and what may be added to them.

use serde::Serialize;

/// A way to deal with a slow server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Variant {
    /// Its name in tables and plots.
    pub name: &'static str,
    /// The flags of the load balancer that make it.
    pub flags: &'static [&'static str],
    /// Whether it has a curve of its own.
    pub curve: bool,
}

/// All of them, in the order of the tables.
pub const VARIANTS: [Variant; 13] = [
    shown("round-robin", &["--balance", "round-robin"]),
    plain("random", &["--balance", "random"]),
    shown("power-of-two", &["--balance", "power-of-two"]),
    shown("least-connections", &["--balance", "least-connections"]),
    shown("least-time", &["--balance", "least-time"]),
    plain("round-robin + hedge 95%", &["--balance", "round-robin", "--hedge-after", "95%"]),
    plain("round-robin + hedge 75%", &["--balance", "round-robin", "--hedge-after", "75%"]),
    shown(
        "round-robin + hedge 75% budget 40%",
        &["--balance", "round-robin", "--hedge-after", "75%", "--hedge-budget", "40%"],
    ),
    plain(
        "round-robin + hedge 20ms budget 40%",
        &["--balance", "round-robin", "--hedge-after", "20ms", "--hedge-budget", "40%"],
    ),
    plain("least-connections + hedge 95%", &["--balance", "least-connections", "--hedge-after", "95%"]),
    shown("least-connections + hedge 90%", &["--balance", "least-connections", "--hedge-after", "90%"]),
    shown("round-robin + duplicate 2", &["--balance", "round-robin", "--duplicate", "2"]),
    plain("round-robin + eject 5x", &["--balance", "round-robin", "--eject", "slower-than 5x"]),
];

const fn plain(name: &'static str, flags: &'static [&'static str]) -> Variant {
    Variant { name, flags, curve: false }
}

const fn shown(name: &'static str, flags: &'static [&'static str]) -> Variant {
    Variant { name, flags, curve: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use loadbalancer::config::Config;

    #[test]
    fn the_load_balancer_understands_the_flags_and_names_differ_without_commas() {
        let mut names = std::collections::HashSet::new();
        for variant in VARIANTS {
            assert!(names.insert(variant.name) && !variant.name.contains(','), "{}", variant.name);
            let line = ["loadbalancer"].iter().chain(variant.flags);
            Config::try_parse_from(line).unwrap_or_else(|error| panic!("{}: {error}", variant.name));
        }
    }
}
