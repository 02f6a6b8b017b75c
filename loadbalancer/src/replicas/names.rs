//! What replicas are called.
//!
//! A replica has an *id*, as every server has (`GET /home`, events, `servers`), and a *name*, by which the coursework's calls
//! list it. They say the same: an id of digits is called `Server 3`, any other id by itself, `S5`. So whatever `/rep` lists
//! can be given to `/rm`.
//!
//! On the ring of the coursework a server's number i is made of the digits of its id
//! ([`number_of`](crate::policy::number_of)): `Server 3` and `S3` have the same.

use protocol::flags::parse_server_id;
use std::ops::Range;

/// What stands before the digits in a name.
const PREFIX: &str = "Server ";
/// Numbers of six digits.
const SIX_DIGITS: Range<u32> = 100_000..1_000_000;

/// Which ids replicas have that nobody has named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Ids {
    /// 1 to N those of the start; six digits at random those that come later
    #[default]
    Sequence,
    /// Six digits at random
    Random,
}

/// The name of the replica with this id.
#[must_use]
pub fn name_of(id: &str) -> String {
    if is_number(id) { format!("{PREFIX}{id}") } else { id.to_owned() }
}

/// The id of the replica with this name.
///
/// # Errors
/// A sentence, if it can be no name.
pub fn id_of(name: &str) -> Result<String, String> {
    let id = name.strip_prefix(PREFIX).filter(|digits| is_number(digits)).unwrap_or(name);
    parse_server_id(id).map_err(|_| {
        format!(
            "{name:?} is no hostname: use 1 to 64 letters (a to z), digits, '_', '.' and '-', or 'Server' and a number"
        )
    })
}

/// An id that is not taken: six digits, by chance.
pub fn draw(random: &mut fastrand::Rng, taken: impl Fn(&str) -> bool) -> String {
    // Of 900,000 numbers a hundred are taken at the most.
    loop {
        let id = random.u32(SIX_DIGITS).to_string();
        if !taken(&id) {
            return id;
        }
    }
}

fn is_number(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_can_be_given_back() {
        for (id, name) in [("3", "Server 3"), ("482913", "Server 482913"), ("S5", "S5"), ("web-1.b_c", "web-1.b_c")] {
            assert_eq!(name_of(id), name);
            assert_eq!(id_of(name).as_deref(), Ok(id));
        }
        assert_eq!(id_of("3").as_deref(), Ok("3"), "digits alone are the same replica");
    }

    #[test]
    fn other_texts_are_no_names() {
        let long = "x".repeat(65);
        for wrong in ["", " ", "Server", "Server ", "Server S5", "a b", "a/b", "é", "Server[5]", "\n", &long] {
            let is_one = matches!(wrong, "Server");
            assert_eq!(id_of(wrong).is_ok(), is_one, "{wrong:?}");
        }
    }

    #[test]
    fn drawn_ids_have_six_digits_and_are_free() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..1_000 {
            let id = draw(&mut random, |id| id.ends_with('7'));
            assert!(id.len() == 6 && is_number(&id) && !id.ends_with('7') && !id.starts_with('0'), "{id}");
        }
    }
}
