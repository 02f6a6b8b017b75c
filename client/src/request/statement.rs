//! Where an SQL statement ends that is typed over several lines.
//!
//! **The problem.** `INSERT INTO T VALUES ('a;` is not over at that `;`: it stands inside quotes. Nor is it inside
//! a comment. Sending half a statement wastes a request; waiting for more of a whole one leaves the user puzzled.
//!
//! **The idea.** A small machine reads the text once and remembers what it is inside of. The statement is over when
//! the last thing outside quotes and comments is a `;`.
//!
//! ```text
//! SELECT ';' -- ;      still open: the first ; is quoted, the second a comment
//! ;                    over
//! ```
//!
//! `CREATE TRIGGER` holds whole statements with their `;`, so it is over only at `; END;`.
//!
//! **Simplified.** Quoting as SQLite understands it: `'…'`, `"…"`, `` `…` ``, `[…]`, a doubled quote for itself;
//! comments do not nest. PostgreSQL's `$tag$` and MySQL's `\'` are not known: end such a statement with an empty
//! line, which always ends it. The server parses in earnest; here only the end is looked for.

/// Lines gathered into one statement.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    text: String,
}

impl Statement {
    /// Whether nothing has been gathered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Forgets what was gathered.
    pub fn clear(&mut self) {
        self.text.clear();
    }

    /// Takes one line. Gives back the whole text once it is complete: at once for what [ends at
    /// Enter](super::ends_at_enter), at its `;` or at an empty line for SQL. An empty line alone gives nothing. A [command]
    /// between the lines of a statement is given back by itself, and the statement goes on; inside quotes or a comment it
    /// is text like any other.
    ///
    /// [command]: super::is_command
    pub fn push(&mut self, line: &str) -> Option<String> {
        let line = line.trim_end_matches(['\r', '\n']);
        let first = self.text.is_empty();
        let blank = line.trim().is_empty();
        if first && blank {
            return None;
        }
        if !first && super::is_command(line) && !self.is_inside() {
            return Some(line.trim().to_owned());
        }
        if !blank {
            if !first {
                self.text.push('\n');
            }
            self.text.push_str(line);
        }
        let whole = blank || (first && super::ends_at_enter(line)) || is_complete(&self.text);
        whole.then(|| std::mem::take(&mut self.text))
    }

    /// Whether the next line begins inside quotes or a comment.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !matches!(read(&self.text).1, Inside::Nothing | Inside::LineComment)
    }
}

/// What the machine is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// Quotes, until this character.
    Quotes(char),
    LineComment,
    BlockComment,
}

/// Whether the text ends with the `;` of its statement.
fn is_complete(text: &str) -> bool {
    let (ended, inside) = read(text);
    ended && matches!(inside, Inside::Nothing | Inside::LineComment)
}

/// Whether the last thing in the text outside comments is the `;` of its statement, and what its end is inside of.
fn read(text: &str) -> (bool, Inside) {
    let mut inside = Inside::Nothing;
    let mut words = Words::default();
    let mut ended = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        match inside {
            Inside::Nothing => {
                if let Some(entered) = enters(character, next) {
                    inside = entered;
                    if inside == Inside::BlockComment {
                        characters.next();
                    }
                    // A comment changes nothing about the end; quotes are text of the statement.
                    if matches!(inside, Inside::Quotes(_)) {
                        ended = false;
                        words.other();
                    }
                    words.end();
                } else if character == ';' {
                    ended = words.may_end();
                } else if !character.is_whitespace() {
                    ended = false;
                    words.push(character);
                } else {
                    words.end();
                }
            }
            // A doubled quote leaves the quotes and enters them again, which comes to the same.
            Inside::Quotes(quote) if character == quote => inside = Inside::Nothing,
            Inside::LineComment if character == '\n' => inside = Inside::Nothing,
            Inside::BlockComment if character == '*' && next == Some('/') => {
                characters.next();
                inside = Inside::Nothing;
            }
            _ => {}
        }
    }
    (ended, inside)
}

fn enters(character: char, next: Option<char>) -> Option<Inside> {
    match (character, next) {
        ('\'' | '"' | '`', _) => Some(Inside::Quotes(character)),
        ('[', _) => Some(Inside::Quotes(']')),
        ('-', Some('-')) => Some(Inside::LineComment),
        ('/', Some('*')) => Some(Inside::BlockComment),
        _ => None,
    }
}

/// The bare words of a statement, as far as a trigger is recognised by them.
#[derive(Default)]
struct Words {
    word: String,
    /// Whether nothing but `;` and space stands before `word`.
    after_semicolon: bool,
    /// Whether the last thing was `END` behind a `;`.
    ends_trigger: bool,
    seen: usize,
    creates: bool,
    trigger: bool,
}

impl Words {
    /// Longer words are nothing that is looked for.
    const LONGEST: usize = 16;

    fn push(&mut self, character: char) {
        if !character.is_alphanumeric() && character != '_' {
            self.other();
        } else if self.word.len() < Self::LONGEST {
            self.word.push(character.to_ascii_uppercase());
        }
    }

    /// Something that is no word and no space.
    fn other(&mut self) {
        self.end();
        self.after_semicolon = false;
        self.ends_trigger = false;
    }

    fn end(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let word = std::mem::take(&mut self.word);
        self.seen += 1;
        match (self.seen, word.as_str()) {
            (1, "CREATE") => self.creates = true,
            (2 | 3, "TRIGGER") if self.creates => self.trigger = true,
            (2, "TEMP" | "TEMPORARY") => {}
            (2, _) => self.creates = false,
            _ => {}
        }
        self.ends_trigger = self.after_semicolon && word == "END";
        self.after_semicolon = false;
    }

    /// Whether a `;` here ends the statement.
    fn may_end(&mut self) -> bool {
        self.end();
        self.after_semicolon = true;
        !self.trigger || self.ends_trigger
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn complete_statements() {
        for text in [
            "SELECT 1;",
            "SELECT 1 ; \n",
            "SELECT ';';",
            "SELECT 'it''s';",
            "SELECT 1; -- done",
            "SELECT 1; /* done */ ",
            "SELECT \"a;b\", `c;d`, [e;f];",
            ";",
            "-- a comment first\nSELECT 1;",
            "SELECT 1 - -1;",
            "SELECT 6/2*1;",
            "CREATE TABLE trigger_happy (x);",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES (1); END;",
            "create temp trigger t after insert on a begin select case when 1 then 2 end; end ;",
        ] {
            assert!(is_complete(text), "{text:?}");
        }
    }

    #[test]
    fn statements_that_go_on() {
        for text in [
            "",
            "SELECT 1",
            "SELECT ';'",
            "SELECT ';",
            "SELECT 'it'';",
            "SELECT \";",
            "SELECT [a;",
            "SELECT 1 -- ;",
            "SELECT /* ; */",
            "SELECT /* ;",
            "SELECT /*;",
            "SELECT 1; SELECT 2",
            "SELECT 1; 'x'",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES (1);",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; 'END';",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END;",
        ] {
            assert!(!is_complete(text), "{text:?}");
        }
    }

    #[test]
    fn lines_are_gathered_up_to_the_semicolon_or_an_empty_line() {
        let mut statement = Statement::default();
        assert_eq!(statement.push(""), None);
        assert_eq!(statement.push("SELECT Name\r\n"), None);
        assert_eq!(statement.push("  FROM COLORS;"), Some("SELECT Name\n  FROM COLORS;".into()));
        assert!(statement.is_empty());
        assert_eq!(statement.push("SELECT '"), None);
        assert_eq!(statement.push("file x"), None, "inside a statement this is text");
        assert_eq!(statement.push("  "), Some("SELECT '\nfile x".into()), "an empty line always ends it");
        assert_eq!(statement.push("file colors.csv"), Some("file colors.csv".into()));
        assert_eq!(statement.push("SELECT"), None);
        statement.clear();
        assert_eq!(statement.push("\\quit"), Some("\\quit".into()));
    }

    #[test]
    fn a_command_between_the_lines_is_given_back_and_the_statement_goes_on() {
        let mut statement = Statement::default();
        assert_eq!(statement.push("SELECT 1 -- it's"), None);
        assert_eq!(statement.push(" \\HELP; "), Some("\\HELP;".into()));
        assert_eq!(statement.push("\\unknown"), None, "no command of ours");
        assert_eq!(statement.push("help"), None, "only with its backslash");
        assert_eq!(statement.push("\\q"), Some("\\q".into()));
        assert_eq!(statement.push(";"), Some("SELECT 1 -- it's\n\\unknown\nhelp\n;".into()));
        for (open, close) in [("SELECT '", "';"), ("SELECT [", "];"), ("/* ", "*/;")] {
            assert_eq!(statement.push(open), None);
            assert_eq!(statement.push("\\quit"), None, "{open} begins text");
            assert_eq!(statement.push(close), Some(format!("{open}\n\\quit\n{close}")));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = is_complete(&text);
        }

        #[test]
        fn quoted_text_never_ends_a_statement(text in "[^']*") {
            let open = format!("SELECT '{text}");
            prop_assert!(!is_complete(&open));
            let closed = format!("SELECT '{text}';");
            prop_assert!(is_complete(&closed));
        }
    }
}
