//! What is wished for: the bodies of changes, understood. Each key is known and there once, each value in its bounds, or
//! nothing is changed.

use crate::policy::{Name, Options, UNLIMITED};
use clap::ValueEnum;
use protocol::http::{BodyReader, HttpError, Status};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::net::SocketAddr;

/// Longest body of a change, in bytes. The longest that makes sense, a policy with all its options, has a few hundred.
pub const MAX_BODY: u64 = 16 * 1024;

/// A server to be added.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    /// Its control address, at which it says itself who it is.
    pub control: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weight {
    weight: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Capacity {
    capacity: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyWish {
    policy: String,
    #[serde(default)]
    options: Options,
}

/// A body that is understood, but asks for something that cannot be.
fn impossible(sentence: impl Into<String>) -> HttpError {
    HttpError::answer(Status::UNPROCESSABLE_CONTENT, sentence)
}

/// Reads the body of a change.
///
/// # Errors
/// 413, or 400 with what is wrong.
pub fn read<T: DeserializeOwned>(body: &mut BodyReader<'_>) -> Result<T, HttpError> {
    object(&body.whole(MAX_BODY)?)
}

/// Reads the body of a change about which there is nothing more to say: none, or an empty object.
///
/// # Errors
/// As [`read`].
pub fn nothing(body: &mut BodyReader<'_>) -> Result<(), HttpError> {
    let bytes = body.whole(MAX_BODY)?;
    if bytes.is_empty() { Ok(()) } else { object(&bytes).map(|Nothing {}| ()) }
}

/// Understands an object. (serde would take an array, too, for its values in order.)
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HttpError> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(HttpError::answer(Status::BAD_REQUEST, "The body must be a JSON object: {…}."));
    }
    serde_json::from_slice(bytes).map_err(HttpError::Json)
}

/// Reads `{"weight": 5}` or `{"weight": null}`.
///
/// # Errors
/// As [`read`], and 422 for what is no weight.
pub fn weight(body: &mut BodyReader<'_>) -> Result<Option<u32>, HttpError> {
    let Weight { weight } = read(body)?;
    match (&weight, whole(&weight)) {
        (Value::Null, _) => Ok(None),
        (_, Some(weight)) => Ok(Some(weight)),
        _ => Err(impossible(format!(
            "A weight is a whole number from 1 to 256, or null for none, not {}.",
            shown(&weight)
        ))),
    }
}

/// Reads `{"capacity": 4}` or `{"capacity": "unlimited"}`.
///
/// # Errors
/// As [`read`], and 422 for what is no capacity.
pub fn capacity(body: &mut BodyReader<'_>) -> Result<u32, HttpError> {
    let Capacity { capacity } = read(body)?;
    if capacity == "unlimited" {
        return Ok(UNLIMITED);
    }
    let number = whole(&capacity).filter(|number| *number != UNLIMITED);
    number.ok_or_else(|| {
        impossible(format!("A capacity is a whole number from 1, or \"unlimited\", not {}.", shown(&capacity)))
    })
}

fn whole(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// The beginning of a value.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

/// Reads `{"policy": "consistent-hash", "options": {"ring_bound": 1.25}}`. Options that are not named have their defaults.
///
/// # Errors
/// As [`read`], and 422 for a policy that there is not, and options that cannot be.
pub fn policy(body: &mut BodyReader<'_>) -> Result<(Name, Options), HttpError> {
    let PolicyWish { policy, options } = read(body)?;
    let (name, shown) = (Name::from_str(&policy, false), shown(&policy.into()));
    let name =
        name.map_err(|_| impossible(format!("There is no policy {shown}; there are {}.", names().join(", "))))?;
    options.check().map_err(|why| impossible(format!("The options cannot be: {why}.")))?;
    Ok((name, options))
}

/// The names of all policies.
#[must_use]
pub fn names() -> Vec<String> {
    let values = Name::value_variants().iter().filter_map(Name::to_possible_value);
    values.map(|value| value.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_known_and_there_once() {
        let parse = |text: &str| object::<PolicyWish>(text.as_bytes()).map(|wish| wish.options.ring_bound);
        assert_eq!(parse(r#"{"policy": "x", "options": {"ring_bound": 1.5}}"#).unwrap(), 1.5);
        assert_eq!(parse(r#"{"policy": "x"}"#).unwrap(), 0.0);
        for wrong in [
            r#"{"policy": "x", "options": {"ring_bound": 1, "ring_bound": 2}}"#,
            r#"{"policy": "x", "options": {"ring": 1}}"#,
            r#"{"policy": "x", "options": {"ring_bound": NaN}}"#,
            r#"{"policy": "x", "policy": "x"}"#,
            r#"{"policy": "x", "option": {}}"#,
            r#"{"options": {}}"#,
            r#"{"policy": 5}"#,
            r#"["policy"]"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_names_are_those_of_the_command_line() {
        assert_eq!(names()[..2], ["power", "round-robin"]);
        assert!(names().iter().all(|name| Name::from_str(name, false).is_ok_and(|found| found.to_string() == *name)));
    }
}
