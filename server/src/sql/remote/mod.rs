//! A database on a server of its own: what is the same for all of them.
//!
//! **The problem.** Between a statement and its outcome there is now a network, and another program that may be stopped,
//! restarted or upgraded while twenty clients write. A connection that breaks says nothing about the transaction that it
//! carried.
//!
//! **The idea.** A transaction whose COMMIT was not sent is rolled back for certain, so it is begun again on another
//! connection. One whose COMMIT was sent and not answered is in *doubt*, and the record settles it: the same request is carried
//! out again, like a repeat, and finds its record or does not. What the engine itself asks to be tried again (deadlock,
//! serialization) is tried again here, and no client hears of it. All of it within the time that the [`Watch`] grants.
//!
//! **A worked example.** Request 7-3 has sent its COMMIT when PostgreSQL is restarted. The server opens a new connection as
//! soon as somebody listens again, and claims 7-3 anew. If the COMMIT took place, the claim finds the record, and "1 row
//! changed" is answered; if not, the INSERT is carried out now. A request without an id has no record: it is told that its
//! outcome is not known. So is one whose record cannot be asked in time: that the next login is refused, or the disk is full,
//! says nothing about the COMMIT before.
//!
//! **When it is wrong.** A database that is put back to yesterday, or a standby that takes over without the last
//! transactions, has forgotten records with the rows. That is for the database's own replication to prevent.

mod kept;
mod line;
pub(super) mod opening;
mod pool;
mod tls;

pub(super) use kept::Kept;
pub(super) use line::{ByTime, InTime, Line, MAX_MESSAGE};

use self::pool::Pool;
use super::{
    Database, Interrupt, Outcome, RowSink, SqlError, Statement, Watch, check_text,
    once::{Asked, Facts, Verdict, Written, judge},
};
use protocol::value::Value;
use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

/// How long to wait before a statement is tried again that lost its connection, or met another in a deadlock: a random time up
/// to this, so that two that met do not meet again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What is said of a statement whose first rows only read, and that writes behind them.
const BEGAN_AS_A_READ: &str = "The statement has returned rows before it came to write, and is not carried out: what writes has to do so \
     from its first row on.";

/// Why a database on a server of its own cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RemoteError(pub(super) String);

/// What went wrong with a piece of work on a connection.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is gone, or cannot be had; the transaction is rolled back for certain.
    Lost(String),
    /// The connection is gone, and the COMMIT was under way.
    Unsure(String),
    /// The engine has rolled back and asks to try again.
    Again(String),
    /// Anything else; nothing was changed.
    Failed(SqlError),
}

impl From<SqlError> for Trouble {
    fn from(error: SqlError) -> Self {
        Self::Failed(error)
    }
}

impl From<Interrupt> for Trouble {
    fn from(interrupt: Interrupt) -> Self {
        Self::Failed(interrupt.into())
    }
}

/// What a reading transaction found out.
pub(super) enum Read {
    /// It only reads, and its rows have gone through the sink.
    Done(Outcome),
    /// The engine has refused it because it would write.
    ItWrites,
}

/// A write, and what it needs to know.
pub(super) struct Write<'a> {
    pub(super) sql: &'a str,
    /// `None` if it leaves no record.
    pub(super) asked: Option<&'a Asked>,
    /// Asked inside the transaction: waiting for a lock may take long.
    pub(super) clock: &'a (dyn Fn() -> SystemTime + Send + Sync),
}

/// One kept connection to a database, which knows its engine.
pub(super) trait Link: Send + Sized {
    /// Where connections come from.
    type Place: Send + Sync;

    /// Opens a connection, and checks that the database is still the one of this identity (none at the first time).
    fn open(place: &Self::Place, watch: &dyn Watch) -> Result<Self, Trouble>;

    /// Runs a statement that may only read. While it has handed on no row, it may begin again, with titles anew.
    fn read(&mut self, sql: &str, watch: &dyn Watch, sink: &mut dyn RowSink) -> Result<Read, Trouble>;

    /// The record of a request, without a lock.
    fn look(&mut self, asked: &Asked, watch: &dyn Watch) -> Result<Facts, Trouble>;

    /// Carries a write out, unless its record says that it was before. `work` is the statement, or a failure that is to be
    /// its outcome. `Ok` means that the outcome is stored.
    fn write(&mut self, write: &Write<'_>, work: Work<'_>, watch: &dyn Watch) -> Result<Written, Trouble>;

    /// Whether it may be kept: nothing is open on it, and nobody has closed it meanwhile.
    fn is_fit(&self) -> bool;
}

/// What is to be done in a writing transaction.
#[derive(Clone, Copy)]
pub(super) enum Work<'a> {
    /// The statement.
    CarryOut,
    /// Nothing: this failure is the outcome.
    Note(&'a SqlError),
}

/// A database on a server of its own.
pub(super) struct Remote<L: Link> {
    identity: String,
    pool: Pool<L>,
    /// What time it is: ids of requests have an age.
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

impl<L: Link> Remote<L> {
    pub(super) fn new(identity: String, place: L::Place) -> Self {
        Self { identity, pool: Pool::new(place), clock: Box::new(SystemTime::now) }
    }

    /// Does a piece of work on a connection, again and again while it is only the connection's fault, or the moment's.
    /// `repeatable`: whether the work finds out by itself if it was done before. `doubt`: why it may have been.
    fn persist<T>(
        &self,
        watch: &dyn Watch,
        repeatable: bool,
        doubt: &mut Option<String>,
        mut work: impl FnMut(&mut L) -> Result<T, Trouble>,
    ) -> Result<T, SqlError> {
        loop {
            let trouble = match self.pool.with(watch, &mut work) {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            let why = match trouble {
                Trouble::Failed(error) => match &*doubt {
                    // What says something about the moment only leaves the doubt as it was.
                    Some(why) if error.is_of_the_moment() => why.clone(),
                    _ => return Err(error),
                },
                Trouble::Unsure(why) if !repeatable => return Err(SqlError::Unsure(why)),
                Trouble::Unsure(why) => doubt.insert(why).clone(),
                Trouble::Lost(why) | Trouble::Again(why) => why,
            };
            if let Some(interrupt) = watch.interrupted() {
                return Err(match (doubt.take(), interrupt) {
                    (Some(why), _) => SqlError::Unsure(why),
                    (None, Interrupt::TimeLimit) => SqlError::Unavailable(why),
                    (None, other) => other.into(),
                });
            }
            // Nobody tells when a database that was stopped is there again.
            thread::sleep(TRY_AGAIN_AFTER.mul_f64(fastrand::f64()));
        }
    }

    fn read(&self, sql: &str, watch: &dyn Watch, sink: &mut dyn RowSink) -> Result<Read, SqlError> {
        let mut sink = Begun::with(sink);
        self.persist(watch, true, &mut None, |link| match link.read(sql, watch, &mut sink) {
            Ok(Read::Done(outcome)) => {
                sink.begin()?;
                Ok(Read::Done(outcome))
            }
            // Two results are never spliced together.
            Ok(Read::ItWrites) if sink.begun => Err(SqlError::Forbidden(BEGAN_AS_A_READ.into()).into()),
            Err(Trouble::Lost(why) | Trouble::Again(why)) if sink.begun => Err(SqlError::Unavailable(why).into()),
            other => other,
        })
    }

    fn write(
        &self,
        statement: &Statement<'_>,
        asked: Option<&Asked>,
        failure: Option<&SqlError>,
        watch: &dyn Watch,
    ) -> Result<Written, SqlError> {
        let write = Write { sql: statement.sql, asked, clock: &*self.clock };
        let mut doubt = None;
        let mut attempt =
            |work| self.persist(watch, asked.is_some(), &mut doubt, |link| link.write(&write, work, watch));
        let written = match attempt(failure.map_or(Work::CarryOut, Work::Note)) {
            // It was rolled back; that it failed is its outcome, unless another attempt came in between.
            Err(error) if error.is_final() && asked.is_some() && failure.is_none() => attempt(Work::Note(&error)),
            other => other,
        };
        match (written, doubt) {
            // Not even the claim may have gone through, and only that settles a doubt.
            (Err(error), Some(why)) if error.is_final() => Err(SqlError::Unsure(why)),
            (written, _) => written,
        }
    }

    /// Runs a statement that nobody has sent before, or that must not write.
    fn run_first(
        &self,
        statement: &Statement<'_>,
        watch: &dyn Watch,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, SqlError> {
        match self.read(statement.sql, watch, sink)? {
            Read::Done(outcome) => Ok(outcome),
            Read::ItWrites if statement.read_only => Err(SqlError::Forbidden(
                "The request is marked as one that only reads, and its statement would write.".into(),
            )),
            Read::ItWrites => {
                let asked = Asked::of(statement);
                self.write(statement, asked.as_ref(), None, watch)?.told(asked.is_some())
            }
        }
    }

    /// Runs a statement that was sent before, and may have been carried out or be under way.
    fn run_again(
        &self,
        statement: &Statement<'_>,
        watch: &dyn Watch,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, SqlError> {
        let Some(asked) = Asked::of(statement) else {
            return self.run_first(statement, watch, sink).map_err(|error| SqlError::Repeated(Box::new(error)));
        };
        // Before it is compiled: a CREATE TABLE that has succeeded could not be any more.
        let facts =
            self.persist(watch, true, &mut None, |link| link.look(&asked, watch)).map_err(SqlError::of_a_repeat)?;
        if let Verdict::Replay(outcome) = judge(&asked, facts, (self.clock)()) {
            return Written::decode(&outcome)?.told(true);
        }
        let written = match self.read(statement.sql, watch, sink) {
            Ok(Read::Done(outcome)) => return Ok(outcome),
            Ok(Read::ItWrites) => self.write(statement, Some(&asked), None, watch),
            // Another attempt may be under way, at a server where it does not fail: what is told here must bind it.
            Err(error) if error.is_final() => self.write(statement, Some(&asked), Some(&error), watch),
            Err(error) => Err(error),
        };
        written.map_err(SqlError::of_a_repeat)?.told(true)
    }
}

impl<L: Link> Database for Remote<L> {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn run(
        &self,
        statement: &Statement<'_>,
        watch: &Arc<dyn Watch>,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, SqlError> {
        check_text(statement.sql)?;
        if statement.repeated && !statement.read_only {
            self.run_again(statement, &**watch, sink)
        } else {
            self.run_first(statement, &**watch, sink)
        }
    }
}

/// Notes whether an answer has begun: titles are held back until a row comes, or none will. Up to then another attempt may answer instead.
pub(super) struct Begun<'a> {
    sink: &'a mut dyn RowSink,
    titles: Option<Vec<String>>,
    begun: bool,
}

impl<'a> Begun<'a> {
    /// Goes before this sink.
    pub(super) fn with(sink: &'a mut dyn RowSink) -> Self {
        Self { sink, titles: None, begun: false }
    }

    /// Hands the titles on, if they were not before.
    pub(super) fn begin(&mut self) -> Result<(), SqlError> {
        self.begun = true;
        self.titles.take().map_or(Ok(()), |titles| self.sink.columns(&titles))
    }
}

impl RowSink for Begun<'_> {
    fn columns(&mut self, titles: &[String]) -> Result<(), SqlError> {
        self.titles = Some(titles.to_vec());
        Ok(())
    }

    fn row(&mut self, row: &[Value]) -> Result<(), SqlError> {
        if !self.begun {
            self.begin()?;
        }
        self.sink.row(row)
    }
}

#[cfg(test)]
mod tests;
