//! The records, through the procedures of the schema: no other SQL of ours touches them.

use super::{
    Connection, Trouble,
    session::Row,
    setup::{Place, literal},
    strange,
};
use crate::sql::{
    SqlError, Watch,
    once::{Asked, Facts, Record, Written, forgettable_below, mark_to_raise},
};
use protocol::value::{from_hex, to_hex};
use sha2::{Digest, Sha256};
use std::time::SystemTime;

/// Tables that cannot be rolled back. Not sequences: they never are, whatever their engine.
const OTHER_ENGINES: &str = "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
     AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW', 'SEQUENCE') AND (ENGINE IS NULL OR ENGINE <> 'InnoDB') LIMIT 1";

/// With which the procedures let this server in, in its session.
pub(super) struct Key {
    /// The name of the records' database, as it is written in SQL.
    records: String,
    /// Known to those who know the account's password.
    secret: String,
    /// The number of the session.
    connection: u32,
}

impl Key {
    /// For this session.
    pub(super) fn new(place: &Place, connection: u32) -> Self {
        Self { records: place.records(), secret: place.secret.clone(), connection }
    }

    /// A call of a procedure. `said`: its values as they enter the token; `values`: as they are written in SQL.
    pub(super) fn call(&self, procedure: &str, said: &[&str], values: &[String]) -> String {
        let said = [&[procedure], said].concat().join("|");
        let inner = digest(&format!("{}{}|{said}", self.secret, self.connection));
        let token = digest(&format!("{}{inner}", self.secret));
        format!("CALL {}.{procedure}('{token}', {})", self.records, values.join(", "))
    }
}

/// In which all of a text is said, whatever is in it.
pub(super) fn digest(text: &str) -> String {
    to_hex(&Sha256::digest(text.as_bytes()))
}

/// What is known about a request.
pub(super) fn look(connection: &mut Connection, asked: &Asked, watch: &dyn Watch) -> Result<Facts, Trouble> {
    let [client, sequence] = [asked.id.client, asked.id.sequence].map(|number| number.to_string());
    let call = connection.key.call("look", &[&client, &sequence], &[client.clone(), sequence.clone()]);
    let results = connection.session.run(&[&call], watch).map_err(not_the_clients)?;
    facts(&results)
}

/// Begins a writing transaction, with the claim if the request leaves a record.
pub(super) fn begin(
    connection: &mut Connection,
    asked: Option<&Asked>,
    watch: &dyn Watch,
) -> Result<Option<Facts>, Trouble> {
    let claim = asked.map(|asked| {
        let [client, sequence] = [asked.id.client, asked.id.sequence].map(|number| number.to_string());
        let fingerprint = to_hex(&asked.fingerprint);
        let values = [client.clone(), sequence.clone(), format!("'{fingerprint}'")];
        connection.key.call("claim", &[&client, &sequence, &fingerprint], &values)
    });
    let statements: Vec<&str> = std::iter::once(OTHER_ENGINES).chain(claim.as_deref()).collect();
    let mut results = connection.session.begin(&statements, watch).map_err(not_the_clients)?;
    let others = results.remove(0);
    if let Some([Some(table), engine]) = others.first().map(Vec::as_slice) {
        return Err(SqlError::Unavailable(format!(
            "its table {table} is of the engine {}, which cannot take back what it did. Nothing is written here until somebody says \
             ALTER TABLE `{table}` ENGINE=InnoDB",
            engine.as_deref().unwrap_or("?")
        ))
        .into());
    }
    asked.map(|_| facts(&results)).transpose()
}

/// Notes the outcome and ends the transaction; what is left is the COMMIT.
pub(super) fn finish(
    connection: &mut Connection,
    asked: Option<&Asked>,
    begun: Option<&Facts>,
    written: &Written,
    now: SystemTime,
    watch: &dyn Watch,
) -> Result<(), Trouble> {
    let Some(asked) = asked else { return connection.session.end(&[], watch) };
    let [client, sequence] = [asked.id.client, asked.id.sequence].map(|number| number.to_string());
    let mark = mark_to_raise(asked, begun.map_or(0, |facts| facts.low_water)).map(|mark| mark.to_string());
    let (outcome, too_old) = (written.encode()?, forgettable_below(now).to_string());
    let said = [client.as_str(), &sequence, &digest(&outcome), mark.as_deref().unwrap_or("-"), &too_old];
    let null = || "NULL".to_owned();
    let values =
        [client.clone(), sequence.clone(), literal(&outcome), mark.clone().unwrap_or_else(null), too_old.clone()];
    let note = connection.key.call("note", &said, &values);
    connection.session.end(&[&note], watch)
}

/// What refuses our own statements says nothing about the client's, and nothing about what became of it before.
fn not_the_clients(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failed(error) if error.is_final() => SqlError::Unavailable(format!(
            "its records refuse this server, which must be started again if `server init-database` was run with another password ({})",
            error.to_string().trim_end_matches('.')
        ))
        .into(),
        other => other,
    }
}

fn facts(results: &[Vec<Row>]) -> Result<Facts, Trouble> {
    let Some([forgotten, low_water, fingerprint, outcome]) =
        results.first().and_then(|rows| rows.first()).map(Vec::as_slice)
    else {
        return Err(SqlError::Unavailable("a table of the records is empty".into()).into());
    };
    let number = |text: &Option<String>| text.as_deref().and_then(|digits| digits.parse().ok());
    let fingerprint = fingerprint.as_deref().and_then(from_hex).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    Ok(Facts {
        forgotten: number(forgotten).ok_or_else(|| strange("other facts"))?,
        low_water: number(low_water).unwrap_or(0),
        record: fingerprint.zip(outcome.clone()).map(|(fingerprint, outcome)| Record { fingerprint, outcome }),
    })
}
