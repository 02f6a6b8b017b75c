//! `database.json`: which database the servers share.
//!
//! ```json
//! {"engine": "sqlite", "path": "runs/database.sqlite"}
//! ```
//!
//! All servers read the same file and so reach the same database: what is written through one is seen through every
//! other. A path is relative to the folder of `database.json`, not to the folder a server happens to be started in,
//! or else two terminals would quietly use two databases.
//!
//! A database server is reached by name and account ([`Account`]):
//!
//! ```json
//! {"engine": "postgres", "host": "db", "database": "lab", "user": "lab_server", "password-env": "LAB_DATABASE_PASSWORD",
//!  "tls": "verify-full", "tls-ca": "ca.pem"}
//! ```
//!
//! The coursework's file, `{"database": …, "user": …, "password": …}`, names no engine and no host: it is the list of
//! arguments of PostgreSQL's driver for Python, and is taken for PostgreSQL on this machine. Unknown keys are ignored.

mod account;

pub use account::{Account, Password, Tls};

use crate::places::{read_settings, without_mark};
use serde_json::{Map, Value};
use std::{
    io,
    path::{Component, Path, PathBuf, absolute},
};

/// What to write when there is nothing, or something else, in `database.json`.
const EXAMPLE: &str = r#"{"engine": "sqlite", "path": "runs/database.sqlite"}"#;
/// The same for a database server.
const EXAMPLE_POSTGRES: &str =
    r#"{"engine": "postgres", "host": "127.0.0.1", "database": "lab", "user": "lab_server", "password": "…"}"#;
const EXAMPLE_MYSQL: &str =
    r#"{"engine": "mysql", "host": "127.0.0.1", "database": "lab", "user": "lab_server", "password": "…"}"#;

/// Which database the servers share.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseConfig {
    /// One SQLite file for all servers of this machine.
    Sqlite {
        /// The file, absolute. It need not exist yet, and neither its folder.
        path: PathBuf,
    },
    /// A database of a PostgreSQL server.
    Postgres(Account),
    /// A database of a MySQL or MariaDB server.
    MySql(Account),
}

/// Why `database.json` names no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// There is no such file.
    #[error("{path} does not exist. It says which database the servers share; write into it: {EXAMPLE}")]
    Missing {
        /// The file.
        path: String,
    },
    /// There is no such file, and neither a laboratory around.
    #[error(
        "No laboratory was found: neither here nor in a folder above is a servers.json or database.json. Start in the laboratory's \
         folder; or, to have one here, write into {path}: {EXAMPLE}"
    )]
    NoPlace {
        /// Where the file would be.
        path: String,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}.")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not JSON.
    #[error("{path} is not JSON: {why}. It should look like this: {EXAMPLE}")]
    NotJson {
        /// The file.
        path: String,
        /// What is wrong, and where.
        why: String,
    },
    /// The file is JSON, but not an object of keys.
    #[error("{path} holds {found} where an object belongs. It should look like this: {EXAMPLE}")]
    NotAnObject {
        /// The file.
        path: String,
        /// What is there instead.
        found: &'static str,
    },
    /// A key that the engine needs is not there.
    #[error("{path} lacks the key \"{key}\". It should look like this: {example}")]
    MissingKey {
        /// The file.
        path: String,
        /// The key.
        key: &'static str,
        /// What a file of this engine looks like.
        example: &'static str,
    },
    /// A key has a value that cannot be.
    #[error("In {path} the key \"{key}\" {why}. It should look like this: {example}")]
    WrongValue {
        /// The file.
        path: String,
        /// The key.
        key: &'static str,
        /// What is wrong with its value, as the end of a sentence.
        why: String,
        /// What a file of this engine looks like.
        example: &'static str,
    },
    /// The folder of SQLite's file is not there.
    #[error(
        "{path} names the database {database}, whose folder {folder} does not exist. It is made only below the folder of {path}: look \
         whether that is what you mean, and make it."
    )]
    NoFolder {
        /// The file.
        path: String,
        /// The database that it names.
        database: String,
        /// The folder that is missing.
        folder: String,
    },
}

impl DatabaseConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// A sentence that names the file, the key, and what belongs there.
    pub fn read(path: &Path) -> Result<Self, DatabaseError> {
        let shown = || path.display().to_string();
        let bytes = read_settings(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => DatabaseError::Missing { path: shown() },
            _ => DatabaseError::Unreadable { path: shown(), source },
        })?;
        let file = absolute(path).map_err(|source| DatabaseError::Unreadable { path: shown(), source })?;
        let config = Self::parse(&bytes, &file)?;
        config.check_folder(&file)?;
        Ok(config)
    }

    /// A path with a slip in it must not become a new database in a folder that nobody wanted.
    fn check_folder(&self, file: &Path) -> Result<(), DatabaseError> {
        let Self::Sqlite { path } = self else { return Ok(()) };
        let (Some(folder), Some(own)) = (path.parent(), file.parent()) else { return Ok(()) };
        let below = folder.starts_with(own) && !folder.components().any(|part| part == Component::ParentDir);
        if below || folder.exists() {
            return Ok(());
        }
        let shown = |path: &Path| path.display().to_string();
        Err(DatabaseError::NoFolder { path: shown(file), database: shown(path), folder: shown(folder) })
    }

    /// Understands the content of this file (an absolute path).
    ///
    /// # Errors
    /// A sentence that names the file, the key, and what belongs there.
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self, DatabaseError> {
        let path = file.display().to_string();
        let object = match serde_json::from_slice(without_mark(bytes)) {
            Ok(Value::Object(object)) => object,
            Ok(other) => return Err(DatabaseError::NotAnObject { path, found: kind_of(&other) }),
            Err(error) => return Err(DatabaseError::NotJson { path, why: error.to_string() }),
        };
        if !object.contains_key("engine") && object.contains_key("user") {
            return account::read(&object, file, (path, EXAMPLE_POSTGRES), account::POSTGRES_PORT)
                .map(DatabaseConfig::Postgres);
        }
        let engine = text_of(&object, "engine", (&path, EXAMPLE))?;
        match engine.to_ascii_lowercase().as_str() {
            "sqlite" => sqlite(&object, file, path),
            "postgres" | "postgresql" => account::read(&object, file, (path, EXAMPLE_POSTGRES), account::POSTGRES_PORT)
                .map(DatabaseConfig::Postgres),
            "mysql" | "mariadb" => {
                account::read(&object, file, (path, EXAMPLE_MYSQL), account::MYSQL_PORT).map(DatabaseConfig::MySql)
            }
            _ => {
                let why = format!(
                    "is \"{}\", which is no engine known here: sqlite, postgres, mysql and mariadb are",
                    engine.escape_debug()
                );
                Err(DatabaseError::WrongValue { path, key: "engine", why, example: EXAMPLE })
            }
        }
    }
}

fn sqlite(object: &Map<String, Value>, file: &Path, shown: String) -> Result<DatabaseConfig, DatabaseError> {
    let given = text_of(object, "path", (&shown, EXAMPLE))?;
    let wrong = |why: &str| {
        let (path, why) = (shown.clone(), why.to_owned());
        DatabaseError::WrongValue { path, key: "path", why, example: EXAMPLE }
    };
    if given.trim().is_empty() {
        return Err(wrong("is empty"));
    }
    if given.contains('\0') {
        return Err(wrong("contains a NUL character"));
    }
    if given == ":memory:" {
        return Err(wrong(
            "is \":memory:\", which would be a database of its own in each server instead of a shared one",
        ));
    }
    let folder = file.parent().unwrap_or(Path::new("/"));
    Ok(DatabaseConfig::Sqlite { path: folder.join(given) })
}

/// The text of this key; `path` and `example` are for the sentence that says that there is none.
fn text_of<'a>(
    object: &'a Map<String, Value>,
    key: &'static str,
    (path, example): (&str, &'static str),
) -> Result<&'a str, DatabaseError> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text),
        None => Err(DatabaseError::MissingKey { path: path.to_owned(), key, example }),
        Some(other) => {
            let why = format!("is {} where a text belongs", kind_of(other));
            Err(DatabaseError::WrongValue { path: path.to_owned(), key, why, example })
        }
    }
}

/// What a JSON value is, in words that fit after "is" and "holds".
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(content: &str) -> String {
        DatabaseConfig::parse(content.as_bytes(), Path::new("/lab/database.json")).unwrap_err().to_string()
    }

    #[test]
    fn a_path_is_relative_to_the_files_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("database.json");
        std::fs::write(&file, "\u{feff}{\"engine\":\"SQLite\",\"path\":\"runs/database.sqlite\",\"note\":1}").unwrap();
        let path = folder.path().join("runs/database.sqlite");
        assert_eq!(DatabaseConfig::read(&file).unwrap(), DatabaseConfig::Sqlite { path });
        let absolute = DatabaseConfig::parse(br#"{"engine":"sqlite","path":"/data/x"}"#, &file).unwrap();
        assert_eq!(absolute, DatabaseConfig::Sqlite { path: "/data/x".into() });
    }

    #[test]
    fn a_missing_file_says_what_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let error = DatabaseConfig::read(&folder.path().join("database.json")).unwrap_err();
        assert!(matches!(error, DatabaseError::Missing { .. }), "{error:?}");
        assert!(error.to_string().ends_with(EXAMPLE), "{error}");
        let error = DatabaseConfig::read(folder.path()).unwrap_err();
        assert!(matches!(error, DatabaseError::Unreadable { .. }), "{error:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_made_only_below_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, elsewhere) = (folder.path().join("lab/database.json"), folder.path().join("misspelt"));
        std::fs::create_dir(folder.path().join("lab")).unwrap();
        let read = |path: &str| {
            std::fs::write(&file, serde_json::json!({ "engine": "sqlite", "path": path }).to_string()).unwrap();
            DatabaseConfig::read(&file)
        };
        for path in
            [elsewhere.join("x.sqlite").to_str().unwrap(), "../misspelt/x.sqlite", "runs/../../misspelt/x.sqlite"]
        {
            let error = read(path).unwrap_err();
            assert!(matches!(error, DatabaseError::NoFolder { .. }), "{path}: {error}");
            assert!(error.to_string().contains("does not exist") && !elsewhere.exists(), "{error}");
        }
        assert!(read("runs/new/x.sqlite").is_ok());
        std::fs::create_dir(&elsewhere).unwrap();
        assert!(read("../misspelt/x.sqlite").is_ok());
    }

    #[test]
    fn what_is_shown_is_of_the_engine_that_is_named() {
        for (content, engine) in [
            (r#"{"engine":"postgres","user":"x"}"#, "postgres"),
            (r#"{"user":"x"}"#, "postgres"),
            (r#"{"engine":"mariadb","database":7}"#, "mysql"),
            (r#"{"engine":"sqlite"}"#, "sqlite"),
        ] {
            let error = error(content);
            assert!(
                error.contains(&format!("It should look like this: {{\"engine\": \"{engine}\"")),
                "{content}: {error}"
            );
        }
    }

    #[test]
    fn errors_say_which_key_is_wrong() {
        for (content, expected) in [
            ("", "is not JSON: EOF"),
            ("engine = sqlite", "is not JSON: expected value at line 1 column 1"),
            ("[]", "holds an array where an object belongs"),
            ("{}", "lacks the key \"engine\""),
            (r#"{"engine":"sqlite"}"#, "lacks the key \"path\""),
            (r#"{"engine":"sqlite","path":7}"#, "the key \"path\" is a number where a text belongs"),
            (r#"{"engine":null}"#, "the key \"engine\" is null where a text belongs"),
            (
                r#"{"engine":"oracle"}"#,
                "the key \"engine\" is \"oracle\", which is no engine known here: sqlite, postgres, mysql and mariadb are",
            ),
            (r#"{"engine":"sqlite","path":" "}"#, "the key \"path\" is empty"),
            (r#"{"engine":"sqlite","path":":memory:"}"#, "instead of a shared one"),
        ] {
            let error = error(content);
            assert!(error.contains(expected) && error.contains("/lab/database.json"), "{content}: {error}");
        }
    }
}
