//! What standard SQL promises, as far as all engines keep it: statements in the order in which they are sent, and what each must come to.
//! Where engines differ is listed in `docs/reference/database.md`.

/// A statement, and its answer: rows, with `|` between columns and `/` between rows; how many rows were changed; or the code of the error,
/// which is definite.
pub const SCENARIO: &[(&str, &str)] = &[
    // The samples.
    ("SELECT count(*) FROM COLORS", "139"),
    ("SELECT Name, HEX FROM COLORS WHERE Name = 'Red'", "'Red'|'#FF0000'"),
    ("SELECT count(*) FROM COLORS WHERE Name = 'red'", "0"),
    ("SELECT count(*), min(id), max(id), count(DISTINCT station) FROM MEASUREMENTS", "100000|1|100000|100"),
    // A table is made and filled.
    (
        "CREATE TABLE account (id INTEGER PRIMARY KEY, owner VARCHAR(20) NOT NULL, balance INTEGER, CHECK (balance > -1000))",
        "0 changed",
    ),
    ("INSERT INTO account VALUES (1, 'Anna', 100), (2, 'Berta', NULL), (3, 'O''Neill', -5)", "3 changed"),
    ("INSERT INTO account (owner, id) VALUES ('Zo\u{eb} \u{1f3a8}', 4)", "1 changed"),
    (
        "SELECT * FROM account ORDER BY id",
        "1|'Anna'|100 / 2|'Berta'|NULL / 3|'O'Neill'|-5 / 4|'Zo\u{eb} \u{1f3a8}'|NULL",
    ),
    // What cannot be.
    ("INSERT INTO account VALUES (1, 'again', 0)", "SqlError"),
    ("INSERT INTO account VALUES (8, 'new', 0), (1, 'again', 0)", "SqlError"),
    ("INSERT INTO account (id) VALUES (9)", "SqlError"),
    ("INSERT INTO account VALUES (9, NULL, 0)", "SqlError"),
    ("INSERT INTO account VALUES (9, 'poor', -1000)", "SqlError"),
    ("INSERT INTO account VALUES (9, 'long', 0, 0)", "SqlError"),
    ("UPDATE account SET id = 1 WHERE id = 2", "SqlError"),
    ("SELECT count(*) FROM account", "4"),
    ("SELEC nonsense", "SqlError"),
    ("SELECT * FROM nowhere", "SqlError"),
    ("SELECT nothing FROM account", "SqlError"),
    ("SELECT id FROM account a JOIN account b ON a.id = b.id", "SqlError"),
    ("SELECT 1; SELECT 2", "BadRequest"),
    ("DELETE FROM account; SELECT 1", "BadRequest"),
    ("", "BadRequest"),
    ("COMMIT", "Forbidden"),
    ("SELECT count(*) FROM account;", "4"),
    // Changes are counted.
    ("UPDATE account SET balance = balance + 10 WHERE balance IS NOT NULL", "2 changed"),
    ("UPDATE account SET owner = 'Anna' WHERE owner = 'Anna'", "1 changed"),
    ("UPDATE account SET balance = 0 WHERE 1 = 0", "0 changed"),
    ("INSERT INTO account SELECT id + 10, owner, balance FROM account WHERE id <= 2", "2 changed"),
    ("DELETE FROM account WHERE id > 11 RETURNING id, owner", "12|'Berta'"),
    ("DELETE FROM account WHERE id = 11", "1 changed"),
    ("DELETE FROM account WHERE id = 11", "0 changed"),
    // Aggregates.
    ("SELECT sum(balance), min(balance), max(balance), count(*), count(balance) FROM account", "115|5|110|4|2"),
    ("SELECT count(*), sum(balance), max(owner) FROM account WHERE 1 = 0", "0|NULL|NULL"),
    (
        "SELECT balance IS NULL, count(*) FROM account GROUP BY balance IS NULL HAVING count(*) > 1 ORDER BY 1",
        "0|2 / 1|2",
    ),
    ("SELECT count(DISTINCT coalesce(balance, 0)) FROM account", "3"),
    // Joins and sets.
    (
        "SELECT a.owner, b.owner FROM account a JOIN account b ON a.id < b.id WHERE b.id < 4 ORDER BY a.id, b.id",
        "'Anna'|'Berta' / 'Anna'|'O'Neill' / 'Berta'|'O'Neill'",
    ),
    (
        "SELECT a.id, b.id FROM account a LEFT JOIN account b ON b.id = a.id + 2 ORDER BY a.id",
        "1|3 / 2|4 / 3|NULL / 4|NULL",
    ),
    ("SELECT id FROM account WHERE id IN (SELECT id + 1 FROM account) ORDER BY id", "2 / 3 / 4"),
    ("SELECT id FROM account a WHERE NOT EXISTS (SELECT 1 FROM account b WHERE b.id > a.id)", "4"),
    ("SELECT 1 UNION SELECT 1 UNION ALL SELECT 2", "1 / 2"),
    ("SELECT id FROM account EXCEPT SELECT 1 ORDER BY id", "2 / 3 / 4"),
    ("SELECT id FROM account INTERSECT SELECT 3", "3"),
    ("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT sum(i) FROM n", "5050"),
    ("SELECT id, rank() OVER (ORDER BY id DESC) FROM account ORDER BY id", "1|4 / 2|3 / 3|2 / 4|1"),
    ("SELECT sum(id) OVER (ORDER BY id) FROM account ORDER BY id", "1 / 3 / 6 / 10"),
    // Order and limit.
    ("SELECT id FROM account ORDER BY balance IS NULL, balance DESC, id LIMIT 3", "1 / 3 / 2"),
    ("SELECT id FROM account ORDER BY id LIMIT 2 OFFSET 1", "2 / 3"),
    ("SELECT owner FROM account WHERE 1 = 0", ""),
    ("SELECT DISTINCT id > 2 FROM account ORDER BY 1", "0 / 1"),
    ("SELECT owner FROM account ORDER BY owner DESC LIMIT 1", "'Zo\u{eb} \u{1f3a8}'"),
    // Expressions.
    ("SELECT NULL = NULL, NULL IS NULL, coalesce(NULL, 7), nullif(1, 1)", "NULL|1|7|NULL"),
    (
        "SELECT CASE WHEN balance > 50 THEN 'rich' ELSE 'poor' END FROM account ORDER BY id",
        "'rich' / 'poor' / 'poor' / 'poor'",
    ),
    ("SELECT 'it''s', 'a' || 'b', 'back\\slash', upper('abc'), trim('  x ')", "'it's'|'ab'|'back\\slash'|'ABC'|'x'"),
    ("SELECT 'a' = 'A', 'a' = 'a ', 'a' < 'b', 'B' < 'a'", "0|0|1|1"),
    ("SELECT replace('banana', 'an', 'o'), abs(-3), 7 % 2, 2 + 3 * 4, -(-1)", "'booa'|3|1|14|1"),
    ("SELECT owner FROM account WHERE owner LIKE 'A%' OR owner LIKE '%t_' ORDER BY id", "'Anna' / 'Berta'"),
    ("SELECT id FROM account WHERE id BETWEEN 2 AND 3 AND NOT id = 2", "3"),
    ("SELECT \"owner\" AS \"Who is it?\" FROM account WHERE id = 1", "'Anna'"),
    ("SELECT 9223372036854775807, -9223372036854775807 - 1", "9223372036854775807|-9223372036854775808"),
    ("SELECT 6 / 2 = 3, 1 = 1 AND 1 = 0, NOT (1 = 0), CURRENT_DATE IS NOT NULL", "1|0|1|1"),
    // Types of columns.
    ("CREATE TABLE kinds (n BIGINT, r DOUBLE PRECISION, d DATE, t VARCHAR(100))", "0 changed"),
    (
        "INSERT INTO kinds VALUES (-9223372036854775807, 0.1, '2026-11-21', 'tab\tand \u{1f3a8}'), (9223372036854775807, 1e300, NULL, '')",
        "2 changed",
    ),
    ("SELECT n, r, d FROM kinds ORDER BY n", "-9223372036854775807|0.1|'2026-11-21' / 9223372036854775807|1e300|NULL"),
    ("SELECT t FROM kinds WHERE d > '2026-01-01' AND t <> '' AND r < 0.2", "'tab\tand \u{1f3a8}'"),
    ("SELECT count(*) FROM kinds WHERE t IS NULL", "0"),
    ("DROP TABLE kinds", "0 changed"),
    ("DROP TABLE account", "0 changed"),
    ("SELECT * FROM account", "SqlError"),
    ("SELECT count(*) FROM COLORS", "139"),
];
