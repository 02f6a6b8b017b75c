//! Every type as it is shown, in and out without loss.

use super::*;

#[test]
fn types_are_carried_without_loss() {
    let Some(fixture) = fixture() else { return };
    for (sql, expected) in [
        ("NULL", Value::Null),
        ("9223372036854775807", Value::Integer(i64::MAX)),
        ("-9223372036854775807 - 1", Value::Integer(i64::MIN)),
        ("1.50", text("1.50")),
        ("12345678901234567890.000000001", text("12345678901234567890.000000001")),
        ("0.1::float8", Value::Real(0.1)),
        ("0.1::float4", Value::Real(0.1)),
        ("'NaN'::float8 = 'NaN'::float8", Value::Integer(1)),
        ("'Infinity'::float8", Value::Real(f64::INFINITY)),
        ("'Großmutter \u{1F3A8}'", text("Großmutter \u{1F3A8}")),
        ("'\\x00ff'::bytea", Value::Bytes(vec![0, 255])),
        ("DATE '2026-11-21'", text("2026-11-21")),
        ("TIMESTAMP '2026-11-21 18:10:00.123456'", text("2026-11-21 18:10:00.123456")),
        ("TIMESTAMPTZ '2026-11-21 18:10:00+02'", text("2026-11-21 16:10:00+00")),
        ("TIME '18:10'", text("18:10:00")),
        ("'{\"b\": [1, null]}'::json", text("{\"b\": [1, null]}")),
        ("true", Value::Integer(1)),
        ("false", Value::Integer(0)),
        ("ARRAY[1, 2]", text("{1,2}")),
        ("(SELECT sum(i) FROM generate_series(1, 3) AS i)", Value::Integer(6)),
        ("(SELECT sum(i::bigint) FROM generate_series(1, 3) AS i)", Value::Integer(6)),
    ] {
        assert_eq!(rows(&fixture.db, &format!("SELECT {sql}")), [[expected]], "{sql}");
    }
}
