//! A database on a server of its own: where it is, and who asks.
//!
//! The password is written there, or in a file beside it, or in an environment variable, so that `database.json` can be
//! shown to a class and kept in a repository.

use super::{DatabaseError, kind_of, text_of};
use serde_json::{Map, Value};
use std::{
    env, fmt,
    path::{Path, PathBuf},
};

/// Where PostgreSQL listens unless told otherwise.
pub(super) const POSTGRES_PORT: u16 = 5432;
/// Where MySQL and MariaDB listen unless told otherwise.
pub(super) const MYSQL_PORT: u16 = 3306;

/// Where nobody names a host.
const HERE: &str = "127.0.0.1";

/// What the key `tls` may be.
const TLS_WORDS: &str = "\"disable\", \"require\" or \"verify-full\"";

/// Longest file of a password that is read, in bytes.
const MAX_PASSWORD: u64 = 4096;

/// A database on a server, and the account that reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name of the database.
    pub database: String,
    /// The account's name.
    pub user: String,
    /// The account's password.
    pub password: Password,
    /// Whether the connection is encrypted, and what is asked of whoever answers.
    pub tls: Tls,
}

/// Whether a connection to a database server is encrypted. The words are those of PostgreSQL's clients (`sslmode`), without
/// `allow` and `prefer`: those go on in clear when somebody on the way says that there is no TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// `disable`: in clear.
    #[default]
    Disable,
    /// `require`: encrypted, whoever answers. Who only listens learns nothing; who answers in the server's place does.
    Require,
    /// `verify-full`: encrypted, and the server shows a certificate of this authority for the host's name.
    VerifyFull {
        /// The authority's certificate, or several, as PEM; an absolute path.
        ca: PathBuf,
    },
}

/// A password. Shown nowhere, also not by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// This password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Reads the keys of an account.
pub(super) fn read(
    object: &Map<String, Value>,
    file: &Path,
    (shown, example): (String, &'static str),
    usual_port: u16,
) -> Result<Account, DatabaseError> {
    let keys = Keys { object, file, shown, example };
    Ok(Account {
        host: keys.word("host")?.unwrap_or(HERE).to_owned(),
        port: keys.port()?.unwrap_or(usual_port),
        database: keys.needed("database")?,
        user: keys.needed("user")?,
        password: keys.password()?,
        tls: keys.tls()?,
    })
}

struct Keys<'a> {
    object: &'a Map<String, Value>,
    file: &'a Path,
    shown: String,
    example: &'static str,
}

impl Keys<'_> {
    fn wrong(&self, key: &'static str, why: impl Into<String>) -> DatabaseError {
        DatabaseError::WrongValue { path: self.shown.clone(), key, why: why.into(), example: self.example }
    }

    fn word(&self, key: &'static str) -> Result<Option<&str>, DatabaseError> {
        if !self.object.contains_key(key) {
            return Ok(None);
        }
        match text_of(self.object, key, (&self.shown, self.example))? {
            text if text.trim().is_empty() => Err(self.wrong(key, "is empty")),
            text if text.contains('\0') => Err(self.wrong(key, "contains a NUL character")),
            text => Ok(Some(text)),
        }
    }

    fn needed(&self, key: &'static str) -> Result<String, DatabaseError> {
        let missing = || DatabaseError::MissingKey { path: self.shown.clone(), key, example: self.example };
        self.word(key)?.map(str::to_owned).ok_or_else(missing)
    }

    fn port(&self) -> Result<Option<u16>, DatabaseError> {
        let Some(value) = self.object.get("port") else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
        number.map(Some).ok_or_else(|| self.wrong("port", "is not a number from 1 to 65535"))
    }

    fn tls(&self) -> Result<Tls, DatabaseError> {
        let ca = self.word("tls-ca")?.map(|name| self.beside(name));
        let mode = match self.object.get("tls") {
            None | Some(Value::Bool(false)) => "disable",
            Some(Value::Bool(true)) => "verify-full",
            Some(Value::String(text)) => text,
            Some(other) => return Err(self.wrong("tls", format!("is {} where {TLS_WORDS} belongs", kind_of(other)))),
        };
        match (mode.to_ascii_lowercase().as_str(), ca) {
            ("disable" | "off", None) => Ok(Tls::Disable),
            ("require", None) => Ok(Tls::Require),
            ("verify-full", Some(ca)) => Ok(Tls::VerifyFull { ca }),
            ("verify-full", None) => {
                let why = "asks for \"verify-full\", which needs the key \"tls-ca\": the file with the certificate of the authority";
                Err(self.wrong("tls", why))
            }
            ("disable" | "off" | "require", Some(_)) => {
                Err(self.wrong("tls-ca", "names an authority, and only \"tls\": \"verify-full\" asks one"))
            }
            ("allow" | "prefer", _) => {
                let why = format!("would go on in clear when somebody says that there is no TLS; write {TLS_WORDS}");
                Err(self.wrong("tls", why))
            }
            _ => Err(self.wrong("tls", format!("is \"{}\" where {TLS_WORDS} belongs", mode.escape_debug()))),
        }
    }

    /// A file; a relative path begins at the folder of `database.json`.
    fn beside(&self, name: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("/")).join(name)
    }

    /// The password, from the one place of three that is named.
    fn password(&self) -> Result<Password, DatabaseError> {
        let named = |key: &str| self.object.contains_key(key);
        let places = ["password", "password-file", "password-env"].into_iter().filter(|key| named(key)).count();
        if places > 1 {
            return Err(self.wrong("password", "is given twice: keep one of password, password-file and password-env"));
        }
        let password = if named("password-file") {
            self.password_file()?
        } else if named("password-env") {
            let name = self.needed("password-env")?;
            env::var(&name).map_err(|_| {
                self.wrong("password-env", format!("names the variable {}, which is not set", name.escape_debug()))
            })?
        } else {
            self.needed("password")?
        };
        if password.is_empty() { Err(self.wrong("password", "is empty")) } else { Ok(Password(password)) }
    }

    /// The first line of the file.
    fn password_file(&self) -> Result<String, DatabaseError> {
        use std::io::Read;
        let name = self.needed("password-file")?;
        let path = self.beside(&name);
        let mut text = String::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(MAX_PASSWORD).read_to_string(&mut text));
        read.map_err(|error| self.wrong("password-file", format!("names {name}, which cannot be read ({error})")))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::DatabaseConfig, *};

    fn parse(content: &str) -> Result<DatabaseConfig, String> {
        DatabaseConfig::parse(content.as_bytes(), Path::new("/lab/database.json")).map_err(|error| error.to_string())
    }

    fn account(port: u16) -> Account {
        Account {
            host: HERE.into(),
            port,
            database: "lab".into(),
            user: "server".into(),
            password: Password::new("secret"),
            tls: Tls::Disable,
        }
    }

    #[test]
    fn the_plain_form_of_the_course_is_postgres_on_this_machine() {
        let plain = parse(r#"{"database": "lab", "user": "server", "password": "secret"}"#).unwrap();
        assert_eq!(plain, DatabaseConfig::Postgres(account(5432)));
        assert!(!format!("{plain:?}").contains("secret"), "nobody reads the password in a log");
    }

    #[test]
    fn engines_have_two_names_each_and_a_port_of_their_own() {
        let with = |engine| {
            parse(&format!(r#"{{"engine": "{engine}", "database": "lab", "user": "server", "password": "secret"}}"#))
        };
        for engine in ["postgres", "PostgreSQL"] {
            assert_eq!(with(engine).unwrap(), DatabaseConfig::Postgres(account(5432)));
        }
        for engine in ["mysql", "MariaDB"] {
            assert_eq!(with(engine).unwrap(), DatabaseConfig::MySql(account(3306)));
        }
        let all = r#"{"engine":"mysql","host":"db.example","port":3307,"tls":false,"database":"lab","user":"server","password":"secret"}"#;
        let expected = Account { host: "db.example".into(), ..account(3307) };
        assert_eq!(parse(all).unwrap(), DatabaseConfig::MySql(expected));
    }

    #[test]
    fn a_password_may_stand_in_a_file_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "secret\n").unwrap();
        let content = br#"{"engine":"postgres","database":"lab","user":"server","password-file":"password"}"#;
        let read = DatabaseConfig::parse(content, &folder.path().join("database.json")).unwrap();
        assert_eq!(read, DatabaseConfig::Postgres(account(5432)));
    }

    #[test]
    fn tls_is_asked_for_in_the_words_of_postgresql() {
        let tls = |keys: &str| {
            let parsed = parse(&format!(
                r#"{{"engine":"postgres","database":"lab","user":"server","password":"secret"{keys}}}"#
            ));
            match parsed.unwrap() {
                DatabaseConfig::Postgres(account) => account.tls,
                other => panic!("{other:?}"),
            }
        };
        let verify = Tls::VerifyFull { ca: "/lab/ca.pem".into() };
        for (keys, expected) in [
            ("", Tls::Disable),
            (r#","tls":false"#, Tls::Disable),
            (r#","tls":"disable""#, Tls::Disable),
            (r#","tls":"Require""#, Tls::Require),
            (r#","tls":"verify-full","tls-ca":"ca.pem""#, verify.clone()),
            (r#","tls":true,"tls-ca":"/lab/ca.pem""#, verify),
        ] {
            assert_eq!(tls(keys), expected, "{keys}");
        }
    }

    #[test]
    fn a_password_may_stand_in_the_environment() {
        // Whatever is set here: the tests must not change their own environment.
        let (name, value) = env::vars().find(|(_, value)| !value.is_empty()).unwrap();
        let content = format!(r#"{{"engine":"postgres","database":"lab","user":"server","password-env":{name:?}}}"#);
        let expected = Account { password: Password::new(value), ..account(5432) };
        assert_eq!(parse(&content).unwrap(), DatabaseConfig::Postgres(expected));
    }

    #[test]
    fn errors_say_which_key_of_an_account_is_wrong() {
        let rest = r#""engine":"postgres","database":"lab","user":"server","#;
        for (content, expected) in [
            (r#"{"engine":"postgres"}"#.to_owned(), "lacks the key \"database\""),
            (r#"{"engine":"mysql","database":"lab"}"#.to_owned(), "lacks the key \"user\""),
            (r#"{"database":"lab","user":"server"}"#.to_owned(), "lacks the key \"password\""),
            (format!("{{{rest}\"password\":7}}"), "the key \"password\" is a number where a text belongs"),
            (format!("{{{rest}\"password\":\"\"}}"), "the key \"password\" is empty"),
            (format!("{{{rest}\"password\":\"x\",\"port\":70000}}"), "\"port\" is not a number from 1 to 65535"),
            (format!("{{{rest}\"password\":\"x\",\"host\":\"\"}}"), "the key \"host\" is empty"),
            (format!("{{{rest}\"password\":\"x\",\"tls\":1}}"), "the key \"tls\" is a number where \"disable\""),
            (
                format!("{{{rest}\"password\":\"x\",\"tls\":\"maybe\"}}"),
                "the key \"tls\" is \"maybe\" where \"disable\"",
            ),
            (format!("{{{rest}\"password\":\"x\",\"tls\":\"prefer\"}}"), "the key \"tls\" would go on in clear"),
            (format!("{{{rest}\"password\":\"x\",\"tls\":true}}"), "which needs the key \"tls-ca\""),
            (format!("{{{rest}\"password\":\"x\",\"tls-ca\":\"ca.pem\"}}"), "the key \"tls-ca\" names an authority"),
            (format!("{{{rest}\"password\":\"x\",\"tls\":true,\"tls-ca\":\" \"}}"), "the key \"tls-ca\" is empty"),
            (format!("{{{rest}\"password\":\"x\",\"password-env\":\"Y\"}}"), "the key \"password\" is given twice"),
            (format!("{{{rest}\"password-env\":\"LAB_IS_NOT_SET\"}}"), "LAB_IS_NOT_SET, which is not set"),
            (format!("{{{rest}\"password-file\":\"nowhere\"}}"), "names nowhere, which cannot be read"),
        ] {
            let error = parse(&content).unwrap_err();
            assert!(error.contains(expected), "{content}: {error}");
        }
    }
}
