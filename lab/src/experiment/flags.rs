//! Values of flags, as they are typed and as the manifest shows them.

use clap::ValueEnum;
use loadbalancer::policy::Name;
use serde::Serializer;
use std::time::Duration;

/// The policy of this name.
///
/// # Errors
/// A sentence.
pub fn parse_policy(text: &str) -> Result<Name, String> {
    let names = || Name::ALL.map(Name::as_str).join(", ");
    Name::from_str(text, false).map_err(|_| format!("'{text}' is no policy. There are: {}.", names()))
}

/// A time as it is typed: `2ms`.
///
/// # Errors
/// The serializer's.
pub fn as_time<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown_time(*time))
}

/// A time as it is typed.
#[must_use]
pub fn shown_time(time: Duration) -> String {
    format!("{}ms", time.as_micros() as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::flags::parse_duration;

    #[test]
    fn a_time_is_shown_as_it_is_read() {
        for (micros, shown) in [(2_000, "2ms"), (1_500, "1.5ms"), (15_000_000, "15000ms")] {
            let time = Duration::from_micros(micros);
            assert_eq!(shown_time(time), shown);
            assert_eq!(parse_duration(shown), Ok(time));
        }
    }
}
