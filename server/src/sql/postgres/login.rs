//! Logging in to PostgreSQL: TLS if it is asked for; then SCRAM-SHA-256, MD5, or nothing where the server trusts.
//!
//! A server that asks for the password in clear is refused: whoever listens on the way would have it.

use super::{refusal::Refused, session::Session};
use crate::sql::{
    SqlError, Watch,
    remote::{Line, Trouble},
};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{
        backend::{AuthenticationSaslBody, Message},
        frontend,
    },
};
use protocol::database::{Account, Tls};
use std::io;

/// How values are written, and what ends a session: the same in every database, whatever it is set to.
const SETTINGS: [(&str, &str); 7] = [
    // A wish to cancel that comes before its statement has begun is lost, and a server that was killed sends none: PostgreSQL itself looks,
    // so often in milliseconds, whether its client is still there. Since version 14.
    ("client_connection_check_interval", "500"),
    // A server that is stopped, or cut off, between its claim and its COMMIT must not hold what it has locked for longer, in milliseconds.
    // Kept connections are in no transaction.
    ("idle_in_transaction_session_timeout", "60000"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, YMD"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "1"),
    ("application_name", "lab server"),
];

/// Agrees on TLS, if it is asked for: a question in clear, answered with one letter. Who has none is not spoken to in clear instead.
pub(super) fn secure(line: &mut Line, tls: &Tls, host: &str, watch: &dyn Watch) -> Result<(), Trouble> {
    if *tls == Tls::Disable {
        return Ok(());
    }
    let mut question = BytesMut::new();
    frontend::ssl_request(&mut question);
    line.send(&question, watch)?;
    if line.inbox.is_empty() {
        line.fill(watch)?;
    }
    match line.inbox.split_to(1)[0] {
        b'S' => line.secure(tls, host, watch),
        b'N' => Err(SqlError::Unavailable(
            "it speaks no TLS, which database.json asks for; set ssl = on in its postgresql.conf".into(),
        )
        .into()),
        // It has no place for one more connection, or is being started.
        b'E' => Err(Trouble::Lost("the database cannot take a connection now".into())),
        _ => Err(refused("it answers the question for TLS with something strange")),
    }
}

/// Logs in, and returns what a wish to cancel must show.
pub(super) fn log_in(session: &mut Session, account: &Account, watch: &dyn Watch) -> Result<(i32, i32), Trouble> {
    let names = [("user", account.user.as_str()), ("database", account.database.as_str())];
    session.add(|buf| frontend::startup_message(names.into_iter().chain(SETTINGS), buf))?;
    session.send(watch)?;
    authenticate(session, account, watch)?;
    let mut key = (0, 0);
    loop {
        match session.next(watch)? {
            Message::BackendKeyData(body) => key = (body.process_id(), body.secret_key()),
            Message::ReadyForQuery(_) => return Ok(key),
            other => unexpected(other)?,
        }
    }
}

fn authenticate(session: &mut Session, account: &Account, watch: &dyn Watch) -> Result<(), Trouble> {
    let password = account.password.reveal();
    loop {
        match session.next(watch)? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(account.user.as_bytes(), password.as_bytes(), body.salt());
                session.add(|buf| frontend::password_message(hash.as_bytes(), buf))?;
                session.send(watch)?;
            }
            Message::AuthenticationSasl(body) => scram(session, &body, password, watch)?,
            Message::AuthenticationCleartextPassword => {
                return Err(refused("it asks for the password in clear; set scram-sha-256 in its pg_hba.conf"));
            }
            other => unexpected(other)?,
        }
    }
}

fn scram(
    session: &mut Session,
    offer: &AuthenticationSaslBody,
    password: &str,
    watch: &dyn Watch,
) -> Result<(), Trouble> {
    let known = offer.mechanisms().any(|name| Ok(name == SCRAM_SHA_256)).map_err(strange)?;
    if !known {
        return Err(refused("it offers no SCRAM-SHA-256"));
    }
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    session.add(|buf| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), buf))?;
    session.send(watch)?;
    loop {
        match session.next(watch)? {
            Message::AuthenticationSaslContinue(body) => {
                scram.update(body.data()).map_err(strange)?;
                let answer = BytesMut::from(scram.message());
                session.add(|buf| frontend::sasl_response(&answer, buf))?;
                session.send(watch)?;
            }
            // The server, too, has proved that it knows the password.
            Message::AuthenticationSaslFinal(body) => return scram.finish(body.data()).map_err(strange),
            other => unexpected(other)?,
        }
    }
}

fn unexpected(message: Message) -> Result<(), Trouble> {
    match message {
        Message::ErrorResponse(body) => {
            let refused = Refused::read(&body);
            Err(if refused.is_the_end() { Trouble::Lost(refused.words) } else { self::refused(&refused.words) })
        }
        _ => Err(refused("it asks for a kind of login that this server does not know")),
    }
}

fn refused(why: &str) -> Trouble {
    SqlError::Unavailable(format!("the database refused the login: {}", why.trim_end_matches('.'))).into()
}

fn strange(error: io::Error) -> Trouble {
    refused(&error.to_string())
}
