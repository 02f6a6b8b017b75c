//! MySQL and MariaDB.
//!
//! **Reading is decided by the engine**: every statement is first run in a transaction that may only read. Error 1792 says that it would
//! write; then it is run again in a transaction that may. What only reads streams: the engine fills the socket and
//! waits, so that an answer of any length needs the memory of one row on both sides.
//!
//! **What commits by itself.** CREATE, ALTER, SET PASSWORD and many more end an open transaction without a word, and what they did
//! could not be taken back or recorded. But there is a kind of transaction in which the engine refuses all of them (error 1399): one that
//! might be spread over several databases (XA). So every transaction here is one of these, begun with `XA START` under a
//! name that nobody can foresee, and committed in one phase. A connection that waits in the pool has one open already, in
//! which one may only read.
//!
//! **Strangers' SQL** begins with one of the words that are for data ([`admission`]); for the rest see there. It runs as an account that
//! has rights to nothing but the data of one database ([`setup`]). There is one statement in a text: several would have to be asked for
//! at the login. After each request the session is put back (`COM_RESET_CONNECTION`).
//!
//! **Exactly once.** As with PostgreSQL: the writing transaction begins by *claiming* the id, an INSERT whose primary key lets one
//! attempt through and holds the others until it has ended; then it carries the statement out, notes the outcome beside the id, and commits
//! all of it. The records are in a database of their own, behind procedures that ask for a token.
//!
//! **What cannot be rolled back.** Tables of other engines than InnoDB (MyISAM, Aria, MEMORY) keep what a transaction did that was
//! rolled back. While the database has such a table, nothing is written.
//!
//! **What is different from the other engines** is listed in `docs/reference/database.md`.
//!
//! Sources: <https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/>, <https://mariadb.com/kb/en/xa-transactions/>,
//! <https://dev.mysql.com/doc/refman/8.4/en/xa-states.html>.

mod admission;
mod login;
mod packet;
mod refusal;
mod records;
mod session;
pub(super) mod setup;
mod values;

use self::{
    records::Key,
    session::{COMMIT_TIME, Ended, LOGIN_TIME, Piece, Session},
    setup::Place,
    values::Kind,
};
use super::{
    Outcome, RowSink, SqlError, Watch,
    once::{Asked, Facts, Verdict, Written, judge},
    remote::{ByTime, InTime, Kept, Link, Read, Remote, Trouble, Work, Write},
    titles::fitting,
};
use protocol::value::Value;

/// A database of a MySQL or MariaDB server.
pub(super) type MySql = Remote<Connection>;

/// A kept connection.
pub(super) struct Connection {
    session: Session,
    /// With which the procedures of the schema let this server in.
    key: Key,
}

impl Link for Connection {
    type Place = Place;

    fn open(place: &Place, watch: &dyn Watch) -> Result<Self, Trouble> {
        let mut session = Session::open(&place.account, Some(&place.account.database), watch)?;
        let in_time = InTime::after(LOGIN_TIME, watch);
        let identity = setup::identity(&mut session, &place.account, &in_time).map_err(session::unanswered)?;
        if identity != place.identity {
            return Err(SqlError::Unavailable(
                "it is another database than when this server was started, and the server must be started again".into(),
            )
            .into());
        }
        session.tidy()?;
        let key = Key::new(place, session.number);
        Ok(Self { session, key })
    }

    fn read(&mut self, sql: &str, watch: &dyn Watch, sink: &mut dyn RowSink) -> Result<Read, Trouble> {
        admission::check(sql)?;
        let mut answer = Answer::default();
        let ended = self.clients(sql, watch, &mut answer, sink)?;
        self.session.tidy()?;
        match ended.refused {
            Some(refused) if refused.would_write() => Ok(Read::ItWrites),
            Some(refused) => Err(refused.trouble(sql)),
            None if answer.results > 1 => Err(several_results().into()),
            None if answer.results == 0 && !admission::is_call(sql) => Err(SqlError::Forbidden(
                "SELECT … INTO a variable is not allowed here: nothing of a session is left for the next request."
                    .into(),
            )
            .into()),
            // A procedure may have caught the refusal of its write.
            None if answer.results == 0 => Ok(Read::ItWrites),
            None => Ok(Read::Done(Outcome::Rows { rows: answer.rows })),
        }
    }

    fn look(&mut self, asked: &Asked, watch: &dyn Watch) -> Result<Facts, Trouble> {
        let facts = records::look(self, asked, watch);
        self.tidy_after(&facts)?;
        facts
    }

    fn write(&mut self, write: &Write<'_>, work: Work<'_>, watch: &dyn Watch) -> Result<Written, Trouble> {
        let done = self.transaction(write, work, watch);
        // The outcome is settled; a session that cannot be tidied is not kept.
        let _fit = self.tidy_after(&done);
        done
    }

    fn is_fit(&self) -> bool {
        self.session.is_fit()
    }
}

impl Connection {
    /// Makes the session good for the next request, or has it ended.
    fn tidy_after<T>(&mut self, done: &Result<T, Trouble>) -> Result<(), Trouble> {
        match done {
            // The session is closed, and the database asked to end what it may still be doing there.
            Err(Trouble::Failed(SqlError::Interrupted(_))) => self.session.cancel(),
            Err(Trouble::Lost(_) | Trouble::Unsure(_)) => {}
            _ if self.session.is_answered() => return self.session.tidy(),
            _ => {}
        }
        Ok(())
    }

    fn transaction(&mut self, write: &Write<'_>, work: Work<'_>, watch: &dyn Watch) -> Result<Written, Trouble> {
        let now = (write.clock)();
        let facts = records::begin(self, write.asked, watch)?;
        if let (Some(asked), Some(facts)) = (write.asked, facts.clone()) {
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
        records::finish(self, write.asked, facts.as_ref(), &written, now, watch)?;
        self.commit().map(|()| written)
    }

    /// Runs a writing statement to its end and keeps the rows it returns.
    fn carry_out(&mut self, sql: &str, watch: &dyn Watch) -> Result<Written, Trouble> {
        let (mut answer, mut kept) = (Answer::default(), Kept::default());
        let ended = self.clients(sql, watch, &mut answer, &mut kept)?;
        match ended.refused {
            Some(refused) => Err(refused.trouble(sql)),
            None if answer.results > 1 => Err(several_results().into()),
            None if answer.results == 0 => Ok(Written::Changed { rows: ended.changed }),
            None => Ok(Written::Returned(kept.returned(answer.rows)?)),
        }
    }

    /// Sends a client's statement and takes its answer; when that is broken off, so is the statement.
    fn clients(
        &mut self,
        sql: &str,
        watch: &dyn Watch,
        answer: &mut Answer,
        sink: &mut dyn RowSink,
    ) -> Result<Ended, Trouble> {
        self.session.add(sql)?;
        let sent = self.session.flush(watch);
        let ended = sent.and_then(|()| self.session.answer(watch, |piece| answer.take(piece, sink)));
        if matches!(ended, Err(Trouble::Failed(_))) {
            self.session.cancel();
        }
        ended
    }

    /// Commits. Nobody may end it half-way; what is not answered in time is in doubt.
    fn commit(&mut self) -> Result<(), Trouble> {
        match self.session.commit(&ByTime::after(COMMIT_TIME)) {
            Ok(None) => Ok(()),
            Ok(Some(refused)) if refused.is_rolled_back() => Err(Trouble::Again(refused.words)),
            Ok(Some(refused)) => Err(Trouble::Unsure(refused.words)),
            Err(Trouble::Lost(why)) => Err(Trouble::Unsure(why)),
            Err(_) => Err(Trouble::Unsure("the database did not answer a COMMIT".into())),
        }
    }
}

/// What has come of a client's statement so far.
#[derive(Default)]
struct Answer {
    /// How many results have begun.
    results: u32,
    kinds: Vec<Kind>,
    rows: u64,
    row: Vec<Value>,
}

impl Answer {
    fn take(&mut self, piece: Piece<'_>, sink: &mut dyn RowSink) -> Result<(), Trouble> {
        match piece {
            Piece::Columns(columns) => {
                self.results += 1;
                if self.results == 1 {
                    self.kinds = columns.iter().map(Kind::of).collect();
                    sink.columns(&fitting(columns.iter().map(|column| column.name_str().into_owned()).collect())?)?;
                }
            }
            Piece::Row(body) if self.results == 1 => {
                self.read_row(body)?;
                self.rows += 1;
                sink.row(&self.row)?;
            }
            Piece::Row(_) => {}
        }
        Ok(())
    }

    fn read_row(&mut self, mut body: &[u8]) -> Result<(), Trouble> {
        self.row.clear();
        for kind in &self.kinds {
            let (field, rest) = packet::field(body).ok_or_else(|| strange("a row that is too short"))?;
            self.row.push(field.map_or(Value::Null, |bytes| kind.value(bytes)));
            body = rest;
        }
        Ok(())
    }
}

fn several_results() -> SqlError {
    SqlError::Forbidden("The procedure returns several results, and an answer is one.".into())
}

fn strange(what: impl std::fmt::Display) -> Trouble {
    Trouble::Lost(format!("the database sent something strange ({what})"))
}

#[cfg(test)]
mod tests;
