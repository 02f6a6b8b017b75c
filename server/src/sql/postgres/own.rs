//! Statements of the program's own, with values: for what keeps tables of its own in PostgreSQL, and is no stranger there.
//!
//! Statements are queued and sent together with the first one whose answer is wanted, so that a BEGIN, or a change of which nobody
//! asks how many rows it had, costs no trip of its own.

use super::{
    Answer,
    session::{LOGIN_TIME, Session},
};
use crate::sql::{
    Interrupt, RowSink, SqlError, Watch,
    remote::{ByTime, Trouble},
};
use parking_lot::Mutex;
use postgres_protocol::message::backend::Message;
use protocol::{
    database::Account,
    deadline::Deadline,
    value::{Value, to_hex},
};
use std::{ops::ControlFlow, time::Duration};

/// Bytes of queued statements that are enough to be sent: while they are, nobody reads what PostgreSQL says to them.
const ENOUGH: usize = 64 * 1024;

/// A session for the program's own statements.
pub(crate) struct Own {
    session: Session,
    /// How long PostgreSQL may say nothing.
    patience: Duration,
    /// Bytes that are queued, about.
    queued: usize,
}

impl Own {
    /// Connects and logs in.
    pub(crate) fn open(account: &Account, patience: Duration) -> Result<Self, SqlError> {
        let session = Session::open(account, &ByTime::after(patience.max(LOGIN_TIME))).map_err(plain)?;
        Ok(Self { session, patience, queued: 0 })
    }

    /// The same session, but PostgreSQL may say nothing for so long from now on.
    pub(crate) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Queues a statement with each of these rows of values.
    pub(crate) fn queue(&mut self, sql: &str, rows: &[&[Value]]) -> Result<(), SqlError> {
        for (at, row) in rows.iter().enumerate() {
            let values: Vec<Option<String>> = row.iter().map(text).collect();
            let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            // What was parsed stays until something else is.
            self.session.add_statement_again((at == 0).then_some(sql), &values).map_err(plain)?;
            self.queued += values.iter().flatten().map(|value| value.len()).sum::<usize>() + 32;
            if self.queued > ENOUGH {
                self.run()?;
            }
        }
        Ok(())
    }

    /// Sends what is queued, and returns the name under which PostgreSQL reports the last of it done, such as `UPDATE 1`.
    pub(crate) fn run(&mut self) -> Result<String, SqlError> {
        let mut tag = String::new();
        self.take(&ByTime::after(self.patience), |message| {
            if let Message::CommandComplete(body) = message {
                tag = body.tag().unwrap_or_default().to_owned();
            }
            Ok(())
        })?;
        Ok(tag)
    }

    /// Sends what is queued, and a question behind it: each row, until there are no more or nobody wants more. Then the session is
    /// of no use any more.
    pub(crate) fn query(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), SqlError> {
        let values: Vec<Option<String>> = values.iter().map(text).collect();
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        self.session.add_question(sql, &values).map_err(plain)?;
        let heard = Heard { patience: self.patience, until: Mutex::new(Deadline::after(self.patience)) };
        let mut each = Each { each, ended: false };
        let mut answer = Answer::default();
        let taken = self.take(&heard, |message| {
            // The ends are those of what was queued, too.
            let is_of_rows = matches!(message, Message::RowDescription(_) | Message::DataRow(_));
            let taken = if is_of_rows { answer.take(&message, &mut each) } else { Ok(()) };
            *heard.until.lock() = Deadline::after(heard.patience);
            taken
        });
        if each.ended {
            self.session.cancel();
            return Ok(());
        }
        taken
    }

    fn take(&mut self, watch: &dyn Watch, each: impl FnMut(Message) -> Result<(), Trouble>) -> Result<(), SqlError> {
        self.queued = 0;
        let sent = self.session.flush(watch);
        let ended = sent.and_then(|()| self.session.answer(watch, each)).map_err(plain)?;
        self.session.tidy_nothing();
        ended.refused.map_or(Ok(()), |refused| Err(plain(refused.trouble())))
    }

    /// Whether all that was sent is answered, and nobody has closed the connection.
    pub(crate) fn is_fit(&self) -> bool {
        self.session.is_fit()
    }
}

/// Hands rows on.
struct Each<'a> {
    each: &'a mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    /// Nobody wants more.
    ended: bool,
}

impl RowSink for Each<'_> {
    fn columns(&mut self, _: &[String]) -> Result<(), SqlError> {
        Ok(())
    }

    fn row(&mut self, row: &[Value]) -> Result<(), SqlError> {
        self.ended = (self.each)(row.to_vec()).is_break();
        if self.ended { Err(SqlError::Undeliverable) } else { Ok(()) }
    }
}

/// Ends things when nothing has been heard for so long.
struct Heard {
    patience: Duration,
    until: Mutex<Deadline>,
}

impl Watch for Heard {
    fn interrupted(&self) -> Option<Interrupt> {
        self.until.lock().has_passed().then_some(Interrupt::TimeLimit)
    }
}

/// A value as PostgreSQL reads it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(format!("{number:?}")),
        Value::Text(text) => Some(text.clone()),
        Value::Bytes(bytes) => Some(format!("\\x{}", to_hex(bytes))),
    }
}

/// Here nothing is tried again, so that a lost connection is an error like others.
fn plain(trouble: Trouble) -> SqlError {
    match trouble {
        Trouble::Lost(why) | Trouble::Unsure(why) | Trouble::Again(why) => SqlError::Unavailable(why),
        Trouble::Failed(SqlError::Interrupted(_)) => SqlError::Unavailable("it does not answer".into()),
        Trouble::Failed(error) => error,
    }
}
