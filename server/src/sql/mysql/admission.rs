//! Which statements a stranger may send at all, by their first word.
//!
//! **The problem.** MySQL's SQL does more than work with data: SET, USE and LOCK TABLES change the session, KILL ends the sessions of
//! other servers (they log in as the same account, and nobody can take that right from it), XA and COMMIT end
//! transactions, and a block (`BEGIN NOT ATOMIC …`) or `EXECUTE IMMEDIATE` hides any of these. The engine says by no sign afterwards which
//! of them it was.
//!
//! **The idea.** What a statement is, is said by its first word, because all of these words are reserved. So there is a list of those
//! that are for data, and the rest is refused here. Whether an admitted statement reads or writes, and whether it may, the
//! engine decides. Of what begins with SHOW, two show the digest of the account's own password, and are refused.
//!
//! **When it is wrong.** A statement that begins with a comment that MySQL executes (`/*! … */`) is refused even if it
//! were harmless.

use crate::sql::SqlError;

/// What is for data. A statement of these words can hide no other one.
const DATA: [&str; 13] = [
    "SELECT", "WITH", "VALUES", "TABLE", "INSERT", "REPLACE", "UPDATE", "DELETE", "CALL", "SHOW", "DESCRIBE", "DESC",
    "EXPLAIN",
];

/// What MySQL commits by itself, so that no record can be committed with it.
const BY_ITSELF: [&str; 6] = ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "ANALYZE"];

/// What begins and ends transactions.
const TRANSACTIONS: [&str; 7] = ["BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "XA"];

/// What is for sessions or for administrators. Not the whole list: what is in none of them is refused as well.
const OTHERS: [&str; 36] = [
    "SET",
    "USE",
    "LOCK",
    "UNLOCK",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "HANDLER",
    "DO",
    "HELP",
    "KILL",
    "FLUSH",
    "RESET",
    "PURGE",
    "GRANT",
    "REVOKE",
    "LOAD",
    "IMPORT",
    "INSTALL",
    "UNINSTALL",
    "CHECK",
    "CHECKSUM",
    "OPTIMIZE",
    "REPAIR",
    "CACHE",
    "CHANGE",
    "STOP",
    "SHUTDOWN",
    "RESTART",
    "CLONE",
    "BACKUP",
    "BINLOG",
    "SIGNAL",
    "RESIGNAL",
    "GET",
    "IF",
];

/// Refuses what is not for data.
pub(super) fn check(sql: &str) -> Result<(), SqlError> {
    let begin = first(sql);
    let (word, behind) = word(sql);
    let is_in = |list: &[&str]| list.contains(&word.as_str());
    if word == "SHOW" && shows_a_password(behind) {
        return Err(SqlError::Forbidden(
            "SHOW GRANTS and SHOW CREATE USER are not allowed here: they show the digest of the account's password."
                .into(),
        ));
    }
    if is_in(&DATA) {
        return Ok(());
    }
    if begin.is_empty() || begin.starts_with(';') {
        return Err(SqlError::BadRequest("The request holds no statement."));
    }
    Err(if is_in(&BY_ITSELF) {
        SqlError::Forbidden(format!(
            "{word} is not allowed here: MySQL commits it by itself, so that it could happen twice or half. Who administers the database makes \
             its tables: with `server load-csv`, or by hand."
        ))
    } else if is_in(&TRANSACTIONS) {
        SqlError::Forbidden(format!("{word} is not allowed here: each request is a transaction by itself."))
    } else if is_in(&OTHERS) || begin.starts_with("/*") {
        SqlError::Forbidden(format!(
            "{} is not allowed here: statements begin with {}.",
            if word.is_empty() { "A comment that is executed" } else { &word },
            listed()
        ))
    } else {
        SqlError::Sql(format!("This is no statement that is known here: they begin with {}.", listed()))
    })
}

/// Whether an admitted statement calls a procedure.
pub(super) fn is_call(sql: &str) -> bool {
    word(sql).0 == "CALL"
}

/// Whether what is behind a SHOW asks for an account, or hides what it asks for.
fn shows_a_password(behind: &str) -> bool {
    let (what, behind) = word(behind);
    match what.as_str() {
        "GRANTS" | "" => true,
        "CREATE" => matches!(word(behind).0.as_str(), "USER" | ""),
        _ => false,
    }
}

fn listed() -> String {
    let [first @ .., last] = &DATA;
    format!("{} or {last}", first.join(", "))
}

/// The first word, in capitals, and what is behind it.
fn word(sql: &str) -> (String, &str) {
    let begin = first(sql);
    let end = begin.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(begin.len());
    let (word, behind) = begin.split_at(end);
    (word.to_ascii_uppercase(), behind)
}

/// The text from its first word on: without blanks, comments and brackets before it.
fn first(sql: &str) -> &str {
    let mut rest = sql.trim_start_matches('\u{feff}');
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '(');
        let behind = if rest.starts_with('#') || rest.starts_with("-- ") || rest.starts_with("--\n") {
            rest.split_once('\n').map_or("", |(_, behind)| behind)
        } else if let Some(comment) = rest.strip_prefix("/*").filter(|comment| !comment.starts_with(['!', 'M', '+'])) {
            match comment.split_once("*/") {
                Some((_, behind)) => behind,
                None => return rest,
            }
        } else {
            return rest;
        };
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::message::ErrorCode;

    fn code(sql: &str) -> Option<ErrorCode> {
        check(sql).err().map(|error| error.failure().code)
    }

    #[test]
    fn what_is_for_data_is_admitted_however_it_is_written() {
        for sql in [
            "SELECT 1",
            "\n\tselect 1",
            "((SELECT 1) UNION (SELECT 2))",
            "-- a comment\nWITH x AS (SELECT 1) SELECT * FROM x",
            "# a comment\n/* and\n another */insert into t values (1)",
            "SELECT/**/1",
            "Explain DELETE FROM t",
            "SHOW TABLES",
            "SHOW CREATE TABLE grants",
            "SHOW/**/FULL COLUMNS FROM user",
        ] {
            assert_eq!(code(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_shows_the_password_of_the_account_is_not_admitted_however_it_is_written() {
        for sql in [
            "SHOW GRANTS",
            "show grants for current_user",
            "SHOW/**/grants",
            "SHOW -- a comment\n # another\nGRANTS",
            "SHOW CREATE USER",
            "Show Create User me",
            "SHOW /* a */ CREATE /* b */ USER",
            "SHOW /*! GRANTS */",
            "SHOW /*M!100000 CREATE */ USER",
            "SHOW CREATE /*!50000 USER */",
            "SHOW\u{b}GRANTS",
            "SHOW --\tx\nGRANTS",
        ] {
            assert_eq!(code(sql), Some(ErrorCode::Forbidden), "{sql}");
        }
    }

    #[test]
    fn what_hides_behind_a_comment_or_a_label_is_not() {
        for (sql, expected) in [
            ("/*! KILL 1 */", ErrorCode::Forbidden),
            ("/*!50000 SELECT */ 1", ErrorCode::Forbidden),
            ("/*M! SET @a = 1 */", ErrorCode::Forbidden),
            ("/* /* */ KILL 1", ErrorCode::Forbidden),
            ("/* never closed SELECT 1", ErrorCode::Forbidden),
            ("-- \nKILL 1", ErrorCode::Forbidden),
            ("BEGIN NOT ATOMIC KILL 1; END", ErrorCode::Forbidden),
            ("(BEGIN)", ErrorCode::Forbidden),
            ("CREATE TABLE t (a int)", ErrorCode::Forbidden),
            ("Xa Start 'x'", ErrorCode::Forbidden),
            ("label: BEGIN NOT ATOMIC SELECT 1; END", ErrorCode::SqlError),
            ("SELECTED", ErrorCode::SqlError),
            ("SELEC 1", ErrorCode::SqlError),
            ("--SELECT 1", ErrorCode::SqlError),
            ("", ErrorCode::BadRequest),
            (" ; -- nothing", ErrorCode::BadRequest),
            ("-- nothing", ErrorCode::BadRequest),
        ] {
            assert_eq!(code(sql), Some(expected), "{sql}");
        }
    }
}
