//! Values of a database, carried without loss.
//!
//! JSON has no bytes and no infinities, and many readers of JSON round integers above 2⁵³. Rows travel as JSON
//! arrays all the same, because a person can read them in a hex dump; what JSON lacks is written as an object:
//! `{"hex":"00ff"}` for bytes, `{"real":"inf"}` for a number that is not finite. Integers are written in full.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use std::fmt;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// A whole number of 64 bits.
    Integer(i64),
    /// A floating-point number of 64 bits.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl fmt::Display for Value {
    /// As a person reads it: NULL, numbers and text as they are, bytes as `x'00ff'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(number) => number.fmt(f),
            // `{:?}` keeps the point in 1.0, so that a real is seen to be one.
            Self::Real(number) => write!(f, "{number:?}"),
            Self::Text(text) => f.write_str(text),
            Self::Bytes(bytes) => write!(f, "x'{}'", to_hex(bytes)),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = |serializer: S, key: &str, text: &str| {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(key, text)?;
            map.end()
        };
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Real(number) if number.is_finite() => serializer.serialize_f64(*number),
            Self::Real(number) if number.is_nan() => object(serializer, "real", "nan"),
            Self::Real(number) => object(serializer, "real", if *number > 0.0 { "inf" } else { "-inf" }),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => object(serializer, "hex", &to_hex(bytes)),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> de::Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a number, a text, {\"hex\":…} or {\"real\":…}")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Integer).map_err(|_| E::custom("an integer of more than 64 bits"))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let (key, text) = map.next_entry::<String, String>()?.ok_or_else(|| de::Error::custom("an empty object"))?;
        if map.next_key::<String>()?.is_some() {
            return Err(de::Error::custom("an object of more than one key"));
        }
        match (key.as_str(), text.as_str()) {
            ("hex", digits) => from_hex(digits).map(Value::Bytes).ok_or_else(|| de::Error::custom("odd hexadecimal")),
            ("real", "inf") => Ok(Value::Real(f64::INFINITY)),
            ("real", "-inf") => Ok(Value::Real(f64::NEG_INFINITY)),
            ("real", "nan") => Ok(Value::Real(f64::NAN)),
            _ => Err(de::Error::custom("neither {\"hex\":…} nor {\"real\":…}")),
        }
    }
}

/// Bytes as lower-case hexadecimal digits, two a byte; also how digests are written.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of hexadecimal digits, or nothing if the text is not that.
#[must_use]
pub fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back(value: &Value) -> Value {
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
    }

    #[test]
    fn each_type_has_its_json() {
        let row = vec![
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(1.0),
            Value::Real(f64::INFINITY),
            Value::Text("Großmutter \0".into()),
            Value::Bytes(vec![0, 255]),
        ];
        let json = r#"[null,-9223372036854775808,1.0,{"real":"inf"},"Großmutter \u0000",{"hex":"00ff"}]"#;
        assert_eq!(serde_json::to_string(&row).unwrap(), json);
        assert_eq!(serde_json::from_str::<Vec<Value>>(json).unwrap(), row);
    }

    #[test]
    fn other_json_is_refused() {
        for json in [
            "true",
            "[]",
            "{}",
            r#"{"hex":"0"}"#,
            r#"{"hex":"é0"}"#,
            r#"{"real":"1"}"#,
            r#"{"hex":"00","real":"inf"}"#,
            "18446744073709551615",
        ] {
            assert!(serde_json::from_str::<Value>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn numbers_text_and_bytes_come_back_unchanged(integer: i64, real in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, text: String, bytes: Vec<u8>) {
            for value in [Value::Integer(integer), Value::Real(real), Value::Text(text.clone()), Value::Bytes(bytes.clone())] {
                prop_assert_eq!(there_and_back(&value), value);
            }
        }
    }
}
