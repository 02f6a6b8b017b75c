//! A session with MySQL: commands there, answers back, and what must hold whatever comes.
//!
//! Commands may be sent one behind the other; each is answered, also when one before it has failed. So nothing that matters is sent
//! behind something that may fail.
//!
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase_text.html>.

use super::{
    login,
    packet::{self, Packet},
    refusal::Refused,
    strange,
};
use crate::sql::{
    SqlError, Watch,
    remote::{ByTime, InTime, Line, Trouble},
};
use bytes::BytesMut;
use mysql_common::{constants::StatusFlags, packets::Column};
use protocol::{database::Account, value::to_hex};
use std::time::Duration;

/// How long a login may take, and the first question behind it.
pub(super) const LOGIN_TIME: Duration = Duration::from_secs(5);

/// How long an answer to a COMMIT is waited for, whatever the watch says: after it the outcome is looked up on another
/// connection.
pub(super) const COMMIT_TIME: Duration = Duration::from_secs(5);

/// How long it may take to have another session ended.
const CANCEL_TIME: Duration = Duration::from_secs(2);

/// The command that carries SQL.
const QUERY: u8 = 0x03;
/// The command that puts a session back: variables, temporary tables, prepared statements, locks.
const RESET: u8 = 0x1f;

/// How text is written and read: SQL of the standard, the same whatever the server is set to. A statement ends after ten minutes
/// even if the server that wanted to end it is gone. One that is gone between a write and its COMMIT holds the locks for a minute (in
/// MySQL: until the system notices that the connection is dead).
pub(super) const SETTINGS: &str = "SET NAMES utf8mb4 COLLATE /*M! utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */, \
     SESSION time_zone = '+00:00', SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,\
     NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY', \
     SESSION /*M! idle_write_transaction_timeout = 60, SESSION max_statement_time = 600 */ /*!80017 max_execution_time = 600000 */";

/// The next transaction may only read.
const READING: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY";
/// The next may write. Each statement sees what was committed before it, so a claim that waited sees the record.
const WRITING: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE";

/// Columns of a row of ours, as text.
pub(super) type Row = Vec<Option<String>>;

/// A session.
pub(super) struct Session {
    line: Line,
    account: Account,
    /// With which another session may end this one.
    pub(super) number: u32,
    /// What is to be sent with the next flush.
    batch: BytesMut,
    /// How many commands were sent, or are to be, whose answers were not read.
    pending: usize,
    /// Whether nothing of the last request is left.
    clean: bool,
    /// The name of the transaction that is open.
    transaction: String,
}

/// A part of an answer.
pub(super) enum Piece<'a> {
    /// A result begins.
    Columns(&'a [Column]),
    /// A row of it.
    Row(&'a [u8]),
}

/// How an answer has ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// The error, if it has failed.
    pub(super) refused: Option<Refused>,
    /// How many rows were changed, by what returns none.
    pub(super) changed: u64,
}

impl Session {
    /// Connects and logs in, into this database or none, unless the watch says that nobody waits for it any more.
    pub(super) fn open(account: &Account, database: Option<&str>, watch: &dyn Watch) -> Result<Self, Trouble> {
        Self::over(Line::connect(&account.host, account.port)?, account, database, watch)
    }

    fn over(line: Line, account: &Account, database: Option<&str>, watch: &dyn Watch) -> Result<Self, Trouble> {
        let mut session = Self {
            line,
            account: account.clone(),
            number: 0,
            batch: BytesMut::new(),
            pending: 0,
            clean: false,
            transaction: String::new(),
        };
        let in_time = InTime::after(LOGIN_TIME, watch);
        session.number = login::log_in(&mut session, account, database, &in_time).map_err(unanswered)?;
        Ok(session)
    }

    /// Goes on encrypted, as the account asks.
    pub(super) fn secure(&mut self, watch: &dyn Watch) -> Result<(), Trouble> {
        self.line.secure(&self.account.tls, &self.account.host, watch)
    }

    /// Sends one packet of a login.
    pub(super) fn send_packet(&mut self, number: u8, body: &[u8], watch: &dyn Watch) -> Result<(), Trouble> {
        let mut bytes = BytesMut::new();
        packet::push(&mut bytes, number, &[body]).map_err(|_| strange("a long login"))?;
        self.line.send(&bytes, watch)
    }

    /// Adds a statement to the batch.
    pub(super) fn add(&mut self, sql: &str) -> Result<(), Trouble> {
        self.add_command(QUERY, sql)
    }

    fn add_command(&mut self, command: u8, body: &str) -> Result<(), Trouble> {
        self.pending += 1;
        let too_large = |_| SqlError::TooLarge("A statement has 16 MiB at most.".into());
        Ok(packet::push(&mut self.batch, 0, &[&[command], body.as_bytes()]).map_err(too_large)?)
    }

    /// Sends the batch.
    pub(super) fn flush(&mut self, watch: &dyn Watch) -> Result<(), Trouble> {
        self.clean = false;
        let bytes = self.batch.split();
        self.line.send(&bytes, watch)
    }

    /// The next packet.
    pub(super) fn next(&mut self, watch: &dyn Watch) -> Result<Packet, Trouble> {
        loop {
            let taken = packet::take(&mut self.line.inbox);
            match taken.map_err(|_| SqlError::TooLarge("A row is larger than 16 MiB.".into()))? {
                Some(packet) => return Ok(packet),
                None => self.line.fill(watch)?,
            }
        }
    }

    /// Reads the answer to the first command that was not answered yet, to its end.
    pub(super) fn answer(
        &mut self,
        watch: &dyn Watch,
        mut each: impl FnMut(Piece<'_>) -> Result<(), Trouble>,
    ) -> Result<Ended, Trouble> {
        loop {
            let body = self.next(watch)?.body;
            let more = match body.first() {
                Some(0) => {
                    let (changed, more) = done(&body).ok_or_else(|| strange("an answer that is cut off"))?;
                    if !more {
                        self.pending -= 1;
                        return Ok(Ended { refused: None, changed });
                    }
                    more
                }
                Some(0xff) => return self.refused(&body),
                // It asks for a file of this machine, which was never offered.
                Some(0xfb) | None => return Err(strange("a wish for a file")),
                Some(_) => match self.result(&body, watch, &mut each)? {
                    Ok(more) => more,
                    Err(error) => return self.refused(&error),
                },
            };
            if !more {
                self.pending -= 1;
                return Ok(Ended::default());
            }
        }
    }

    fn refused(&mut self, body: &[u8]) -> Result<Ended, Trouble> {
        self.pending -= 1;
        let refused = Refused::read(body);
        if refused.is_the_end() {
            return Err(Trouble::Lost(refused.words));
        }
        Ok(Ended { refused: Some(refused), changed: 0 })
    }

    /// Reads one result, whose first packet says how many columns it has. `Ok(Ok(true))`: another one follows; `Ok(Err(_))`: the packet
    /// of an error ended it.
    fn result(
        &mut self,
        body: &[u8],
        watch: &dyn Watch,
        each: &mut impl FnMut(Piece<'_>) -> Result<(), Trouble>,
    ) -> Result<Result<bool, bytes::Bytes>, Trouble> {
        let (number, _) = packet::integer(body).ok_or_else(|| strange("a result without columns"))?;
        let mut columns = Vec::new();
        for _ in 0..number {
            columns.push(packet::read(&self.next(watch)?.body, ()).map_err(strange)?);
        }
        // The end of the columns.
        self.next(watch)?;
        each(Piece::Columns(&columns))?;
        loop {
            let body = self.next(watch)?.body;
            match body.first() {
                Some(0xff) => return Ok(Err(body)),
                Some(0xfe) if body.len() < 9 => {
                    let flags = body.get(3..5).map_or(0, |flags| u16::from_le_bytes([flags[0], flags[1]]));
                    return Ok(Ok(more_follows(flags)));
                }
                _ => each(Piece::Row(&body))?,
            }
        }
    }

    /// Runs statements of our own, one behind the other; all must succeed. Returns the rows of each.
    pub(super) fn run(&mut self, statements: &[&str], watch: &dyn Watch) -> Result<Vec<Vec<Row>>, Trouble> {
        self.try_run(statements, watch)?.map_err(|refused| refused.trouble(""))
    }

    /// The same; `Ok(Err(_))` is the first refusal.
    pub(super) fn try_run(
        &mut self,
        statements: &[&str],
        watch: &dyn Watch,
    ) -> Result<Result<Vec<Vec<Row>>, Refused>, Trouble> {
        statements.iter().try_for_each(|sql| self.add(sql))?;
        self.flush(watch)?;
        let mut results = Vec::new();
        let mut refused = None;
        for _ in statements {
            let mut rows = Vec::new();
            let ended = self.answer(watch, |piece| match piece {
                Piece::Columns(_) => Ok(()),
                Piece::Row(body) => row(body).map(|row| rows.push(row)),
            })?;
            refused = refused.or(ended.refused);
            results.push(rows);
        }
        Ok(refused.map_or(Ok(results), Err))
    }

    /// Begins a transaction that may write, after the one was ended in which one may only read, and runs these statements in it.
    ///
    /// It is one that could be spread over several databases (XA): in these the engine refuses whatever would end it.
    pub(super) fn begin(&mut self, statements: &[&str], watch: &dyn Watch) -> Result<Vec<Vec<Row>>, Trouble> {
        let [end, rollback] = ["XA END", "XA ROLLBACK"].map(|verb| format!("{verb} '{}'", self.transaction));
        self.draw_name()?;
        let start = format!("XA START '{}'", self.transaction);
        let all = [&[end.as_str(), &rollback, WRITING, &start], statements].concat();
        Ok(self.run(&all, watch)?.split_off(4))
    }

    /// The name of a transaction, which nobody can foresee.
    fn draw_name(&mut self) -> Result<(), Trouble> {
        let mut bytes = [0; 16];
        let drawn = getrandom::fill(&mut bytes);
        drawn.map_err(|error| SqlError::Unavailable(format!("the system gives no random numbers ({error})")))?;
        self.transaction = to_hex(&bytes);
        Ok(())
    }

    /// Runs these statements and ends the transaction, which is still to be committed.
    pub(super) fn end(&mut self, statements: &[&str], watch: &dyn Watch) -> Result<(), Trouble> {
        let end = format!("XA END '{}'", self.transaction);
        self.run(&[statements, &[&end]].concat(), watch).map(|_| ())
    }

    /// Commits what was ended. `Ok` holds the error, if it was refused.
    pub(super) fn commit(&mut self, watch: &dyn Watch) -> Result<Option<Refused>, Trouble> {
        self.add(&format!("XA COMMIT '{}' ONE PHASE", self.transaction))?;
        self.flush(watch)?;
        self.answer(watch, |_| Ok(())).map(|ended| ended.refused)
    }

    /// Rolls back what is open, takes back whatever was left in the session, and begins a transaction that may only read: the next
    /// request finds it open.
    pub(super) fn tidy(&mut self) -> Result<(), Trouble> {
        let watch = ByTime::after(COMMIT_TIME);
        let old = std::mem::take(&mut self.transaction);
        self.draw_name()?;
        self.add(&format!("XA END '{old}'"))?;
        self.add(&format!("XA ROLLBACK '{old}'"))?;
        self.add_command(RESET, "")?;
        self.add(SETTINGS)?;
        self.add(READING)?;
        self.add(&format!("XA START '{}'", self.transaction))?;
        self.flush(&watch)?;
        let mut good = true;
        for command in 0..6 {
            let refused = self.answer(&watch, |_| Ok(()))?.refused;
            // The first two fail when nothing is open.
            good &= command < 2 || refused.is_none();
        }
        self.clean = good;
        Ok(())
    }

    /// Has the database end this session and what it does, through another one.
    pub(super) fn cancel(&mut self) {
        self.clean = false;
        let watch = ByTime::after(CANCEL_TIME);
        let other =
            Line::at(self.line.address).map_err(strange).and_then(|line| Self::over(line, &self.account, None, &watch));
        // Who cannot be reached need not be told: the connection is closed next, and nothing is committed without it.
        let _told = other.and_then(|mut other| other.run(&[&format!("KILL CONNECTION {}", self.number)], &watch));
    }

    /// Whether all that was sent is answered.
    pub(super) fn is_answered(&self) -> bool {
        self.pending == 0
    }

    /// Whether it may be used for the next request.
    pub(super) fn is_fit(&self) -> bool {
        self.clean && self.line.is_quiet()
    }
}

/// What it means that time is over while a connection is being opened: the connection cannot be had. Whether anybody waits for
/// it still is known to whoever asked for it.
pub(super) fn unanswered(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failed(SqlError::Interrupted(_)) => Trouble::Lost("the database did not answer a login".into()),
        other => other,
    }
}

/// How many rows were changed, and whether another result follows.
fn done(body: &[u8]) -> Option<(u64, bool)> {
    let (changed, rest) = packet::integer(body.get(1..)?)?;
    let (_last_id, rest) = packet::integer(rest)?;
    let flags = rest.get(..2)?;
    Some((changed, more_follows(u16::from_le_bytes([flags[0], flags[1]]))))
}

fn more_follows(flags: u16) -> bool {
    StatusFlags::from_bits_truncate(flags).contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
}

/// The columns of a row, as text.
fn row(mut body: &[u8]) -> Result<Row, Trouble> {
    let mut row = Vec::new();
    while !body.is_empty() {
        let (field, rest) = packet::field(body).ok_or_else(|| strange("a row that is cut off"))?;
        row.push(field.map(|field| String::from_utf8_lossy(field).into_owned()));
        body = rest;
    }
    Ok(row)
}
