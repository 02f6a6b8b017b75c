//! Every type as it is shown, in and out without loss.

use super::*;

#[test]
fn types_are_carried_without_loss() {
    let Some(fixture) = fixture() else { return };
    for (sql, expected) in [
        ("NULL", Value::Null),
        ("9223372036854775807", Value::Integer(i64::MAX)),
        ("-9223372036854775808", Value::Integer(i64::MIN)),
        ("CAST(18446744073709551615 AS UNSIGNED)", text("18446744073709551615")),
        ("1.50", text("1.50")),
        ("12345678901234567890.000000001", text("12345678901234567890.000000001")),
        ("0.1e0", Value::Real(0.1)),
        ("1e0/3", Value::Real(1.0 / 3.0)),
        ("1e308", Value::Real(1e308)),
        ("-2.2250738585072014e-308", Value::Real(-2.225_073_858_507_201_4e-308)),
        ("CAST(0.1 AS FLOAT)", Value::Real(0.1)),
        ("'Großmutter \u{1F3A8}'", text("Großmutter \u{1F3A8}")),
        ("''", text("")),
        ("X'00ff'", Value::Bytes(vec![0, 255])),
        ("CAST('a' AS BINARY)", Value::Bytes(vec![97])),
        ("DATE '2026-11-21'", text("2026-11-21")),
        ("TIMESTAMP '2026-11-21 18:10:00.123456'", text("2026-11-21 18:10:00.123456")),
        ("TIME '18:10:00'", text("18:10:00")),
        ("JSON_OBJECT('b', JSON_ARRAY(1, NULL))", text("{\"b\": [1, null]}")),
        ("true", Value::Integer(1)),
        ("1 = 2", Value::Integer(0)),
        ("(SELECT sum(seq) FROM seq_1_to_3)", Value::Integer(6)),
        ("'a' || 'b'", text("ab")),
        ("'back\\slash'", text("back\\slash")),
        ("'a' = 'A'", Value::Integer(0)),
    ] {
        assert_eq!(rows(&fixture.db, &format!("SELECT {sql}")), [[expected]], "{sql}");
    }
}

#[test]
fn columns_of_every_type_come_back_as_they_were_written() {
    let Some(fixture) = fixture() else { return };
    for (kind, written, expected) in [
        ("TINYINT", "-128", Value::Integer(-128)),
        ("BOOLEAN", "TRUE", Value::Integer(1)),
        ("SMALLINT UNSIGNED", "65535", Value::Integer(65535)),
        ("MEDIUMINT", "-8388608", Value::Integer(-8_388_608)),
        ("INT(8) ZEROFILL", "42", Value::Integer(42)),
        ("BIGINT", "-9223372036854775808", Value::Integer(i64::MIN)),
        ("BIGINT UNSIGNED", "18446744073709551615", text("18446744073709551615")),
        ("DECIMAL(10,0)", "42", Value::Integer(42)),
        ("DECIMAL(30,10)", "0.1", text("0.1000000000")),
        ("FLOAT", "0.25", Value::Real(0.25)),
        ("DOUBLE", "0.1", Value::Real(0.1)),
        ("BIT(1)", "b'1'", Value::Integer(1)),
        (
            "BIT(64)",
            "b'1111111111111111111111111111111111111111111111111111111111111111'",
            text("18446744073709551615"),
        ),
        ("CHAR(5)", "'ä'", text("ä")),
        ("VARCHAR(20)", "'a\u{1F3A8}'", text("a\u{1F3A8}")),
        ("LONGTEXT", "'long'", text("long")),
        ("BINARY(2)", "X'00ff'", Value::Bytes(vec![0, 255])),
        ("VARBINARY(9)", "'a'", Value::Bytes(vec![97])),
        ("LONGBLOB", "X'00'", Value::Bytes(vec![0])),
        ("ENUM('a','b')", "'b'", text("b")),
        ("SET('a','b')", "'a,b'", text("a,b")),
        ("DATE", "'2026-11-21'", text("2026-11-21")),
        ("TIME(3)", "'-18:10:00.5'", text("-18:10:00.500")),
        ("DATETIME(6)", "'2026-11-21 18:10:00.123456'", text("2026-11-21 18:10:00.123456")),
        ("TIMESTAMP NULL", "'2026-11-21 18:10:00'", text("2026-11-21 18:10:00")),
        ("YEAR", "2026", Value::Integer(2026)),
        ("JSON", "'{\"a\": [1]}'", text("{\"a\": [1]}")),
        ("INET6", "'::1'", text("::1")),
        ("UUID", "'123e4567-e89b-12d3-a456-426614174000'", text("123e4567-e89b-12d3-a456-426614174000")),
        ("POINT", "ST_GeomFromText('POINT(0 0)')", Value::Bytes([&[0, 0, 0, 0, 1, 1, 0, 0, 0][..], &[0; 16]].concat())),
    ] {
        fixture.inside("DROP TABLE IF EXISTS t");
        fixture.inside(&format!("CREATE TABLE t (n INT, a {kind})"));
        assert_eq!(changed(&fixture.db, &format!("INSERT INTO t VALUES (1, {written}), (2, NULL)")), 2, "{kind}");
        assert_eq!(rows(&fixture.db, "SELECT a FROM t ORDER BY n"), [[expected], [Value::Null]], "{kind}");
    }
}
