//! A session with PostgreSQL: messages there and back, and what must hold whatever comes.
//!
//! Requests go out in batches that end with *Sync*: when one of a batch fails, the rest of it is skipped, and *ReadyForQuery* ends
//! the answer with the state of the transaction. All values travel as text, as psql shows them.
//!
//! A read ends with a *function call* instead of the Sync ([`Session::add_read`]): that is a message that needs no SQL to be parsed, and
//! *ReadyForQuery* follows it as well. When it is skipped because of an error, nothing ends the answer, and the Sync is sent with what
//! tidies up. An error behind the last statement before the call may be that statement's (a wish to cancel that was noticed when it was
//! already reported done) or the call's own: the first is followed by silence, the second by ReadyForQuery. Nobody waits to find out which; the
//! session is given up.
//!
//! Sources: <https://www.postgresql.org/docs/current/protocol-flow.html>, sections "Extended Query" and "Function Call".

use super::{
    held::{Held, KEPT},
    login,
    refusal::Refused,
};
use crate::sql::{
    SqlError, Watch,
    remote::{ByTime, InTime, Line, Trouble},
};
use bytes::{Buf, BufMut, BytesMut};
use postgres_protocol::{
    Oid,
    message::{
        backend::{Header, Message},
        frontend,
    },
};
use protocol::database::{Account, Tls};
use std::{io, time::Duration};

/// How long a login may take, and the first question behind it.
pub(super) const LOGIN_TIME: Duration = Duration::from_secs(5);

/// How long an answer to a COMMIT is waited for, whatever the watch says: after it the outcome is looked up on another
/// connection.
pub(super) const COMMIT_TIME: Duration = Duration::from_secs(5);

/// Locks of a session outlive its transactions.
const UNLOCK: &str = "SELECT pg_catalog.pg_advisory_unlock_all()";

/// The function of it by its number in the catalogue, which never changes.
pub(super) const UNLOCK_ALL: Oid = 2892;

/// So do prepared statements, which a function that a SELECT calls can make. The one without a name is out of the reach of SQL, and not
/// meant by it.
const FORGET: &str = "DEALLOCATE ALL";

/// The name of what is ours beside a client's statement, which has the place without a name. It is there while no SQL of clients runs.
const OURS: &str = "lab";

/// What begins a function call, and the answer to one.
const CALL: u8 = b'F';
const RETURNED: u8 = b'V';

/// How long sending the wish to cancel may take.
const CANCEL_TIME: Duration = Duration::from_secs(1);

/// A session.
pub(super) struct Session {
    line: Line,
    /// What is to be sent with the next flush.
    batch: BytesMut,
    /// Behind how many statements the batch ends with a function call; `None` if it ends with a Sync.
    call_behind: Option<usize>,
    /// Whether PostgreSQL skips all that comes up to a Sync, which was not sent yet.
    skips: bool,
    /// The client's statement that is parsed already.
    held: Option<Held>,
    /// How long it is used.
    pub(super) kept_for: Duration,
    /// Whether nothing of the last request is left.
    clean: bool,
    /// Whether all that was sent is answered.
    answered: bool,
    /// Whether no transaction was open when the last answer ended.
    idle: bool,
    /// With which the server lets somebody else cancel what this session does.
    cancel_key: (i32, i32),
    /// The name that a certificate must be for, and how the wish to cancel is to travel.
    host: String,
    tls: Tls,
}

/// What a batch has come to, apart from what was handed out message by message.
#[derive(Debug)]
pub(super) struct Ended {
    /// Whether a transaction is open, or has failed.
    pub(super) status: Status,
    /// The first error of the batch.
    pub(super) refused: Option<Refused>,
}

/// The state of a session's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// None is open.
    Idle,
    /// One is open.
    Open,
    /// One is open and can only be rolled back.
    Failed,
}

impl Session {
    /// Connects and logs in, unless the watch says that nobody waits for it any more.
    pub(super) fn open(account: &Account, watch: &dyn Watch) -> Result<Self, Trouble> {
        let line = Line::connect(&account.host, account.port)?;
        let mut session = Self {
            line,
            batch: BytesMut::new(),
            call_behind: None,
            skips: false,
            held: None,
            kept_for: KEPT,
            clean: false,
            answered: true,
            idle: true,
            cancel_key: (0, 0),
            host: account.host.clone(),
            tls: account.tls.clone(),
        };
        let in_time = InTime::after(LOGIN_TIME, watch);
        let secured = login::secure(&mut session.line, &session.tls, &session.host, &in_time);
        let logged_in = secured.and_then(|()| login::log_in(&mut session, account, &in_time));
        session.cancel_key = logged_in.map_err(unanswered)?;
        session.clean = true;
        Ok(session)
    }

    /// Adds a message to the batch.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), Trouble> {
        // Fails only for what is longer than 2 GiB or has a NUL in it.
        write(&mut self.batch).map_err(|error| SqlError::Sql(format!("The statement cannot be sent ({error}).")).into())
    }

    /// Adds a statement with these values, to be parsed, bound and executed.
    pub(super) fn add_statement(&mut self, sql: &str, values: &[Option<&str>]) -> Result<(), Trouble> {
        self.add_statement_again(Some(sql), values)
    }

    /// The same; without a text it is the statement that was added last, with other values.
    pub(super) fn add_statement_again(&mut self, sql: Option<&str>, values: &[Option<&str>]) -> Result<(), Trouble> {
        if let Some(sql) = sql {
            self.parse(sql)?;
        }
        self.add(|buf| bind("", values, buf))?;
        self.add(|buf| frontend::execute("", 0, buf))
    }

    /// Has a statement parsed into the place without a name.
    fn parse(&mut self, sql: &str) -> Result<(), Trouble> {
        self.held = None;
        self.add(|buf| frontend::parse("", sql, [], buf))
    }

    /// Adds statements of ours as one text, which empties the place without a name, too.
    fn add_query(&mut self, sql: &str) -> Result<(), Trouble> {
        self.held = None;
        self.add(|buf| frontend::query(sql, buf))
    }

    /// Adds a client's statement, whose columns are to be described.
    pub(super) fn add_clients(&mut self, sql: &str) -> Result<(), Trouble> {
        self.add_question(sql, &[])
    }

    /// Adds a statement with these values, whose columns are to be described.
    pub(super) fn add_question(&mut self, sql: &str, values: &[Option<&str>]) -> Result<(), Trouble> {
        self.parse(sql)?;
        self.ask(values)
    }

    /// Adds a question to the statement in the place without a name.
    fn ask(&mut self, values: &[Option<&str>]) -> Result<(), Trouble> {
        self.add(|buf| bind("", values, buf))?;
        self.add(|buf| frontend::describe(b'P', "", buf))?;
        self.add(|buf| frontend::execute("", 0, buf))
    }

    /// Whether a client's statement is parsed already, and would still be taken for the same.
    pub(super) fn holds(&self, sql: &str) -> bool {
        self.held.as_ref().is_some_and(|held| held.is(sql, self.kept_for))
    }

    /// Adds all that a client's statement needs that may only read: what begins its transaction, the statement, and what takes back
    /// all that it can have left if it returned rows. It is parsed only if it was not before.
    pub(super) fn add_read(&mut self, begin: &str, sql: &str) -> Result<(), Trouble> {
        self.add_ours(begin)?;
        self.add(|buf| frontend::close(b'S', OURS, buf))?;
        if !self.holds(sql) {
            self.parse(sql)?;
            self.held = Held::now(sql);
        }
        self.ask(&[])?;
        if self.held.is_none() {
            // Nobody is going to ask it again, and its plan may be large.
            self.add(|buf| frontend::close(b'S', "", buf))?;
        }
        self.add_ours("ROLLBACK")?;
        self.add(|buf| frontend::close(b'S', OURS, buf))?;
        // It is one of them itself.
        self.add_ours(FORGET)?;
        self.add(|buf| {
            call(UNLOCK_ALL, buf);
            Ok(())
        })?;
        self.call_behind = Some(4);
        Ok(())
    }

    /// Adds a statement of ours that leaves the place without a name alone. Where somebody else has taken the name, it is refused.
    fn add_ours(&mut self, sql: &str) -> Result<(), Trouble> {
        self.add(|buf| frontend::parse(OURS, sql, [], buf))?;
        self.add(|buf| bind(OURS, &[], buf))?;
        self.add(|buf| frontend::execute("", 0, buf))
    }

    /// Sends the batch, with the mark that ends it.
    pub(super) fn flush(&mut self, watch: &dyn Watch) -> Result<(), Trouble> {
        if self.call_behind.is_none() {
            frontend::sync(&mut self.batch);
        }
        self.send(watch)
    }

    /// Sends what was added.
    pub(super) fn send(&mut self, watch: &dyn Watch) -> Result<(), Trouble> {
        (self.clean, self.answered) = (false, false);
        let bytes = self.batch.split();
        self.line.send(&bytes, watch)
    }

    /// The next message.
    pub(super) fn next(&mut self, watch: &dyn Watch) -> Result<Message, Trouble> {
        let nonsense = |error: io::Error| Trouble::Lost(format!("the database sent something strange ({error})"));
        loop {
            let header = Header::parse(&self.line.inbox).map_err(nonsense)?;
            if header.is_some_and(|header| header.len() as usize > crate::sql::remote::MAX_MESSAGE) {
                return Err(SqlError::TooLarge("A row is larger than 16 MiB.".into()).into());
            }
            if let Some(header) = header.filter(|header| header.tag() == RETURNED) {
                // What our own function returns is nothing.
                let length = header.len() as usize + 1;
                if self.line.inbox.len() < length {
                    self.line.fill(watch)?;
                } else {
                    self.line.inbox.advance(length);
                }
                continue;
            }
            match Message::parse(&mut self.line.inbox).map_err(nonsense)? {
                Some(Message::NoticeResponse(_) | Message::ParameterStatus(_) | Message::NotificationResponse(_)) => {}
                Some(message) => return Ok(message),
                None => self.line.fill(watch)?,
            }
        }
    }

    /// Reads the answer to a batch to its end; what is neither an error nor the end goes to `each`.
    pub(super) fn answer(
        &mut self,
        watch: &dyn Watch,
        mut each: impl FnMut(Message) -> Result<(), Trouble>,
    ) -> Result<Ended, Trouble> {
        let mut refused: Option<Refused> = None;
        let (call_behind, mut done) = (self.call_behind.take(), 0);
        loop {
            match self.next(watch)? {
                Message::ErrorResponse(body) => {
                    let new = Refused::read(&body);
                    if new.is_the_end() {
                        return Err(Trouble::Lost(new.words));
                    }
                    refused.get_or_insert(new);
                    self.held = None;
                    match call_behind {
                        Some(statements) if done < statements => {
                            self.skips = true;
                            return Ok(Ended { status: Status::Failed, refused });
                        }
                        Some(_) => {
                            // What it still holds, such as locks, ends with it.
                            self.line.hang_up();
                            return Ok(Ended { status: Status::Idle, refused });
                        }
                        None => {}
                    }
                }
                Message::ReadyForQuery(body) => {
                    let status = match body.status() {
                        b'I' => Status::Idle,
                        b'T' => Status::Open,
                        _ => Status::Failed,
                    };
                    (self.answered, self.idle) = (true, status == Status::Idle);
                    return Ok(Ended { status, refused });
                }
                Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                    return Err(SqlError::Forbidden(
                        "COPY is not allowed here: rows come by SELECT and go by INSERT.".into(),
                    )
                    .into());
                }
                other => {
                    done += usize::from(matches!(other, Message::CommandComplete(_) | Message::EmptyQueryResponse));
                    each(other)?;
                }
            }
        }
    }

    /// Runs statements of our own that need no values and whose rows nobody wants.
    pub(super) fn run(&mut self, sql: &str, watch: &dyn Watch) -> Result<Ended, Trouble> {
        self.add_query(sql)?;
        self.send(watch)?;
        self.answer(watch, |_| Ok(()))
    }

    /// Ends what was begun and takes back what it may have left in the session. `all`: more than locks and prepared statements may be.
    pub(super) fn tidy(&mut self, status: Status, all: bool) -> Result<(), Trouble> {
        let watch = ByTime::after(COMMIT_TIME);
        let rollback = if all { "ROLLBACK".to_owned() } else { format!("ROLLBACK; {UNLOCK}; {FORGET}") };
        let wanted = [(status != Status::Idle).then_some(rollback.as_str()), all.then_some("DISCARD ALL")];
        let wanted = wanted.into_iter().flatten();
        let answers = wanted.clone().count() + usize::from(self.skips);
        if std::mem::take(&mut self.skips) {
            frontend::sync(&mut self.batch);
        }
        wanted.into_iter().try_for_each(|sql| self.add_query(sql))?;
        self.send(&watch)?;
        let mut clean = true;
        for _ in 0..answers {
            let ended = self.answer(&watch, |_| Ok(()))?;
            clean = ended.refused.is_none() && ended.status == Status::Idle;
        }
        (self.clean, self.answered) = (clean, true);
        Ok(())
    }

    /// Says that nothing is left of a batch that was only ours, and was answered.
    pub(super) fn tidy_nothing(&mut self) {
        self.clean = self.answered;
    }

    /// Asks the database to end what this session does. The session itself is of no use any more.
    pub(super) fn cancel(&mut self) {
        self.clean = false;
        let mut wish = BytesMut::new();
        frontend::cancel_request(self.cancel_key.0, self.cancel_key.1, &mut wish);
        // Who cannot be reached need not be told: the connection is closed next, and nothing is committed without it.
        let _told = Line::at(self.line.address).is_ok_and(|mut line| {
            let in_time = ByTime::after(CANCEL_TIME);
            let secured = login::secure(&mut line, &self.tls, &self.host, &in_time);
            secured.and_then(|()| line.send(&wish, &in_time)).is_ok()
        });
    }

    /// Whether the last batch was answered to its end, and no transaction is open.
    pub(super) fn is_committed(&self) -> bool {
        self.answered && self.idle
    }

    /// Whether the last batch was answered to its end.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
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

/// Calls a function without arguments.
fn call(function: Oid, buf: &mut BytesMut) {
    // Its own four bytes, the function's four, and three numbers of two: formats of arguments, arguments, the format of what it returns.
    const LENGTH: u32 = 14;
    buf.put_u8(CALL);
    buf.put_u32(LENGTH);
    buf.put_u32(function);
    buf.put_bytes(0, 6);
}

/// Binds values to a statement as text, and asks for all columns as text.
fn bind(statement: &str, values: &[Option<&str>], buf: &mut BytesMut) -> io::Result<()> {
    let text = |value: &Option<&str>, buf: &mut BytesMut| {
        Ok(value.map_or(postgres_protocol::IsNull::Yes, |text| {
            buf.extend_from_slice(text.as_bytes());
            postgres_protocol::IsNull::No
        }))
    };
    frontend::bind("", statement, [], values, text, [], buf).map_err(|error| match error {
        frontend::BindError::Conversion(error) => io::Error::other(error),
        frontend::BindError::Serialization(error) => error,
    })
}
