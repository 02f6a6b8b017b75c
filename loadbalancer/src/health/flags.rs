//! The flags of health.

use super::{check::Check, outlier::Rules};
use clap::Args;
use protocol::flags::parse_duration;
use std::time::Duration;

/// How servers are watched, when they are left out, and how they return.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct HealthFlags {
    /// How servers are asked whether they live: every INTER, with TIMEOUT for the answer; down after FALL bad probes in a
    /// row, up again after RISE good ones. Any of these words in any order; the others keep their values
    #[arg(long, value_name = "WORDS", default_value_t)]
    pub check: Check,
    /// When a server is left out because of how its requests end: so many errors in a row, for so long (longer each
    /// time), at most so many percent of the servers; add `slower-than 5x` to leave out those that are slower than the
    /// others; `off` for never
    #[arg(long, value_name = "WORDS", default_value_t)]
    pub eject: Rules,
    /// How long a server that returns gets a growing share of the requests instead of its full share at once [0: not at
    /// all]
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_duration, allow_hyphen_values = true)]
    pub slow_start: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        health: HealthFlags,
    }

    fn parse(words: &[&str]) -> Result<HealthFlags, String> {
        let line = ["program"].iter().chain(words);
        Program::try_parse_from(line).map(|program| program.health).map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        let flags = parse(&[]).unwrap();
        assert_eq!((flags.check, flags.eject, flags.slow_start), (Check::default(), Rules::default(), Duration::ZERO));
    }

    #[test]
    fn the_words_are_read() {
        let words = ["--check", "inter 500ms fall 2", "--eject", "off", "--slow-start", "10s"];
        let flags = parse(&words).unwrap();
        assert_eq!((flags.check.inter, flags.check.rise, flags.check.fall), (Duration::from_millis(500), 2, 2));
        assert!(flags.eject.is_off());
        assert_eq!(flags.slow_start, Duration::from_secs(10));
    }

    #[test]
    fn wrong_words_are_refused_with_their_flag() {
        for (flag, value, words) in [
            ("--check", "rise 0", "from 1 to 1000"),
            ("--check", "", "It is empty"),
            ("--eject", "at-most 80%", "from 1% to 50%"),
            ("--slow-start", "-1s", "negative"),
        ] {
            let refused = parse(&[flag, value]).map(drop).unwrap_err();
            assert!(refused.contains(flag) && refused.contains(words), "{refused}");
        }
    }
}
