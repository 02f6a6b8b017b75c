//! What is known of a request while it is being tried: the servers that lost it, whether it may have been carried
//! out, and how much of its answer the client has.

use super::{
    key::{self, HashKey},
    request::{Request, What},
    retry::{self, Lost, Nature},
    transfer::Transfer,
};
use crate::{
    policy::ServerKey,
    pool::{Server, Wanted},
};
use protocol::{
    deadline::Deadline,
    frame::Prefix,
    limits::CLIENT_PATIENCE,
    message::{ErrorCode, Failure, FileRequest},
    wire::to_header,
};
use std::{borrow::Cow, sync::Arc, time::Duration};

/// A client waits [`CLIENT_PATIENCE`] for the next byte; its load balancer must have decided before that.
const BEFORE_PATIENCE_ENDS: Duration = Duration::from_secs(5);

/// How fast a server reads and hashes the part of a file that the client has, at the least, in bytes per second.
const REREAD_RATE: u64 = 100_000_000;

/// Servers that may be too slow with a statement before it is the statement's own fault.
pub(crate) const SLOW_STATEMENTS: u32 = 3;

/// The story of one request so far.
#[derive(Debug)]
pub struct Story {
    /// Attempts so far, copies included.
    pub attempts: u32,
    /// How often a server was taken for it, copies apart.
    pub rounds: u32,
    /// What the next server must be, and must not be.
    pub wanted: Wanted,
    /// Whether an earlier attempt may have carried the request out.
    pub doubt: bool,
    /// An attempt may have carried it out, and nobody can find out: it must not be tried again, whatever others say, and
    /// this is what the client is told.
    pub unrepeatable: Option<Failure>,
    /// Whether it must not be at several servers at once any more: it writes.
    pub alone: bool,
    /// Whether the server of the attempt at hand was told that it must not write.
    pub marked: bool,
    /// The server of the attempt at hand: of several that have the request, the one that was listened to last.
    pub server: Option<Arc<Server>>,
    /// How many servers were too slow.
    slow: u32,
    /// Bytes of the answer that the client has.
    pub passed: u64,
    /// How far a file has come.
    pub transfer: Transfer,
    /// When the next byte must be on its way.
    pub deadline: Deadline,
}

impl Story {
    /// The beginning of a story.
    #[must_use]
    pub fn new(request: &Request, hash_key: HashKey) -> Self {
        let (client, key) = (key::client(request), hash_key.of(request));
        Self {
            attempts: 0,
            rounds: 0,
            wanted: Wanted { client, key, ..Wanted::default() },
            unrepeatable: None,
            alone: false,
            marked: false,
            server: None,
            // Whoever repeats a request does not know what became of it.
            doubt: request.what == What::Query && request.prefix.repeated() && !request.prefix.read_only(),
            slow: 0,
            passed: 0,
            transfer: Self::beginning(request),
            deadline: request.deadline,
        }
    }

    /// The passage of a file before the client has got anything by this request.
    #[must_use]
    pub fn beginning(request: &Request) -> Transfer {
        request.file.as_ref().map_or_else(Transfer::default, |file| Transfer::from(file.offset, file.sha256.clone()))
    }

    /// From now on the attempt is at this server, which was told (`marked`) that it must not write, or not.
    pub fn turn_to(&mut self, server: &Arc<Server>, marked: bool) {
        self.server = Some(Arc::clone(server));
        self.marked = marked;
    }

    /// Whether the client has a part of a file already, so that the next server must go on with just that.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.passed > 0 && self.transfer.has_begun()
    }

    /// What a server that goes on with a file needs to read and hash what is before.
    #[must_use]
    pub fn reread_time(&self) -> Duration {
        Duration::from_secs(self.transfer.resume_at().0 / REREAD_RATE)
    }

    /// The request as the next server gets it: as it came, marked as a repeat if it may have been carried out; or the
    /// rest of a file.
    #[must_use]
    pub fn ask<'a>(&self, request: &'a Request) -> (Prefix, Cow<'a, [u8]>) {
        let header = match &request.file {
            Some(asked) if self.resumes() => {
                let (offset, sha256) = self.transfer.resume_at();
                Cow::Owned(to_header(&FileRequest { offset, sha256, ..asked.clone() }))
            }
            _ => Cow::Borrowed(&request.header[..]),
        };
        let mut prefix = request.prefix;
        prefix.header_len = u32::try_from(header.len()).unwrap_or(u32::MAX);
        (if self.doubt { prefix.as_repeated() } else { prefix }, header)
    }

    /// A server was lost. Returns what the client is told if this is the end, and whether another server may try.
    pub fn lost(&mut self, request: &Request, server: &Server, lost: Lost, why: &str) -> (Failure, bool) {
        let nature = Nature {
            what: request.what,
            read_only: request.prefix.read_only() || self.marked,
            recorded: request.id.client != 0 && server.database.is_some(),
        };
        if retry::leaves_doubt(nature, lost) {
            self.doubt = true;
            self.wanted.database.clone_from(&server.database);
        }
        if request.what == What::File && self.passed > 0 {
            self.deadline = Deadline::after(CLIENT_PATIENCE - BEFORE_PATIENCE_ENDS);
        }
        let (failure, again) = (retry::failure(nature, lost, why), retry::may_retry(nature, lost));
        if retry::leaves_doubt(nature, lost) && !again {
            self.unrepeatable = Some(failure.clone());
        }
        (failure, again)
    }

    /// A server gave no answer in time and has confirmed that it stopped. Perhaps it was the server (it may have been
    /// stopped itself), so another one may try. A statement that is too slow for three is too slow.
    pub fn too_slow(&mut self, request: &Request) -> (Failure, bool) {
        self.slow += 1;
        let message = "The server gave no answer within its time and was stopped.";
        let again = request.what != What::Query || self.slow < SLOW_STATEMENTS;
        (Failure::definite(ErrorCode::Timeout, message), again)
    }

    /// The next attempt should be at another server.
    pub fn avoid(&mut self, server: ServerKey) {
        self.wanted.avoid.push(server);
    }

    /// What the client is told in the end.
    #[must_use]
    pub fn ended(&self, failure: Failure, server: Option<&Arc<Server>>) -> Failure {
        let failure = if self.doubt { retry::in_doubt(failure) } else { failure }.cut();
        let server = failure.server.or_else(|| server.map(|server| server.id.clone()));
        Failure { attempts: self.attempts, server, ..failure }
    }
}
