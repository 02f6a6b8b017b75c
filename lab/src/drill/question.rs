//! What is asked in a drill. Every question carries something that only its own answer can have, so that an answer
//! given to the wrong question is noticed.

use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::RequestId,
    limits::{CLIENT_PATIENCE, HEADER_TIME},
    message::{End, Failure, FileRequest, Head, QueryRequest, read_rows},
    value::{Value, to_hex},
    wire::{Connection, WireError, from_header, to_header},
};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The table into which drills write. One row for each `INSERT`, which holds the text that only it has.
pub const TABLE: &str = "DRILL";

/// How much longer than its request may take an asker waits: who knows more about the failure shall tell it first.
const GRACE: Duration = Duration::from_secs(3);

/// A file that the servers give away.
#[derive(Clone, Debug)]
pub struct StockFile {
    /// Its name.
    pub name: String,
    /// The digests it may have: one, or as many as there are servers whose copies differ.
    pub digests: Vec<String>,
}

/// Something to ask.
#[derive(Clone, Debug)]
pub enum Question {
    /// A file.
    File(StockFile),
    /// A statement that reads, and returns this text.
    Read(String),
    /// A statement that writes this text.
    Write {
        /// The text.
        token: String,
        /// Whether the answer shall repeat it.
        returning: bool,
    },
}

/// What came of one attempt.
#[derive(Debug)]
pub enum Told {
    /// The right answer, from this server.
    Done(String),
    /// A failure, said in a frame.
    Failed(Failure),
    /// Sent, and then the connection was lost.
    Lost(String),
    /// Not sent whole: nothing can have happened.
    NotSent(String),
    /// An answer that cannot be the right one.
    Wrong(String),
}

/// What a request is known by, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    /// Its id.
    pub id: RequestId,
    /// Everything below this sequence is settled.
    pub low_water: u64,
    /// Whether it was sent before.
    pub repeated: bool,
    /// How long it may take to begin an answer.
    pub timeout: Duration,
}

impl Question {
    /// The statement, if it is one.
    #[must_use]
    pub fn sql(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Read(token) => Some(format!("SELECT '{token}' AS token, count(*) AS colors FROM COLORS")),
            Self::Write { token, returning } => {
                let returning = if *returning { " RETURNING token" } else { "" };
                Some(format!("INSERT INTO {TABLE} VALUES ('{token}'){returning}"))
            }
        }
    }

    /// Asks over this connection, and reads the answer to its end.
    pub fn ask(&self, connection: &mut Connection, ticket: Ticket) -> Told {
        if let Err(error) = self.send(connection, ticket) {
            return Told::NotSent(error.to_string());
        }
        self.receive(connection, ticket).unwrap_or_else(|broken| match broken {
            Broken::Wire(error) => Told::Lost(error.to_string()),
            Broken::Wrong(why) => Told::Wrong(why),
        })
    }

    fn send(&self, connection: &mut Connection, ticket: Ticket) -> Result<(), WireError> {
        let (request, client) = (ticket.id, "drill".to_owned());
        let timeout_ms = u64::try_from(ticket.timeout.as_millis()).ok();
        let (kind, header, body) = match self {
            Self::File(file) => {
                let name = file.name.clone();
                let header = FileRequest { request, client, name, timeout_ms, offset: 0, sha256: None };
                (Kind::File, to_header(&header), String::new())
            }
            Self::Read(_) | Self::Write { .. } => {
                let header = QueryRequest { request, client, timeout_ms, low_water: ticket.low_water };
                (Kind::Query, to_header(&header), self.sql().unwrap_or_default())
            }
        };
        let prefix = Prefix::new(kind, request, header.len(), body.len());
        let prefix = if ticket.repeated { prefix.as_repeated() } else { prefix };
        connection.send(&prefix, &header, body.as_bytes())
    }

    fn receive(&self, connection: &mut Connection, ticket: Ticket) -> Result<Told, Broken> {
        let (mut header, mut body) = (Vec::new(), Vec::new());
        let mut seen = Seen::default();
        let mut patience = ticket.timeout + GRACE;
        loop {
            let deadline = Some(Deadline::after(patience));
            let prefix = connection.next(&mut header, Phase::Answer, deadline, HEADER_TIME)?;
            let peer = connection.peer();
            let prefix = prefix.ok_or(WireError::Closed { peer, phase: Phase::Answer })?;
            body.clear();
            connection.append_body(prefix.body_len as usize, &mut body)?;
            if prefix.id != ticket.id && prefix.id != RequestId::NONE {
                return Err(Broken::Wrong(format!("an answer to {} instead of {}", prefix.id, ticket.id)));
            }
            match prefix.kind {
                Kind::Error => return Ok(Told::Failed(from_header(peer, &prefix, &header)?)),
                Kind::Head => seen.head(from_header(peer, &prefix, &header)?)?,
                Kind::Data => seen.data(&body)?,
                Kind::End => return self.judge(seen, from_header(peer, &prefix, &header)?),
                kind => return Err(Broken::Wrong(format!("a frame {kind:?} in an answer"))),
            }
            patience = CLIENT_PATIENCE;
        }
    }

    /// Whether a complete answer is the answer to this question.
    fn judge(&self, seen: Seen, end: End) -> Result<Told, Broken> {
        let digest = to_hex(&seen.digest.finalize());
        let right = match (self, &seen.head) {
            (Self::File(file), Some(Head::File { name, size })) => {
                let whole = (*size, end.size, end.sha256.as_ref()) == (seen.bytes, Some(seen.bytes), Some(&digest));
                whole && *name == file.name && file.digests.contains(&digest)
            }
            (Self::Read(token), Some(Head::Rows { .. })) => {
                matches!(&seen.rows[..], [row] if matches!(&row[..], [Value::Text(text), Value::Integer(_)] if text == token))
            }
            (Self::Write { token, returning: true }, Some(Head::Rows { .. })) => {
                matches!(&seen.rows[..], [row] if row[..] == [Value::Text(token.clone())])
            }
            (Self::Write { returning: false, .. }, Some(Head::Changed { rows: 1 })) => true,
            _ => false,
        };
        if right {
            return Ok(Told::Done(end.server));
        }
        let rows: String = format!("{:?}", seen.rows).chars().take(200).collect();
        Err(Broken::Wrong(format!(
            "{self:?} was answered by server {} with {:?}, rows {rows}, {} bytes of digest {digest}",
            end.server, seen.head, seen.bytes
        )))
    }
}

/// Why an answer was not read to its end.
enum Broken {
    Wire(WireError),
    Wrong(String),
}

impl From<WireError> for Broken {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// What was seen of an answer so far.
#[derive(Default)]
struct Seen {
    head: Option<Head>,
    rows: Vec<Vec<Value>>,
    digest: Sha256,
    bytes: u64,
}

impl Seen {
    fn head(&mut self, head: Head) -> Result<(), Broken> {
        match self.head.replace(head) {
            None => Ok(()),
            Some(first) => Err(Broken::Wrong(format!("a second head after {first:?}"))),
        }
    }

    fn data(&mut self, body: &[u8]) -> Result<(), Broken> {
        match self.head {
            Some(Head::File { .. }) => {
                self.digest.update(body);
                self.bytes += body.len() as u64;
                Ok(())
            }
            Some(Head::Rows { .. }) => {
                let rows: Result<Vec<_>, _> = read_rows(body).collect();
                self.rows.extend(rows.map_err(|error| Broken::Wrong(format!("rows that cannot be read: {error}")))?);
                Ok(())
            }
            _ => Err(Broken::Wrong("data without a head".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(question: &Question, seen: Seen, end: End) -> bool {
        matches!(question.judge(seen, end), Ok(Told::Done(_)))
    }

    #[test]
    fn the_answer_to_another_question_is_none_to_this() {
        let rows = |token: &str| {
            let rows = vec![vec![Value::Text(token.into()), Value::Integer(139)]];
            Seen { head: Some(Head::Rows { columns: Vec::new(), recorded: false }), rows, ..Seen::default() }
        };
        let question = Question::Read("a".into());
        assert!(judged(&question, rows("a"), End::default()));
        assert!(!judged(&question, rows("b"), End::default()));
        assert!(!judged(&Question::Write { token: "a".into(), returning: false }, rows("a"), End::default()));
    }

    #[test]
    fn a_file_must_be_whole_and_one_that_there_is() {
        let digest = |bytes: &[u8]| to_hex(&Sha256::digest(bytes));
        let digests = vec![digest(b"aaaa"), digest(b"bbbb")];
        let question = Question::File(StockFile { name: "f".into(), digests });
        let seen = |bytes: &[u8]| {
            let (mut seen, size) = (Seen::default(), bytes.len() as u64);
            assert!(seen.head(Head::File { name: "f".into(), size }).is_ok() && seen.data(bytes).is_ok());
            (seen, End { sha256: Some(digest(bytes)), size: Some(size), ..End::default() })
        };
        for (bytes, whole) in [(b"aaaa", true), (b"bbbb", true), (b"aabb", false)] {
            let (seen, end) = seen(bytes);
            assert_eq!(judged(&question, seen, end), whole, "{bytes:?}");
        }
        let (short, end) = seen(b"aaa");
        assert!(!judged(&question, short, End { size: Some(4), ..end }));
    }
}
