//! An answer on its way from a server to a client: what is held, what is passed, and how it ends.
//!
//! Up to [`EAGER_ANSWER`] bytes are taken from the server before the client gets any. So a short answer frees its
//! server however slowly the client reads, and costs one write; and as long as the client has seen nothing, a lost
//! server costs it nothing either. The recorded outcome of a write is held whole, so that its repeat can replace it.
//! What is longer streams: a chunk of a file passes through the kernel, or through a buffer of 256 KiB, without being
//! understood or held.

use super::{
    Context,
    cancel::{Stopped, stop_work},
    request::{Request, What},
    runner::Runner,
    story::Story,
    transfer::Differs,
    watch::{self, Next},
};
use crate::{
    event::{Event, micros},
    policy::Ended,
};
use protocol::{
    deadline::Deadline,
    frame::{Kind, PREFIX_LEN, Prefix},
    id::RequestId,
    limits::{BLOCK_TIME, EAGER_ANSWER, MAX_RECORDED},
    message::{ChunkHeader, Head},
    wire::{Carrier, CarryError, Connection, WireError, from_header},
};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};

/// How long a server may be silent between two frames of an answer to SQL: a little more than a statement may run.
const ROWS_GAP: Duration = Duration::from_secs(35);
/// A silence after which what has been gathered is passed on, so that rows that come slowly are seen as they come.
const LULL: Duration = Duration::from_millis(100);

/// Longest recorded outcome that is held, with its frames' prefixes and headers, in bytes. A server that sends more
/// under this name is not believed.
const LONGEST_RECORDED: usize = 2 * MAX_RECORDED;

/// An answer on its way. Dropping it drops the lease: then the server gets nothing new until it has been asked.
pub struct Passage<'a> {
    context: &'a Context,
    request: &'a Request,
    story: &'a mut Story,
    runner: Runner,
    client: &'a mut Connection,
    /// Bytes of the frame at hand that are still to be taken from the server.
    unread: usize,
    /// Whole frames taken from the server that the client has not got yet.
    held: Vec<u8>,
    /// Whether all of the answer is held until its end.
    recorded: bool,
    /// What chunks are carried in, once there has been a long one.
    carrier: Option<Carrier>,
}

/// Which side of a passage failed.
#[derive(Debug)]
pub enum Broken {
    /// The server, or the connection to it; and why.
    Server(String),
    /// The server said nothing until the deadline.
    Silence,
    /// The server has another file than the one whose beginning the client has.
    Differs,
    /// The client: it is gone, or does not read.
    Client(WireError),
    /// Nothing failed: the client took the request back.
    Withdrawn,
}

impl Broken {
    /// What happened, as a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Server(why) => why.clone(),
            Self::Silence => "it said nothing in time".to_owned(),
            Self::Differs => "it has a different file of this name".to_owned(),
            Self::Client(error) => error.to_string(),
            Self::Withdrawn => "the request was taken back".to_owned(),
        }
    }
}

impl From<Differs> for Broken {
    fn from(_: Differs) -> Self {
        Self::Differs
    }
}

impl<'a> Passage<'a> {
    /// The passage of one answer.
    pub fn new(
        context: &'a Context,
        request: &'a Request,
        story: &'a mut Story,
        runner: Runner,
        client: &'a mut Connection,
    ) -> Self {
        story.turn_to(runner.lease.server(), runner.marked);
        Self { context, request, story, runner, client, unread: 0, held: Vec::new(), recorded: false, carrier: None }
    }

    /// Whether this server goes on with a file that another one began.
    pub fn resumes(&self) -> bool {
        self.story.resumes()
    }

    /// Whether another server has begun with this request, and may have done something.
    pub fn follows_another(&self) -> bool {
        self.story.doubt || self.story.resumes()
    }

    /// Tells that the first byte is there.
    pub fn begun(&self) {
        let (request, after_us) = (self.request.prefix.id, micros(self.runner.lease.age()));
        let server = || self.runner.lease.server().id.clone();
        if self.resumes() {
            let offset = self.story.transfer.resume_at().0;
            self.context.events.step(|| Event::FileResumed { request, server: server(), offset });
        } else {
            self.context.events.step(|| Event::AnswerBegun { request, server: server(), after_us });
        }
    }

    /// The next frame of this answer, waited for until the deadline. Frames that answer something else are dropped
    /// and reported.
    pub fn next_frame(&mut self, header: &mut Vec<u8>, deadline: Deadline) -> Result<Prefix, Broken> {
        loop {
            let next = watch::next_frame(&mut self.runner.link, self.client, header, self.request.prefix.id, deadline);
            match next {
                Next::Frame(prefix) => {
                    self.unread = prefix.body_len as usize;
                    if prefix.id == self.runner.tag || self.is_refused_at_the_door(&prefix) {
                        return Ok(prefix);
                    }
                    self.drop_foreign(prefix.id, deadline)?;
                }
                Next::Silence => return Err(Broken::Silence),
                Next::Withdrawn => return Err(Broken::Withdrawn),
                Next::Lost(error) => return Err(Broken::Server(error.to_string())),
            }
            // Someone who only ever answers others has not answered.
            if deadline.has_passed() {
                return Err(Broken::Silence);
            }
        }
    }

    /// The next frame of an answer that has begun. When it does not come soon, the client gets what there is.
    pub fn following_frame(&mut self, header: &mut Vec<u8>) -> Result<Prefix, Broken> {
        if !self.held.is_empty() && !self.recorded {
            match self.next_frame(header, Deadline::after(LULL)) {
                Err(Broken::Silence) => self.flush()?,
                other => return other,
            }
        }
        let gap = if self.request.what == What::Query { ROWS_GAP } else { BLOCK_TIME };
        self.next_frame(header, Deadline::after(gap))
    }

    /// A server that cannot serve the connection says so before it has read a request, under no request's id.
    fn is_refused_at_the_door(&self, prefix: &Prefix) -> bool {
        let nothing_yet = self.held.is_empty() && self.story.passed == 0;
        nothing_yet && prefix.kind == Kind::Error && prefix.id == RequestId::NONE
    }

    fn drop_foreign(&mut self, id: RequestId, deadline: Deadline) -> Result<(), Broken> {
        let server = &self.runner.lease.server().id;
        self.context.events.emit(|| Event::ForeignAnswer { server: server.clone(), id, about: None });
        let skipped = self.runner.link.skip_until(std::mem::take(&mut self.unread), deadline);
        skipped.map_err(|error| Broken::Server(error.to_string()))
    }

    /// Takes the rest of one frame from the server: into `held` while that has room, else straight to the client.
    pub fn pass_frame(&mut self, prefix: &Prefix, header: &[u8]) -> Result<(), Broken> {
        if self.held.len() + PREFIX_LEN + prefix.rest_len() > self.hold_at_most() {
            if self.recorded {
                return Err(Broken::Server("its recorded outcome is longer than any can be".to_owned()));
            }
            self.flush()?;
            self.stop_if_withdrawn()?;
        }
        match (prefix.kind, self.request.what) {
            (Kind::Head, _) => self.pass_head(prefix, header),
            (Kind::Data, What::File) => self.pass_chunk(prefix, header),
            _ => self.hold(prefix, header),
        }
    }

    fn hold_at_most(&self) -> usize {
        if self.recorded { LONGEST_RECORDED } else { EAGER_ANSWER }
    }

    /// The head says what follows; the client may have it already, from another server.
    fn pass_head(&mut self, prefix: &Prefix, header: &[u8]) -> Result<(), Broken> {
        let head: Head = self.understand(prefix, header)?;
        self.recorded = matches!(head, Head::Rows { recorded: true, .. } | Head::Changed { .. });
        if self.story.transfer.head(&head)? {
            return self.hold(prefix, header);
        }
        self.skip(prefix.body_len as usize)
    }

    /// A chunk of a file: a short one is held, a long one streams; of one that was cut only the rest is passed.
    fn pass_chunk(&mut self, prefix: &Prefix, header: &[u8]) -> Result<(), Broken> {
        let chunk: ChunkHeader = self.understand(prefix, header)?;
        let len = prefix.body_len as usize;
        let short = PREFIX_LEN + prefix.rest_len() <= EAGER_ANSWER;
        if short && self.story.transfer.owed() == 0 {
            self.hold(prefix, header)?;
            self.story.transfer.chunk(chunk, len)?;
            self.story.transfer.passed(len);
            return Ok(());
        }
        self.flush()?;
        if let Some(there) = self.story.transfer.chunk(chunk, len)? {
            self.skip(there)?;
        } else {
            self.held.extend_from_slice(&prefix.with_id(self.request.prefix.id).encode());
            self.held.extend_from_slice(header);
            self.flush()?;
        }
        self.stream()
    }

    fn understand<M: DeserializeOwned>(&self, prefix: &Prefix, header: &[u8]) -> Result<M, Broken> {
        from_header(self.runner.link.peer(), prefix, header).map_err(|error| Broken::Server(error.to_string()))
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Broken> {
        self.unread -= bytes;
        self.runner.link.skip_body(bytes).map_err(|error| Broken::Server(error.to_string()))
    }

    /// Takes a frame whole, under the client's id.
    fn hold(&mut self, prefix: &Prefix, header: &[u8]) -> Result<(), Broken> {
        let before = self.held.len();
        self.held.extend_from_slice(&prefix.with_id(self.request.prefix.id).encode());
        self.held.extend_from_slice(header);
        let taken = self.runner.link.append_body(std::mem::take(&mut self.unread), &mut self.held);
        taken.map_err(|error| {
            self.held.truncate(before);
            Broken::Server(error.to_string())
        })
    }

    /// Passes the rest of a chunk on.
    fn stream(&mut self) -> Result<(), Broken> {
        let carrier = self.carrier.get_or_insert_with(Carrier::new);
        let (carried, result) = carrier.carry(&mut self.runner.link, self.client, self.unread);
        self.unread -= carried.taken;
        self.story.passed += carried.given as u64;
        self.story.transfer.passed(carried.given);
        result.map_err(|error| match error {
            CarryError::From(error) => Broken::Server(error.to_string()),
            CarryError::To(error) => Broken::Client(error),
        })
    }

    /// Gives the client what is held.
    fn flush(&mut self) -> Result<(), Broken> {
        self.give_held().map_err(Broken::Client)
    }

    fn give_held(&mut self) -> Result<(), WireError> {
        if !self.held.is_empty() {
            self.client.send_raw(&self.held)?;
            self.story.passed += self.held.len() as u64;
            self.held.clear();
        }
        Ok(())
    }

    /// A long answer can be taken back in its middle.
    fn stop_if_withdrawn(&mut self) -> Result<(), Broken> {
        if watch::withdrawn(self.client, self.request.prefix.id) {
            return Err(Broken::Withdrawn);
        }
        Ok(())
    }

    /// The server is lost. If the client has a part of the answer, it gets the whole frames that came after it, too;
    /// else it has nothing, and the next server begins anew. Returns whether the client has a part.
    ///
    /// # Errors
    /// If the client does not take them.
    pub fn save_what_is_whole(&mut self) -> Result<bool, WireError> {
        if self.story.passed == 0 {
            self.story.transfer = Story::beginning(self.request);
            return Ok(false);
        }
        self.give_held()?;
        Ok(true)
    }

    /// The server has said its last word: its place is free before the client has read what is held. Returns the
    /// length of the answer.
    ///
    /// # Errors
    /// If the client does not take the rest.
    pub fn complete(mut self) -> Result<u64, WireError> {
        let bytes = self.story.passed + self.held.len() as u64;
        let held = std::mem::take(&mut self.held);
        let (request, server) = (self.request.prefix.id, self.runner.lease.server());
        server.statistics.bytes.add(bytes);
        self.context.events.step(|| Event::AnswerTaken { request, server: server.id.clone(), bytes });
        self.server_is_done(Ended::Answered).send_raw(&held)?;
        Ok(bytes)
    }

    /// The server would not. What it is doing instead is not known: it is asked before it gets anything again.
    pub fn refused(self) {
        let server = Arc::clone(self.runner.lease.server());
        if self.unread == 0 {
            server.keep(self.runner.link);
        }
        drop(self.runner.lease);
    }

    /// Whether the client is owed the rest of a chunk, into which no other frame may fall.
    pub fn owes(&self) -> bool {
        self.story.transfer.owed() > 0
    }

    /// Frees the server's place and keeps the connection to it, if it is read to the end. Returns the client.
    pub fn server_is_done(self, ended: Ended) -> &'a mut Connection {
        let server = Arc::clone(self.runner.lease.server());
        if self.unread == 0 {
            server.keep(self.runner.link);
        }
        self.runner.lease.finish(ended);
        self.client
    }

    /// Tells the server to stop, and waits a moment for its last word.
    pub fn cancel(mut self) -> Stopped {
        let stopped = stop_work(&mut self.runner, std::mem::take(&mut self.unread));
        if stopped != Stopped::Unconfirmed {
            self.server_is_done(Ended::Cancelled);
        }
        stopped
    }
}
