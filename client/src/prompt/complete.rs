//! Completion at the prompt: commands, SQL's words, and what this session has seen to exist.
//!
//! Nothing is asked for: a Tab must not cost a request. So names of columns and files are known once they have been
//! seen. Pure: what is known and a line in, candidates out.

use crate::{request::COMMANDS, session::Learnt};
use std::collections::BTreeSet;

/// Most words that are learnt; what comes later is not completed.
const MOST_WORDS: usize = 2_000;

/// Words of SQL worth a Tab.
const KEYWORDS: [&str; 48] = [
    "ALTER",
    "AND",
    "ASC",
    "AVG",
    "BETWEEN",
    "CASE",
    "COUNT",
    "CREATE",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXISTS",
    "FROM",
    "GROUP BY",
    "HAVING",
    "INDEX",
    "INNER JOIN",
    "INSERT INTO",
    "INTEGER",
    "JOIN",
    "LEFT JOIN",
    "LENGTH",
    "LIKE",
    "LIMIT",
    "LOWER",
    "MAX",
    "MIN",
    "NOT",
    "NULL",
    "OFFSET",
    "ORDER BY",
    "PRIMARY KEY",
    "REPLACE",
    "SELECT",
    "SUM",
    "TABLE",
    "TEXT",
    "THEN",
    "UNION",
    "UPDATE",
    "UPPER",
    "VALUES",
    "WHEN",
    "WHERE",
];

/// What can be completed.
#[derive(Clone, Debug, Default)]
pub(super) struct Vocabulary {
    words: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Vocabulary {
    /// Adds what a request has taught.
    pub(super) fn learn(&mut self, learnt: Learnt) {
        let room = MOST_WORDS.saturating_sub(self.words.len() + self.files.len());
        // Titles may be expressions (`COUNT(*)`), and a name may hold what a terminal obeys: neither is completed.
        let plain = |word: &String| word.len() > 2 && word.chars().all(|c| c.is_alphanumeric() || c == '_');
        let known = |word: &String| KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word));
        self.words.extend(learnt.words.into_iter().filter(|word| plain(word) && !known(word)).take(room));
        self.files.extend(learnt.files.into_iter().filter(|name| !name.chars().any(char::is_control)).take(room));
    }

    /// Where in the text before the cursor the completed part begins, and what it may become.
    pub(super) fn complete(&self, before: &str) -> (usize, Vec<String>) {
        let indent = before.len() - before.trim_start().len();
        let line = &before[indent..];
        if line.starts_with('\\') {
            return (indent, starting(COMMANDS.iter().map(|(command, _)| *command), line));
        }
        if line.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("file ")) {
            let name = &line[5..];
            return (before.len() - name.len(), starting(self.files.iter().map(String::as_str), name));
        }
        let at = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = &before[at..];
        if word.is_empty() {
            return (at, Vec::new());
        }
        let first = (at == indent).then_some("file ");
        let small = word.chars().all(char::is_lowercase);
        let keywords =
            KEYWORDS.iter().map(|keyword| if small { keyword.to_lowercase() } else { (*keyword).to_owned() });
        let known: Vec<String> =
            first.map(str::to_owned).into_iter().chain(keywords).chain(self.words.iter().cloned()).collect();
        (at, starting(known.iter().map(String::as_str), word))
    }
}

/// Those that begin with this, in any case.
fn starting<'a>(candidates: impl Iterator<Item = &'a str>, with: &str) -> Vec<String> {
    let begins = |candidate: &&str| candidate.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    candidates.filter(begins).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        vocabulary.learn(Learnt {
            words: ["COLORS", "Name", "COUNT(*)", "id", "select", "größe"].map(str::to_owned).to_vec(),
            files: vec!["colors.csv".into(), "a b.txt".into(), "evil\u{1b}".into()],
        });
        vocabulary
    }

    #[test]
    fn commands_files_and_words() {
        let known = vocabulary();
        assert_eq!(known.complete("\\se"), (0, vec!["\\servers".into()]));
        assert_eq!(known.complete("\\").1.len(), COMMANDS.len());
        assert_eq!(known.complete("FILE co"), (5, vec!["colors.csv".into()]));
        assert_eq!(known.complete("file "), (5, vec!["a b.txt".into(), "colors.csv".into()]));
        assert_eq!(known.complete("fi"), (0, vec!["file ".into()]));
        assert_eq!(known.complete("SELECT fi").1, [""; 0]);
        assert_eq!(known.complete("sel"), (0, vec!["select".into()]), "small letters stay small, and once");
        assert_eq!(known.complete("SELECT * FROM COL"), (14, vec!["COLORS".into()]));
        assert_eq!(known.complete("SELECT na"), (7, vec!["Name".into()]));
        assert_eq!(known.complete("WHERE Name=grö"), (11, vec!["größe".into()]));
        assert_eq!(known.complete("日"), (0, vec![]));
        assert_eq!(known.complete("SELECT "), (7, vec![]));
    }

    #[test]
    fn what_is_learnt_is_bounded() {
        let mut vocabulary = Vocabulary::default();
        let words = (0..3 * MOST_WORDS).map(|n| format!("word{n}")).collect();
        vocabulary.learn(Learnt { words, files: vec![] });
        assert_eq!(vocabulary.words.len(), MOST_WORDS);
    }
}
