//! A client's statement that is kept parsed for whoever asks the same next.
//!
//! **The problem.** To parse and plan `SELECT … WHERE id = 50000` takes PostgreSQL twice as long as to carry it out. But a statement
//! that is prepared under a name is within the reach of SQL: a function that another client calls may `DEALLOCATE` it and `PREPARE` its
//! own under the same name.
//!
//! **The idea.** The protocol has one statement without a name. SQL cannot say its name, `DEALLOCATE ALL` does not mean it, and
//! `pg_prepared_statements` does not show it; so it is what we have parsed, or nothing. It stays until the next one is parsed, and
//! PostgreSQL itself parses it anew when a table, view or function that it uses has changed, or the search path.
//!
//! **What PostgreSQL does not notice** is, as with any prepared statement of it, what was worked out when the statement was parsed and
//! planned, and is no table, view or function that it names itself. Names: a new function that fits the arguments better, a table that hides
//! another, a new cast. Values: what an IMMUTABLE function has returned (and what it called and read), literals of enumerations and of types such
//! as `regclass`, dates in SQL functions that were inlined. Shapes: the columns of a composite type, or of what a function returns; a text
//! search configuration. So a statement is kept for [`KEPT`] only; and one that is refused is parsed anew, unless rows were handed on already.
//!
//! Literals that mean another moment each time are in the class of values: `'today'` of an unknown type becomes a date when it is parsed.
//! Texts with such words are not kept at all ([`is_timeless`]).
//!
//! **What is simplified.** One statement for each connection; a production system keeps many, for clients that it knows.
//!
//! Sources: <https://www.postgresql.org/docs/current/sql-prepare.html>, section "Notes";
//! <https://www.postgresql.org/docs/current/datatype-datetime.html>, section "Special Values".

use std::time::{Duration, Instant};

/// How long a parsed statement is used: long beside the time between two requests on a busy connection, and short for somebody who has
/// changed what it means and asks again.
pub(super) const KEPT: Duration = Duration::from_millis(50);

/// Longest text that is kept, in bytes: whoever asks the same again and again asks briefly, and a connection that nobody uses should
/// not hold much. It bounds the text and not the plan: over views a short text has a large one, which is held until the next is parsed.
const MOST: usize = 4096;

/// What types of dates and times read as the time at which they are read.
const WORDS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// A statement that is parsed.
#[derive(Debug)]
pub(super) struct Held {
    sql: String,
    since: Instant,
}

impl Held {
    /// This one, which is being parsed now; `None` if it is not to be kept.
    pub(super) fn now(sql: &str) -> Option<Self> {
        (sql.len() <= MOST && is_timeless(sql)).then(|| Self { sql: sql.to_owned(), since: Instant::now() })
    }

    /// Whether it is this one, and was parsed less than `kept_for` ago.
    pub(super) fn is(&self, sql: &str, kept_for: Duration) -> bool {
        self.sql == sql && self.since.elapsed() < kept_for
    }
}

/// Whether no literal can mean another moment each time it is parsed. Words are looked for in all that are letters, wherever they
/// stand: a literal may go on in another line. What could hide one (escapes, comments in between) is taken to do so.
fn is_timeless(sql: &str) -> bool {
    let letters: String =
        sql.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect();
    let hides = |sign: &str| sql.contains(sign);
    !WORDS.iter().any(|word| letters.contains(word)) && !["\\", "--", "/*", "u&", "U&"].into_iter().any(hides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_mean_another_moment_is_not_kept() {
        for sql in [
            "SELECT 'now'::timestamp",
            "SELECT date 'Today'",
            "SELECT date $$tomorrow$$, 1",
            "SELECT timestamp 'yesterday 10:00'",
            "SELECT date 'to'\n'day'",
            "SELECT date 'to' -- a comment\n'day'",
            "SELECT date 'to' /* a comment */\n'day'",
            "SELECT date E'\\x74oday'",
            "SELECT date U&'!0074oday' UESCAPE '!'",
            "SELECT date u&'!0074oday' UESCAPE '!'",
        ] {
            assert!(Held::now(sql).is_none(), "{sql}");
        }
        assert!(Held::now(&format!("SELECT {}", "1".repeat(MOST))).is_none(), "it is long");
    }

    #[test]
    fn what_means_the_same_is_kept_while_it_is_fresh() {
        for sql in ["SELECT id FROM t WHERE id = 50000", "SELECT * FROM COLORS WHERE Name = 'White'", "SELECT now_"] {
            let kept = is_timeless(sql);
            assert_eq!(kept, !sql.contains("now"), "{sql}");
        }
        let held = Held::now("SELECT 1").unwrap();
        let is = |sql: &str| held.is(sql, Duration::MAX);
        assert!(is("SELECT 1") && !is("SELECT 2") && !is("select 1"));
        assert!(!held.is("SELECT 1", Duration::ZERO));
    }
}
