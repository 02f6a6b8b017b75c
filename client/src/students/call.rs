//! A call, sent, and what became of it.

use crate::status::Status;
use protocol::http::{
    self, Method,
    client::{Ask, Client, Reply},
};
use serde_json::{Map, Value, json};
use std::{net::SocketAddr, time::Duration};

/// The longest answer that is taken, in bytes.
const LONGEST_ANSWER: u64 = 1024 * 1024 * 1024;

/// A row as JSON has it: values by the names of their columns.
pub type Row = Map<String, Value>;

/// What can be asked.
#[derive(Clone, Debug)]
pub enum Call {
    /// Begin, with this map as JSON; with nothing, the default one.
    Init(Vec<u8>),
    /// What there is.
    Status,
    /// The rows from one key to another.
    Read(i64, i64),
    /// New rows.
    Write(Vec<Row>),
    /// Other values.
    Update(i64, Row),
    /// Away with it.
    Delete(i64),
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done; the answer as it came.
    Done(String),
    /// It is not done, for certain; why.
    Refused(String),
    /// Nobody knows; why.
    Unknown(String),
}

impl Outcome {
    /// The status of a program that had it.
    pub fn status(&self) -> Status {
        match self {
            Self::Done(_) => Status::Done,
            Self::Refused(_) => Status::Failed,
            Self::Unknown(_) => Status::Unknown,
        }
    }
}

impl Call {
    fn changes(&self) -> bool {
        !matches!(self, Self::Status | Self::Read(..))
    }

    fn request(&self) -> Ask {
        let (method, path, body) = match self {
            Self::Init(map) => return Ask::post("/init").body(map.clone()),
            Self::Status => return Ask::get("/status"),
            Self::Read(low, high) => (Method::Post, "/read", json!({ "Stud_id": { "low": low, "high": high } })),
            Self::Write(rows) => (Method::Post, "/write", json!({ "data": rows })),
            Self::Update(id, data) => (Method::Put, "/update", json!({ "Stud_id": id, "data": data })),
            Self::Delete(id) => (Method::Delete, "/del", json!({ "Stud_id": id })),
        };
        Ask::new(method, path).body(body.to_string())
    }

    /// Asks on a connection of its own.
    pub fn ask(&self, table: SocketAddr, within: Duration) -> Outcome {
        let mut client = match Client::connect(table, within) {
            Ok(client) => client,
            Err(error) => return Outcome::Refused(format!("{error} Is there a loadbalancer with --shards?")),
        };
        match client.ask(&self.request().limit(LONGEST_ANSWER), within) {
            Ok(reply) => self.read(&reply),
            // It may have been sent, and done.
            Err(error) if self.changes() => {
                Outcome::Unknown(format!("{error} It may be done, or not: read before you ask again."))
            }
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    fn read(&self, reply: &Reply) -> Outcome {
        let body: Option<Value> = reply.json().ok();
        let told = body.as_ref().and_then(|body| body["message"].as_str()).map(str::to_owned);
        match (reply.status, body) {
            // Accepted: the map is kept, and servers are still coming.
            (http::Status::OK | http::Status::ACCEPTED, Some(_)) => Outcome::Done(reply.text()),
            (http::Status::OK, None) if self.changes() => {
                Outcome::Unknown("The answer cannot be read. It may be done, or not.".to_owned())
            }
            (status, _) => {
                let why = told.unwrap_or_else(|| format!("It answers {} and no word of shards.", status.code()));
                let unknown = status == http::Status::GATEWAY_TIMEOUT && self.changes();
                if unknown { Outcome::Unknown(why) } else { Outcome::Refused(why) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::http::Headers;

    fn read(call: &Call, status: u16, body: &str) -> Status {
        let status = http::Status::new(status).unwrap();
        let reply = Reply { status, headers: Headers::new(), body: body.into(), trailer: Headers::new() };
        call.read(&reply).status()
    }

    #[test]
    fn only_a_change_can_be_unknown() {
        let (change, look) = (Call::Delete(1), Call::Read(1, 1));
        let refusal = r#"{"message":"<Error> no","status":"failure"}"#;
        assert_eq!(read(&change, 200, r#"{"message":"done","status":"success"}"#), Status::Done);
        assert_eq!(read(&change, 404, refusal), Status::Failed);
        assert_eq!(read(&change, 503, refusal), Status::Failed);
        assert_eq!(read(&change, 504, refusal), Status::Unknown);
        assert_eq!(read(&change, 200, "<html>"), Status::Unknown);
        assert_eq!(read(&look, 504, refusal), Status::Failed);
        assert_eq!(read(&look, 200, "<html>"), Status::Failed);
    }

    #[test]
    fn nobody_there_is_certainly_nothing_done() {
        // Where nobody listens, as no program gets this port from the system.
        let nobody = "127.0.0.1:1".parse().unwrap();
        assert_eq!(Call::Delete(1).ask(nobody, Duration::from_secs(20)).status(), Status::Failed);
    }

    #[test]
    fn who_hangs_up_after_the_question_leaves_it_open() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                use std::io::Read;
                let (mut stream, _) = listener.accept().unwrap();
                let _some = stream.read(&mut [0; 64]).unwrap();
            }
        });
        assert_eq!(Call::Delete(1).ask(at, Duration::from_secs(20)).status(), Status::Unknown);
        assert_eq!(Call::Status.ask(at, Duration::from_secs(20)).status(), Status::Failed);
        server.join().unwrap();
    }
}
