//! PostgreSQL.
//!
//! **Reading is decided by PostgreSQL**: every statement is first run in a transaction that may only read. Error 25006 says that
//! it would write; then it is run again in a transaction that may. What only reads streams: PostgreSQL fills the socket
//! and waits, so that an answer of any length needs the memory of one row on both sides.
//!
//! **Exactly once.** The writing transaction begins by *claiming* the id: an INSERT into the table of records, whose
//! primary key lets one attempt through and holds the others until it has ended. Then it carries the statement out, notes the
//! outcome beside the id, and commits all of it.
//!
//! **Strangers' SQL** runs as a role that owns nothing of ours ([`setup`]). It has one statement (the extended protocol takes no
//! more); COMMIT and ROLLBACK are found out in the reading transaction, where they do no harm; SET, LISTEN and what
//! else is for a session is refused by the name under which PostgreSQL reports it done, and PREPARE before it is sent ([`two_phase`]).
//! After each request the session is put back: rolled back, unlocked, rid of prepared statements, and after a write `DISCARD ALL`.
//! What stays is one statement, parsed, where no SQL reaches it ([`held`]).
//!
//! **What is different from SQLite** is listed in `docs/reference/database.md`.

mod login;
mod refusal;
mod records;
mod own;
mod held;
mod session;
pub(super) mod setup;
mod two_phase;
mod values;

pub(crate) use own::Own;

use self::{
    refusal::Refused,
    session::{COMMIT_TIME, Ended, LOGIN_TIME, Session, Status},
    setup::Place,
};
use super::{
    Outcome, RowSink, SqlError, Watch,
    once::{Asked, Facts, Verdict, Written, judge},
    remote::{ByTime, InTime, Kept, Link, Read, Remote, Trouble, Work, Write},
    titles::fitting,
};
use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    Oid,
    message::backend::{DataRowBody, Message, RowDescriptionBody},
};
use protocol::value::Value;

/// A database of a PostgreSQL server.
pub(super) type Postgres = Remote<Connection>;

/// Begins a transaction that may only read.
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";
/// Begins one that may write. Each statement sees what was committed before it, so a claim that waited sees the record.
const BEGIN_WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// What may be done in a reading transaction and returns no rows.
const WITHOUT_ROWS: [&str; 2] = ["DO", "CALL"];

/// A kept connection.
pub(super) struct Connection {
    session: Session,
    /// With which the functions of the schema let this server in.
    key: String,
}

impl Link for Connection {
    type Place = Place;

    fn open(place: &Place, watch: &dyn Watch) -> Result<Self, Trouble> {
        let mut session = Session::open(&place.account, watch)?;
        let in_time = InTime::after(LOGIN_TIME, watch);
        if setup::identity(&mut session, &in_time).map_err(session::unanswered)? != place.identity {
            return Err(SqlError::Unavailable(
                "it is another database than when this server was started, and the server must be started again".into(),
            )
            .into());
        }
        setup::may_unlock(&mut session, &in_time).map_err(session::unanswered)?;
        Ok(Self { session, key: place.key.clone() })
    }

    fn read(&mut self, sql: &str, watch: &dyn Watch, sink: &mut dyn RowSink) -> Result<Read, Trouble> {
        two_phase::check(sql)?;
        let mut held = self.session.holds(sql);
        let (mut answer, mut refused) = self.try_to_read(sql, watch, sink)?;
        if held && refused.is_some() && answer.rows == 0 {
            // What was worked out when it was parsed may not hold any more, which shows as late as when it is carried out: the types of what a
            // function returns. Nothing was handed on yet, and now it is parsed anew.
            held = false;
            (answer, refused) = self.try_to_read(sql, watch, sink)?;
        }
        if let Some(refused) = refused {
            let would_write = refused.would_write();
            return match refused.trouble() {
                // Parsed anew it might have succeeded: that is nothing to be remembered as the outcome of an id.
                Trouble::Failed(error) if held && answer.rows > 0 && error.is_final() => {
                    Err(SqlError::Unavailable(error.to_string().trim_end_matches('.').to_owned()).into())
                }
                _ if would_write => Ok(Read::ItWrites),
                trouble => Err(trouble),
            };
        }
        answer.only_reads()?;
        // What has no columns goes the way of those that write, as with SQLite: a DO may have caught the refusal of its write.
        if answer.kinds.is_none() {
            return Ok(Read::ItWrites);
        }
        Ok(Read::Done(Outcome::Rows { rows: answer.rows }))
    }

    fn look(&mut self, asked: &Asked, watch: &dyn Watch) -> Result<Facts, Trouble> {
        records::look(self, asked, watch)
    }

    fn write(&mut self, write: &Write<'_>, work: Work<'_>, watch: &dyn Watch) -> Result<Written, Trouble> {
        let done = self.transaction(write, work, watch);
        match &done {
            // The session is closed, and the database asked to end what it may still be doing there.
            Err(Trouble::Failed(SqlError::Interrupted(_))) => self.session.cancel(),
            Err(Trouble::Lost(_) | Trouble::Unsure(_)) => {}
            // The outcome is settled; a session that cannot be tidied is not kept.
            Ok(_) if self.session.is_committed() => drop(self.session.tidy(Status::Idle, true)),
            _ if self.session.is_answered() => drop(self.session.tidy(Status::Open, true)),
            _ => {}
        }
        done
    }

    fn is_fit(&self) -> bool {
        self.session.is_fit()
    }
}

impl Connection {
    /// Runs a client's statement in a transaction that may only read, and puts the session back. With the answer comes why it was refused.
    fn try_to_read(
        &mut self,
        sql: &str,
        watch: &dyn Watch,
        sink: &mut dyn RowSink,
    ) -> Result<(Answer, Option<Refused>), Trouble> {
        // What takes it all back is under way at once: one way there and back for a read that succeeds. Whoever fails has it skipped.
        self.session.add_read(BEGIN_READING, sql)?;
        let mut answer = Answer::behind_a_begin();
        let ended = self.clients(watch, &mut answer, sink)?;
        let plain = ended.refused.is_none() && answer.tag.starts_with("SELECT");
        if !self.session.is_answered() && ended.status == Status::Idle {
            // It was given up. What the client asked for was done before.
        } else if !plain || ended.status != Status::Idle {
            self.session.tidy(ended.status, !plain)?;
        } else {
            self.session.tidy_nothing();
        }
        // Behind the client's statement only ours can have failed, and what they were for has been done just now.
        let refused = ended.refused.filter(|_| answer.turn != Turn::End);
        Ok((answer, refused))
    }

    fn transaction(&mut self, write: &Write<'_>, work: Work<'_>, watch: &dyn Watch) -> Result<Written, Trouble> {
        let now = (write.clock)();
        self.session.add_statement(BEGIN_WRITING, &[])?;
        let begun = records::begin(self, write.asked, watch)?;
        if let (Some(asked), Some(facts)) = (write.asked, begun.facts.clone()) {
            match judge(asked, facts, now) {
                Verdict::Replay(outcome) => return Ok(Written::decode(&outcome)?),
                Verdict::Refuse(refusal) => return Err(SqlError::Refused(refusal).into()),
                Verdict::Execute => {}
            }
        }
        let written = match work {
            Work::CarryOut => self.carry_out(write.sql, watch)?,
            Work::Note(failure) => Written::Failed(failure.failure()),
        };
        records::finish(self, write.asked, &begun, &written, now, watch)?;
        self.commit().map(|()| written)
    }

    /// Runs a writing statement to its end and keeps the rows it returns.
    fn carry_out(&mut self, sql: &str, watch: &dyn Watch) -> Result<Written, Trouble> {
        self.session.add_clients(sql)?;
        let (mut answer, mut kept) = (Answer::default(), Kept::default());
        let ended = self.clients(watch, &mut answer, &mut kept)?;
        if let Some(refused) = ended.refused {
            return Err(refused.trouble());
        }
        if ended.status != Status::Open {
            return Err(SqlError::Unsure("the statement has ended the transaction".into()).into());
        }
        if answer.kinds.is_none() {
            return Ok(Written::Changed { rows: answer.changed() });
        }
        Ok(Written::Returned(kept.returned(answer.rows)?))
    }

    /// Sends a client's statement and takes its answer; when that is broken off, so is the statement.
    fn clients(&mut self, watch: &dyn Watch, answer: &mut Answer, sink: &mut dyn RowSink) -> Result<Ended, Trouble> {
        let sent = self.session.flush(watch);
        let ended = sent.and_then(|()| self.session.answer(watch, |message| answer.take(&message, sink)));
        if matches!(ended, Err(Trouble::Failed(_))) {
            self.session.cancel();
        }
        let ended = ended?;
        if answer.empty {
            self.session.tidy(ended.status, true)?;
            return Err(SqlError::BadRequest("The request holds no statement.").into());
        }
        Ok(ended)
    }

    /// Commits. Nobody may end it half-way; what is not answered in time is in doubt.
    fn commit(&mut self) -> Result<(), Trouble> {
        let in_time = ByTime::after(COMMIT_TIME);
        let mut tag = String::new();
        self.session.add_statement("COMMIT", &[])?;
        let sent = self.session.flush(&in_time);
        let ended = sent.and_then(|()| {
            self.session.answer(&in_time, |message| {
                if let Message::CommandComplete(body) = message {
                    tag = body.tag().unwrap_or_default().to_owned();
                }
                Ok(())
            })
        });
        match ended {
            Ok(Ended { refused: Some(refused), .. }) => Err(refused.trouble()),
            Ok(_) if tag == "COMMIT" => Ok(()),
            Ok(_) => Err(SqlError::Unavailable("the transaction was rolled back".into()).into()),
            Err(Trouble::Lost(why)) => Err(Trouble::Unsure(why)),
            Err(_) => Err(Trouble::Unsure("the database did not answer a COMMIT".into())),
        }
    }
}

/// Of a batch, whose answer comes: the client's statement may stand between others of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    Begin,
    #[default]
    Clients,
    End,
}

/// What has come of a client's statement so far.
#[derive(Default)]
struct Answer {
    /// Whose answer comes now.
    turn: Turn,
    /// The types of the columns, once they are known; `None` if there are none.
    kinds: Option<Vec<Oid>>,
    rows: u64,
    /// The name under which PostgreSQL reports the statement done, such as `INSERT 0 1`.
    tag: String,
    empty: bool,
    row: Vec<Value>,
}

impl Answer {
    fn behind_a_begin() -> Self {
        Self { turn: Turn::Begin, ..Self::default() }
    }

    fn take(&mut self, message: &Message, sink: &mut dyn RowSink) -> Result<(), Trouble> {
        match (self.turn, message) {
            (Turn::Begin, Message::CommandComplete(_)) => self.turn = Turn::Clients,
            (Turn::Clients, Message::RowDescription(body)) => {
                let (titles, kinds) = columns(body)?;
                self.kinds = Some(kinds);
                sink.columns(&fitting(titles)?)?;
            }
            (Turn::Clients, Message::DataRow(body)) => {
                self.read_row(body)?;
                self.rows += 1;
                sink.row(&self.row)?;
            }
            (Turn::Clients, Message::CommandComplete(body)) => {
                self.tag = body.tag().unwrap_or_default().to_owned();
                self.turn = Turn::End;
            }
            (Turn::Clients, Message::EmptyQueryResponse) => (self.empty, self.turn) = (true, Turn::End),
            _ => {}
        }
        Ok(())
    }

    fn read_row(&mut self, body: &DataRowBody) -> Result<(), Trouble> {
        self.row.clear();
        let kinds = self.kinds.as_deref().unwrap_or_default();
        let mut ranges = body.ranges();
        for kind in kinds {
            let range = ranges.next().map_err(strange)?.ok_or_else(|| strange("a row is too short"))?;
            let bytes = range.map(|range| &body.buffer()[range]);
            self.row.push(bytes.map_or(Value::Null, |bytes| values::value(*kind, bytes)));
        }
        Ok(())
    }

    /// Refuses what was done in a reading transaction and is for sessions, which there are none of.
    fn only_reads(&self) -> Result<(), SqlError> {
        if ["BEGIN", "START TRANSACTION", "ROLLBACK", "COMMIT"].contains(&self.tag.as_str()) {
            return Err(SqlError::Forbidden(
                "BEGIN, COMMIT, ROLLBACK and SAVEPOINT are not allowed here: each request is a transaction by itself."
                    .into(),
            ));
        }
        if self.kinds.is_none() && !WITHOUT_ROWS.contains(&self.tag.as_str()) {
            return Err(SqlError::Forbidden(format!(
                "{} is not allowed here: it is for a session, and each request is by itself; the next may go to another server.",
                self.tag
            )));
        }
        Ok(())
    }

    /// How many rows a statement has changed that returned none.
    fn changed(&self) -> u64 {
        let mut words = self.tag.split(' ');
        let counts = matches!(words.next(), Some("INSERT" | "UPDATE" | "DELETE" | "MERGE" | "SELECT"));
        words.next_back().filter(|_| counts).and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

fn columns(body: &RowDescriptionBody) -> Result<(Vec<String>, Vec<Oid>), Trouble> {
    body.fields()
        .map(|field| Ok((field.name().to_owned(), field.type_oid())))
        .collect::<Vec<_>>()
        .map_err(strange)
        .map(|fields| fields.into_iter().unzip())
}

fn strange(what: impl std::fmt::Display) -> Trouble {
    Trouble::Lost(format!("the database sent something strange ({what})"))
}

#[cfg(test)]
mod tests;
