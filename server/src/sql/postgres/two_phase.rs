//! `PREPARE TRANSACTION`, which is refused before it is sent.
//!
//! What else a session is for can be tried in the reading transaction, where it does no harm. This does: it ends that transaction
//! in a way that no ROLLBACK takes back. What it leaves holds its place in the database, and old rows from being cleared
//! away, until an administrator finds it; each of a few such statements more, until there is no place left. PostgreSQL refuses it itself
//! only where `max_prepared_transactions` is 0, as it is unless somebody has changed it.
//!
//! No function, procedure or `DO` can say it, so it is enough to look at how the statement begins: behind blanks, comments (which
//! may be nested) and empty statements.
//!
//! Source: <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>.

use crate::sql::SqlError;

/// Refuses what begins with `PREPARE`; none of its kinds is for clients.
pub(super) fn check(sql: &str) -> Result<(), SqlError> {
    const WORD: &str = "PREPARE";
    if beginning(sql).get(..WORD.len()).is_some_and(|word| word.eq_ignore_ascii_case(WORD)) {
        return Err(SqlError::Forbidden(
            "PREPARE is not allowed here: it is for a session, and each request is by itself; the next may go to another server.".into(),
        ));
    }
    Ok(())
}

/// What stands behind blanks, comments and empty statements.
fn beginning(mut sql: &str) -> &str {
    loop {
        let rest = sql.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}', ';']);
        sql = match (rest.strip_prefix("--"), rest.strip_prefix("/*")) {
            (Some(comment), _) => comment.trim_start_matches(|letter| letter != '\n' && letter != '\r'),
            (_, Some(comment)) => behind_comment(comment),
            _ => return rest,
        };
    }
}

/// What stands behind a comment that has begun; nothing, if it does not end.
fn behind_comment(mut sql: &str) -> &str {
    let mut depth = 1_i64;
    while depth > 0 {
        let Some(at) = sql.find(['/', '*']) else { return "" };
        let (deeper, length) = match &sql.as_bytes()[at..] {
            [b'/', b'*', ..] => (1, 2),
            [b'*', b'/', ..] => (-1, 2),
            _ => (0, 1),
        };
        (depth, sql) = (depth + deeper, &sql[at + length..]);
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_behind_whatever_postgresql_skips() {
        for sql in [
            "PREPARE TRANSACTION 'x'",
            "prepare transaction 'x'",
            ";; Prepare/**/Transaction 'x'",
            "-- SELECT 1\r/* a /* b */ -- */\u{c}PREPARE TRANSACTION 'x'",
            "--\n--\n/***//*/**/*/PREPARE p AS SELECT 1",
        ] {
            assert!(check(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn nothing_else_is_meant() {
        for sql in [
            "",
            ";",
            "-- PREPARE TRANSACTION 'x'",
            "/* PREPARE TRANSACTION 'x' */ SELECT 1",
            "/* never closed PREPARE TRANSACTION 'x'",
            "/*/PREPARE TRANSACTION 'x'",
            "/* /* */ PREPARE TRANSACTION 'x'",
            "- PREPARE",
            "SELECT 'PREPARE TRANSACTION'",
            "PREPÄRE",
            "prepar",
        ] {
            assert!(check(sql).is_ok(), "{sql}");
        }
    }
}
