//! The first look at a database, and who it is: what is the same for all engines.
//!
//! **The problem.** A database says who it is by a UUID that is kept in a table of ours. A server that is told none cannot be
//! used yet; an administrator who is told none has to give it one. But a question that fails, or is not answered in time, tells
//! nothing: who takes that for "none" gives a database that has an identity a second one, and its servers and its records are
//! those of a stranger.
//!
//! **The idea.** Servers ask through a function of ours, and whatever keeps that from answering is mended by making the
//! database ready once more ([`ready`]). Administrators look into the table itself, and it has no identity only if there is no
//! table, or no row in it; all else is an error, and nothing was changed yet.

use super::{RemoteError, Trouble};
use crate::sql::{SqlError, identity::uuid_of};
use protocol::{database::Account, deadline::Deadline, output::say};
use std::{thread, time::Duration};

/// How long the first look at a database may take.
pub(in crate::sql) const OPEN_TIME: Duration = Duration::from_secs(10);

/// How long each statement that makes a database ready may take.
pub(in crate::sql) const SETUP_TIME: Duration = Duration::from_secs(60);

/// How long a server waits at its start for a database that cannot be reached: one that is being restarted is there again by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits before it tries again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Looks at a database, again and again while it cannot be reached, and says once that it waits.
pub(in crate::sql) fn patiently<T>(look: impl Fn() -> Result<T, Trouble>) -> Result<T, Trouble> {
    let until = Deadline::after(PATIENCE);
    let mut told = false;
    loop {
        match look() {
            Err(Trouble::Lost(why)) if !until.has_passed() => {
                if !std::mem::replace(&mut told, true) {
                    say!("Waiting for the database: {why}.");
                }
                thread::sleep(TRY_AGAIN_AFTER);
            }
            looked => return looked,
        }
    }
}

/// The identity that a server was told, if it was told one. That the question is not understood, or not allowed, means that the
/// database was made ready for nobody, for somebody else, or for another version.
pub(in crate::sql) fn ready(told: Result<Option<String>, Trouble>) -> Result<String, Trouble> {
    match told {
        Ok(told) => told.ok_or_else(not_ready),
        Err(Trouble::Failed(SqlError::Sql(_) | SqlError::Forbidden(_))) => Err(not_ready()),
        Err(other) => Err(other),
    }
}

/// What is said of a database that an administrator has to make ready.
pub(in crate::sql) fn not_ready() -> Trouble {
    SqlError::Unavailable("it was not made ready for the laboratory; `server init-database` does that".into()).into()
}

/// An identity that no database has.
pub(in crate::sql) fn new_identity() -> Result<String, Trouble> {
    let mut bytes = [0; 16];
    let drawn = getrandom::fill(&mut bytes);
    drawn.map_err(|error| SqlError::Unavailable(format!("the system gives no random numbers ({error})")))?;
    Ok(uuid_of(bytes))
}

/// Why a database cannot be used, as a sentence that says which. `engine`: as a user calls it.
pub(in crate::sql) fn explain(engine: &str, account: &Account, trouble: Trouble) -> RemoteError {
    let why = match trouble {
        Trouble::Lost(why) | Trouble::Unsure(why) | Trouble::Again(why) => why,
        Trouble::Failed(SqlError::Unavailable(why)) => why,
        Trouble::Failed(SqlError::Interrupted(_)) => "it did not answer in time".into(),
        Trouble::Failed(error) => error.to_string(),
    };
    RemoteError(format!(
        "The {engine} database {} at {}:{} cannot be used: {}.",
        account.database,
        account.host,
        account.port,
        why.trim_end_matches('.')
    ))
}
