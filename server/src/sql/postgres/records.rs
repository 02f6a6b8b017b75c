//! The records, through the functions of the schema: no other SQL of ours touches them.

use super::{Connection, Trouble, session::Ended, strange};
use crate::sql::{
    SqlError, Watch,
    once::{Asked, Facts, Record, Written, forgettable_below, mark_to_raise},
};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message};
use protocol::value::{from_hex, to_hex};
use std::time::SystemTime;

/// The columns of a row, as text.
pub(super) type Row = Vec<Option<String>>;

/// What is known when a writing transaction has begun.
pub(super) struct Begun {
    /// About the request; `None` if it leaves no record.
    pub(super) facts: Option<Facts>,
    /// What of the role must be the same before the commit.
    role: String,
}

/// What is known about a request.
pub(super) fn look(connection: &mut Connection, asked: &Asked, watch: &dyn Watch) -> Result<Facts, Trouble> {
    look_up(connection, asked, watch).map_err(of_the_moment)
}

fn look_up(connection: &mut Connection, asked: &Asked, watch: &dyn Watch) -> Result<Facts, Trouble> {
    let (client, sequence) = (bytea(asked.id.client), bytea(asked.id.sequence));
    let values = [Some(connection.key.as_str()), Some(&client), Some(&sequence)];
    connection.session.add_statement("SELECT * FROM lab.look($1, $2, $3)", &values)?;
    let rows = rows(connection, watch)?;
    connection.session.tidy_nothing();
    facts(rows.first().ok_or_else(|| strange("no facts"))?)
}

/// Sends the batch, which begins the transaction, with the claim.
pub(super) fn begin(connection: &mut Connection, asked: Option<&Asked>, watch: &dyn Watch) -> Result<Begun, Trouble> {
    connection.session.add_statement("SELECT lab.role_state()", &[])?;
    if let Some(asked) = asked {
        let (client, sequence) = (bytea(asked.id.client), bytea(asked.id.sequence));
        let fingerprint = format!("\\x{}", to_hex(&asked.fingerprint));
        let values = [Some(connection.key.as_str()), Some(&client), Some(&sequence), Some(&fingerprint)];
        connection.session.add_statement("SELECT * FROM lab.claim($1, $2, $3, $4)", &values)?;
    }
    let rows = rows(connection, watch).map_err(of_the_moment)?;
    let role = rows.first().and_then(|row| row.first()).cloned().flatten().ok_or_else(|| strange("no role"))?;
    Ok(Begun { facts: rows.get(1).map(facts).transpose()?, role })
}

/// What comes before the client's statement is ours, and that it is refused says nothing about the statement: neither that it
/// failed, nor what became of it when it was sent before. Somebody may have run `init-database` with another password.
fn of_the_moment(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failed(error) if error.is_final() => {
            let why = error.to_string();
            SqlError::Unavailable(format!("its records cannot be asked: {}", why.trim_end_matches('.'))).into()
        }
        other => other,
    }
}

/// Does what comes before the commit: deferred constraints, the check of the role, the record; and the commit is to last.
pub(super) fn finish(
    connection: &mut Connection,
    asked: Option<&Asked>,
    begun: &Begun,
    written: &Written,
    now: SystemTime,
    watch: &dyn Watch,
) -> Result<(), Trouble> {
    // Here and not in the COMMIT, because triggers may take long, and a COMMIT cannot be ended.
    connection.session.add_statement("SET CONSTRAINTS ALL IMMEDIATE", &[])?;
    // One that is held beyond the transaction runs its query inside the COMMIT, behind the checks that follow.
    connection.session.add_statement("CLOSE ALL", &[])?;
    // The client's statement, or a trigger just now, may have said otherwise, by `set_config`: what is acknowledged must outlive a
    // crash, and the outcome is written in UTF-8.
    connection.session.add_statement("SET LOCAL synchronous_commit = on", &[])?;
    connection.session.add_statement("SET LOCAL client_encoding = 'UTF8'", &[])?;
    connection.session.add_statement("SELECT lab.same_role($1)", &[Some(&begun.role)])?;
    if let Some(asked) = asked {
        let (client, sequence) = (bytea(asked.id.client), bytea(asked.id.sequence));
        let low_water = begun.facts.as_ref().map_or(0, |facts| facts.low_water);
        let mark = mark_to_raise(asked, low_water).map(bytea);
        let (outcome, too_old) = (written.encode()?, bytea(forgettable_below(now)));
        // A text of PostgreSQL has no NUL; in the JSON of a record it is written otherwise.
        let values = [
            Some(connection.key.as_str()),
            Some(&client),
            Some(&sequence),
            Some(&outcome),
            mark.as_deref(),
            Some(&too_old),
        ];
        connection.session.add_statement("SELECT lab.note($1, $2, $3, $4, $5, $6)", &values)?;
    }
    rows(connection, watch).map(|_| ())
}

/// Sends the batch and returns the rows of all its statements.
pub(super) fn rows(connection: &mut Connection, watch: &dyn Watch) -> Result<Vec<Row>, Trouble> {
    connection.session.flush(watch)?;
    let mut rows = Vec::new();
    let Ended { refused, .. } = connection.session.answer(watch, |message| {
        if let Message::DataRow(body) = message {
            rows.push(row(&body)?);
        }
        Ok(())
    })?;
    refused.map_or(Ok(rows), |refused| Err(refused.trouble()))
}

/// The columns of a row.
pub(super) fn row(body: &DataRowBody) -> Result<Row, Trouble> {
    let text = |range: Option<std::ops::Range<usize>>| {
        Ok(range.map(|range| String::from_utf8_lossy(&body.buffer()[range]).into_owned()))
    };
    body.ranges().map(text).collect().map_err(strange)
}

fn facts(row: &Row) -> Result<Facts, Trouble> {
    let [forgotten, low_water, fingerprint, outcome] = row.as_slice() else { return Err(strange("other facts")) };
    let fingerprint = fingerprint.as_deref().and_then(bytes).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let forgotten = forgotten.as_deref().and_then(number);
    Ok(Facts {
        forgotten: forgotten.ok_or_else(|| SqlError::Unavailable("a table of the records is empty".into()))?,
        low_water: low_water.as_deref().and_then(number).unwrap_or(0),
        record: fingerprint.zip(outcome.clone()).map(|(fingerprint, outcome)| Record { fingerprint, outcome }),
    })
}

fn bytea(number: u64) -> String {
    format!("\\x{number:016x}")
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    text.strip_prefix("\\x").and_then(from_hex)
}

fn number(text: &str) -> Option<u64> {
    text.strip_prefix("\\x").and_then(|digits| u64::from_str_radix(digits, 16).ok())
}
