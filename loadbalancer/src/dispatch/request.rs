//! A request, as it came from a client and goes to a server.

use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::RequestId,
    limits::{HEADER_TIME, MAX_FILE_NAME, MAX_ID, MAX_SQL},
    message::{ErrorCode, Failure, FileRequest, QueryRequest},
    wire::{Connection, WireError, from_header},
};
use std::time::{Duration, Instant};

/// How much of a statement is told in events, in characters.
const SHOWN: usize = 200;

/// What is asked for, as far as the load balancer must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A file: reading it twice does no harm.
    File,
    /// SQL: nobody but the database knows whether it writes.
    Query,
    /// A pong.
    Ping,
}

/// A whole request.
#[derive(Debug)]
pub struct Request {
    /// Its prefix, with the client's id.
    pub prefix: Prefix,
    /// Its header as it came: it goes to the server unchanged.
    pub header: Vec<u8>,
    /// Its body.
    pub body: Vec<u8>,
    /// What is asked for.
    pub what: What,
    /// The request's own name, which the database records a write under; [`RequestId::NONE`] if it has none.
    pub id: RequestId,
    /// Of a file: its header, understood.
    pub file: Option<FileRequest>,
    /// The client's id, as it was typed.
    pub client: String,
    /// The request as a person would write it, or its beginning.
    pub text: String,
    /// When it had arrived.
    pub since: Instant,
    /// When the client stops waiting for the first byte of the answer.
    pub deadline: Deadline,
}

/// What came from a client.
#[derive(Debug)]
pub enum Incoming {
    /// A request for a server.
    Request(Box<Request>),
    /// A question to the load balancer itself: which servers are there?
    Servers(Prefix),
    /// Something that is answered with an error at once.
    Wrong(Prefix, Failure),
    /// The withdrawal of a request that is over already: there is nothing to do.
    LateCancel,
}

/// The wait for a client's next request: for ever, then [`HEADER_TIME`] for prefix and header.
///
/// # Errors
/// As [`Connection::next`].
pub fn next_frame(client: &mut Connection, header: &mut Vec<u8>) -> Result<Option<Prefix>, WireError> {
    client.next(header, Phase::Idle, None, HEADER_TIME)
}

/// Reads the rest of a client's frame, and understands it. It may take `longest` to be answered, or less if the client
/// says so.
///
/// # Errors
/// If the client breaks the protocol, is too slow, or vanishes in the middle; then the connection must end.
pub fn receive(
    client: &mut Connection,
    prefix: Prefix,
    header: &mut Vec<u8>,
    longest: Duration,
) -> Result<Incoming, WireError> {
    let since = Instant::now();
    let body_len = prefix.body_len as usize;
    match prefix.kind {
        Kind::File | Kind::Query | Kind::Ping if body_len > MAX_SQL => {
            client.skip_body(body_len)?;
            Ok(Incoming::Wrong(prefix, too_long("The statement", body_len, MAX_SQL)))
        }
        Kind::File | Kind::Query | Kind::Ping => {
            let mut body = Vec::new();
            client.append_body(body_len, &mut body)?;
            understand(client, prefix, std::mem::take(header), body, since, longest)
        }
        Kind::Servers => client.skip_body(body_len).map(|()| Incoming::Servers(prefix)),
        Kind::Cancel => client.skip_body(body_len).map(|()| Incoming::LateCancel),
        kind => Err(WireError::Unexpected { peer: client.peer(), kind }),
    }
}

fn understand(
    client: &Connection,
    prefix: Prefix,
    header: Vec<u8>,
    body: Vec<u8>,
    since: Instant,
    longest: Duration,
) -> Result<Incoming, WireError> {
    let (mut file, mut id) = (None, RequestId::NONE);
    let (what, asker, text, patience) = match prefix.kind {
        Kind::Ping => (What::Ping, String::new(), "ping".to_owned(), None),
        Kind::File => {
            let asked: FileRequest = from_header(client.peer(), &prefix, &header)?;
            if asked.name.len() > MAX_FILE_NAME {
                let failure = too_long("The name of the file", asked.name.len(), MAX_FILE_NAME);
                return Ok(Incoming::Wrong(prefix, failure));
            }
            let (asker, text, patience) = (asked.client.clone(), format!("file {}", asked.name), asked.timeout_ms);
            id = asked.request;
            file = Some(asked);
            (What::File, asker, text, patience)
        }
        _ => {
            let asked: QueryRequest = from_header(client.peer(), &prefix, &header)?;
            id = asked.request;
            (What::Query, asked.client, beginning(&body), asked.timeout_ms)
        }
    };
    if asker.chars().count() > MAX_ID {
        return Ok(Incoming::Wrong(prefix, too_long("The client's id", asker.len(), MAX_ID)));
    }
    let patience = patience.map_or(longest, |ms| longest.min(Duration::from_millis(ms)));
    let deadline = Deadline::at(since + patience);
    let request = Request { prefix, header, body, what, id, file, client: asker, text, since, deadline };
    Ok(Incoming::Request(Box::new(request)))
}

/// The beginning of a statement. Events carry it, and many of them may wait for a slow terminal: none may be large.
fn beginning(statement: &[u8]) -> String {
    let text = String::from_utf8_lossy(&statement[..statement.len().min(4 * (SHOWN + 1))]);
    match text.char_indices().nth(SHOWN) {
        None => text.into_owned(),
        Some((cut, _)) => format!("{}… ({} bytes)", &text[..cut], statement.len()),
    }
}

fn too_long(what: &str, len: usize, limit: usize) -> Failure {
    Failure::definite(ErrorCode::TooLarge, format!("{what} has {len} bytes; at most {limit} are allowed."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_statements_are_told_by_their_beginning() {
        assert_eq!(beginning(b"SELECT 1"), "SELECT 1");
        assert_eq!(beginning("é".repeat(200).as_bytes()), "é".repeat(200));
        assert_eq!(beginning("é".repeat(300).as_bytes()), format!("{}… (600 bytes)", "é".repeat(200)));
        assert_eq!(beginning("🦀".repeat(300).as_bytes()), format!("{}… (1200 bytes)", "🦀".repeat(200)));
        assert_eq!(beginning(&[0xff; 1000]).chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count(), 200);
    }
}
