//! A request in the hands of a script.

use super::SOON;
use crossbeam_channel::{Receiver, Sender};
use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::RequestId,
    limits::HEADER_TIME,
    message::{ErrorCode, Failure, Head},
    wire::{Connection, to_header},
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};

/// What a server does with a request.
pub type Script = Arc<dyn Fn(&mut Ask<'_>) + Send + Sync>;

/// What a server noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A request with this text.
    Request(String),
    /// That its request was taken back.
    Cancel,
    /// That its requester hung up.
    Gone,
}

/// How a wait for the requester's word ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The request was taken back.
    Cancel,
    /// The requester hung up.
    Gone,
    /// The test let the server go on.
    GoOn,
}

/// A request in the hands of a script.
pub struct Ask<'a> {
    pub prefix: Prefix,
    /// The statement, or the name of the file.
    pub text: String,
    /// The request's own id, which the header carries.
    pub request: RequestId,
    /// Of a file: the first byte wanted, and the digest of those before.
    pub resume: (u64, Option<String>),
    pub connection: &'a mut Connection,
    /// The id of the server.
    server: &'a str,
    seen: &'a Sender<Seen>,
    pub hung_up: bool,
}

impl<'a> Ask<'a> {
    pub fn new(
        prefix: Prefix,
        text: String,
        request: RequestId,
        connection: &'a mut Connection,
        server: &'a str,
        seen: &'a Sender<Seen>,
    ) -> Self {
        Self { prefix, text, request, resume: (0, None), connection, server, seen, hung_up: false }
    }

    /// Sends a frame of the answer. Nobody to take it is no failure of the script.
    pub fn frame(&mut self, kind: Kind, header: &impl Serialize, body: &[u8]) {
        self.frame_to(self.prefix.id, kind, header, body);
    }

    /// Sends a frame under any id.
    pub fn frame_to(&mut self, id: RequestId, kind: Kind, header: &impl Serialize, body: &[u8]) {
        let header = to_header(header);
        let prefix = Prefix::new(kind, id, header.len(), body.len());
        self.hung_up |= self.connection.send(&prefix, &header, body).is_err();
    }

    /// Sends bytes that are no frame.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.hung_up |= self.connection.send_raw(bytes).is_err();
    }

    /// Whether there is nobody left to answer.
    pub fn nobody_listens(&self) -> bool {
        self.hung_up
    }

    /// Begins the answer that this request wants.
    pub fn begin(&mut self, size: u64) {
        if self.prefix.kind == Kind::File {
            let name = self.text.clone();
            self.frame(Kind::Head, &Head::File { name, size }, &[]);
        } else {
            self.frame(Kind::Head, &Head::Rows { columns: vec!["c".into()], recorded: false }, &[]);
        }
    }

    /// Sends a chunk of a file under this digest of all so far.
    pub fn chunk(&mut self, sha256: &str, body: &[u8]) {
        self.frame(Kind::Data, &serde_json::json!({ "sha256": sha256 }), body);
    }

    /// Sends a part of the answer.
    pub fn piece(&mut self, body: &[u8]) {
        self.frame(Kind::Data, &serde_json::json!({"sha256": "", "rows": 1}), body);
    }

    /// Ends the answer.
    pub fn end(&mut self) {
        let end = serde_json::json!({ "server": self.server });
        self.frame(Kind::End, &end, &[]);
    }

    /// Answers with these bytes.
    pub fn answer(&mut self, body: &[u8]) {
        self.begin(body.len() as u64);
        self.piece(body);
        self.end();
    }

    /// Answers with the request's text and id and the id of this server.
    pub fn echo(&mut self) {
        if self.prefix.kind == Kind::Ping {
            return self.frame(Kind::Pong, &serde_json::json!({}), &[0; 68]);
        }
        let body = format!("{} {} from {}", self.text, self.request, self.server);
        self.answer(body.as_bytes());
    }

    /// Answers that the request failed.
    pub fn fail(&mut self, failure: &Failure) {
        self.frame(Kind::Error, failure, &[]);
    }

    /// Hangs up when the script is over.
    pub fn hang_up(&mut self) {
        self.hung_up = true;
    }

    /// Computes until the requester takes the request back or hangs up.
    pub fn until_told(&mut self) -> Told {
        self.until_told_or(&crossbeam_channel::never())
    }

    /// Computes until the requester takes the request back or hangs up, or the test lets go.
    pub fn until_told_or(&mut self, go_on: &Receiver<()>) -> Told {
        let until = Deadline::after(SOON);
        while !until.has_passed() {
            if go_on.try_recv().is_ok() {
                return Told::GoOn;
            }
            let soon = Deadline::after(Duration::from_millis(5));
            if self.connection.wait_readable(soon).unwrap() {
                return self.hear();
            }
        }
        panic!("nobody told server {} to go on", self.server);
    }

    fn hear(&mut self) -> Told {
        let mut header = Vec::new();
        match self.connection.next(&mut header, Phase::Idle, Some(Deadline::after(SOON)), HEADER_TIME) {
            Ok(Some(prefix)) if prefix.kind == Kind::Cancel => {
                assert_eq!(prefix.id, self.prefix.id, "the tag of another request is taken back");
                let _ = self.seen.send(Seen::Cancel);
                Told::Cancel
            }
            Ok(Some(prefix)) => panic!("a frame of kind {:?} while a request runs", prefix.kind),
            Ok(None) | Err(_) => {
                let _ = self.seen.send(Seen::Gone);
                self.hang_up();
                Told::Gone
            }
        }
    }

    /// Confirms that the request was taken back before it was carried out.
    pub fn confirm(&mut self) {
        self.fail(&Failure::definite(ErrorCode::Cancelled, "Taken back."));
    }
}

/// The script of a server that simply answers.
pub fn echo() -> Script {
    Arc::new(|ask: &mut Ask<'_>| ask.echo())
}
