//! MySQL's errors in the words of all engines.
//!
//! An error has a number and a sentence. Decided is by the number: the sentence may be in another language. MySQL and MariaDB share the
//! numbers up to 1999 and have their own beyond.
//!
//! Sources: <https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html>, <https://mariadb.com/kb/en/mariadb-error-codes/>.

use crate::sql::{
    SqlError,
    error::{ONE_STATEMENT, sentence},
    remote::Trouble,
};
use mysql_common::{
    constants::CapabilityFlags,
    packets::{ErrPacket, ServerError},
};

/// How MySQL begins to quote what it did not understand.
const NEAR: &str = "near '";

/// An error as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// Its number.
    pub(super) number: u16,
    /// The engine's words.
    pub(super) words: String,
}

impl Refused {
    /// Reads it from its packet; what is none has no number and no words.
    pub(super) fn read(body: &[u8]) -> Self {
        match super::packet::read(body, CapabilityFlags::CLIENT_PROTOCOL_41) {
            Ok(ErrPacket::Error(error)) => Self::of(&error),
            _ => Self::default(),
        }
    }

    fn of(error: &ServerError<'_>) -> Self {
        Self { number: error.error_code(), words: error.message_str().into_owned() }
    }

    /// Whether the connection ends with it, through no fault of the statement: a shutdown, an end by an administrator, no place for
    /// one more connection.
    pub(super) fn is_the_end(&self) -> bool {
        matches!(self.number, 1040 | 1053 | 1152 | 1158..=1161 | 1184 | 1203 | 1927)
    }

    /// Whether the engine refused it because it would write in a transaction that may only read.
    pub(super) fn would_write(&self) -> bool {
        self.number == 1792
    }

    /// Whether the transaction was rolled back, because it met another one.
    pub(super) fn is_rolled_back(&self) -> bool {
        matches!(self.number, 1020 | 1205 | 1213 | 1402 | 1613 | 1614)
    }

    /// Whether a table is not there, or the database that it would be in.
    pub(super) fn is_of_no_table(&self) -> bool {
        matches!(self.number, 1049 | 1146)
    }

    /// What it means for whoever asked. `sql`: the client's statement, if it was one.
    pub(super) fn trouble(self, sql: &str) -> Trouble {
        if self.is_rolled_back() {
            return Trouble::Again(self.words);
        }
        if self.is_the_end() {
            return Trouble::Lost(self.words);
        }
        let words = self.words;
        Trouble::Failed(match self.number {
            1064 if begins_another(sql, &words) => SqlError::BadRequest(ONE_STATEMENT),
            1065 => SqlError::BadRequest("The request holds no statement."),
            1399 => SqlError::Forbidden(
                "MySQL commits this statement by itself, so that it could happen twice or half. It is not allowed here.".into(),
            ),
            1044 | 1045 | 1095 | 1141..=1143 | 1227 | 1370 | 1698 => SqlError::Forbidden(sentence(&words)),
            1104 | 1118 | 1153 | 1301 => SqlError::TooLarge(sentence(&words)),
            // What says something about the moment: a full disk or memory, a server that only reads, somebody else's wish, a transaction
            // that we did not end. Below 1000 are failures of files and of the network.
            ..1000 | 1021 | 1026 | 1030 | 1037 | 1038 | 1041 | 1114 | 1135 | 1180 | 1181 | 1206 | 1290 | 1317 | 1398 | 1440 | 1637
            | 1792 | 1836 | 1969 | 3024 => SqlError::Unavailable(words),
            1034 | 1035 | 1194 | 1195 | 1712 => SqlError::Damaged(words),
            _ => SqlError::Sql(sentence(&words)),
        })
    }
}

/// Whether a statement was not understood from where a second one begins in it. Only the words of the refusal depend on it.
fn begins_another(sql: &str, words: &str) -> bool {
    let Some((_, near)) = words.split_once(NEAR) else { return false };
    let Some((near, _)) = near.rsplit_once("' at line ") else { return false };
    !near.is_empty() && sql.match_indices(near).any(|(at, _)| sql[..at].trim_end().ends_with(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_decides_what_an_error_means() {
        let trouble = |number| Refused { number, words: "no such thing".into() }.trouble("x");
        for number in [1213, 1205, 1614] {
            assert!(matches!(trouble(number), Trouble::Again(_)), "{number}");
        }
        assert!(matches!(trouble(1142), Trouble::Failed(SqlError::Forbidden(_))));
        assert!(matches!(trouble(1062), Trouble::Failed(SqlError::Sql(words)) if words == "No such thing."));
        for number in [0, 23, 157, 999, 1026, 1206, 1317, 1398, 1440, 1637] {
            let of_the_moment = matches!(trouble(number), Trouble::Failed(SqlError::Unavailable(_)));
            assert!(of_the_moment, "{number} is not the statement's fault");
        }
        assert!(matches!(trouble(1000), Trouble::Failed(SqlError::Sql(_))));
        assert!(matches!(trouble(1053), Trouble::Lost(_)));
        assert_eq!(Refused::read(b"\xff\x28"), Refused::default());
    }

    #[test]
    fn several_statements_are_told_from_a_slip() {
        let refused = |sql: &str, near: &str| {
            let words =
                format!("You have an error in your SQL syntax; check the manual … to use near '{near}' at line 1");
            matches!(Refused { number: 1064, words }.trouble(sql), Trouble::Failed(SqlError::BadRequest(_)))
        };
        assert!(refused("SELECT 1; SELECT 2", "SELECT 2"));
        assert!(refused("DELETE FROM t;\n COMMIT", "COMMIT"));
        assert!(!refused("SELECT 1 1", "1") && !refused("SELECT ';' x y", "y") && !refused("SELECT", ""));
    }
}
