//! MySQL's values, from the text in which they are sent.
//!
//! Numbers become numbers where nothing is lost by it; everything else stays the text that MySQL writes: dates and times, in UTC where
//! they are points in time, JSON, and integers beyond 64 bits with a sign. A truth value is 1 or 0 (it is a `TINYINT`).

use mysql_common::{constants::ColumnType, packets::Column};
use protocol::value::Value;

/// The number of the character set of what is no text.
const BINARY: u16 = 63;

/// How a column's values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number.
    Integer,
    /// A number with floating point.
    Real,
    /// Bits, as many as there are, as a number.
    Bits,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}

impl Kind {
    /// Of this column.
    pub(super) fn of(column: &Column) -> Self {
        use ColumnType::*;
        match column.column_type() {
            MYSQL_TYPE_TINY | MYSQL_TYPE_SHORT | MYSQL_TYPE_INT24 | MYSQL_TYPE_LONG | MYSQL_TYPE_LONGLONG
            | MYSQL_TYPE_YEAR => Self::Integer,
            // One without places is an integer in the other engines, too; others stay digit by digit.
            MYSQL_TYPE_DECIMAL | MYSQL_TYPE_NEWDECIMAL if column.decimals() == 0 => Self::Integer,
            MYSQL_TYPE_FLOAT | MYSQL_TYPE_DOUBLE => Self::Real,
            MYSQL_TYPE_BIT => Self::Bits,
            MYSQL_TYPE_GEOMETRY => Self::Bytes,
            MYSQL_TYPE_TINY_BLOB
            | MYSQL_TYPE_BLOB
            | MYSQL_TYPE_MEDIUM_BLOB
            | MYSQL_TYPE_LONG_BLOB
            | MYSQL_TYPE_VARCHAR
            | MYSQL_TYPE_VAR_STRING
            | MYSQL_TYPE_STRING
                if column.character_set() == BINARY =>
            {
                Self::Bytes
            }
            _ => Self::Text,
        }
    }

    /// A value of this kind. What is not what its kind says stays text.
    pub(super) fn value(self, bytes: &[u8]) -> Value {
        if self == Self::Bits && bytes.len() <= 8 {
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            return i64::try_from(number).map_or_else(|_| Value::Text(number.to_string()), Value::Integer);
        }
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| self != Self::Bytes) else {
            return Value::Bytes(bytes.to_vec());
        };
        let known = match self {
            Self::Integer => text.parse().ok().map(Value::Integer),
            Self::Real => text.parse().ok().map(Value::Real),
            _ => None,
        };
        known.unwrap_or_else(|| Value::Text(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let text = |text: &str| Value::Text(text.into());
        for (kind, written, expected) in [
            (Kind::Integer, &b"-9223372036854775808"[..], Value::Integer(i64::MIN)),
            (Kind::Integer, b"18446744073709551615", text("18446744073709551615")),
            (Kind::Integer, b"0042", Value::Integer(42)),
            (Kind::Real, b"0.1", Value::Real(0.1)),
            (Kind::Real, b"1e308", Value::Real(1e308)),
            (Kind::Bits, b"\x01\x02", Value::Integer(258)),
            (Kind::Bits, b"\xff\xff\xff\xff\xff\xff\xff\xff", text("18446744073709551615")),
            (Kind::Text, b"1.50", text("1.50")),
            (Kind::Text, b"\xff", Value::Bytes(vec![255])),
            (Kind::Bytes, b"a", Value::Bytes(vec![97])),
        ] {
            assert_eq!(kind.value(written), expected, "{kind:?}");
        }
    }
}
