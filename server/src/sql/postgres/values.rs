//! PostgreSQL's values, from the text in which they are sent.
//!
//! Numbers become numbers where nothing is lost by it; everything else stays the text that PostgreSQL writes: dates and
//! times in ISO form and UTC, JSON, arrays, addresses. A truth value is 1 or 0, as in SQLite and MySQL.

use postgres_protocol::Oid;
use protocol::value::{Value, from_hex};

// The types that are more than their text, by their numbers in the catalogue, which never change.
const BOOL: Oid = 16;
const BYTEA: Oid = 17;
const INT8: Oid = 20;
const INT2: Oid = 21;
const INT4: Oid = 23;
const OID: Oid = 26;
const FLOAT4: Oid = 700;
const FLOAT8: Oid = 701;
const NUMERIC: Oid = 1700;

/// A value of this type. What is not what its type says stays text.
pub(super) fn value(kind: Oid, bytes: &[u8]) -> Value {
    let Ok(text) = std::str::from_utf8(bytes) else { return Value::Bytes(bytes.to_vec()) };
    let known = match kind {
        BOOL => Some(Value::Integer(i64::from(text == "t"))),
        INT2 | INT4 | INT8 | OID => text.parse().ok().map(Value::Integer),
        // One without places is an integer in the other engines, too; `1.0` and what is longer than 64 bits stays as it is.
        NUMERIC if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
            text.parse().ok().map(Value::Integer)
        }
        FLOAT4 | FLOAT8 => text.parse().ok().map(Value::Real),
        BYTEA => text.strip_prefix("\\x").and_then(from_hex).map(Value::Bytes),
        _ => None,
    };
    known.unwrap_or_else(|| Value::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let text = |text: &str| Value::Text(text.into());
        for (kind, written, expected) in [
            (BOOL, "t", Value::Integer(1)),
            (BOOL, "f", Value::Integer(0)),
            (INT8, "-9223372036854775808", Value::Integer(i64::MIN)),
            (FLOAT8, "0.1", Value::Real(0.1)),
            (FLOAT8, "-Infinity", Value::Real(f64::NEG_INFINITY)),
            (NUMERIC, "42", Value::Integer(42)),
            (NUMERIC, "42.0", text("42.0")),
            (NUMERIC, "9223372036854775808", text("9223372036854775808")),
            (NUMERIC, "0.1000000000000000000000000001", text("0.1000000000000000000000000001")),
            (NUMERIC, "NaN", text("NaN")),
            (BYTEA, "\\x00ff", Value::Bytes(vec![0, 255])),
            (1082, "2026-11-21", text("2026-11-21")),
            (3802, "{\"a\": 1}", text("{\"a\": 1}")),
        ] {
            assert_eq!(value(kind, written.as_bytes()), expected, "{kind} {written}");
        }
    }
}
