//! Writing an answer: a head, chunks, and exactly one end.
//!
//! Small frames are gathered and leave together in one system call, so that a short answer is one packet. What is
//! gathered never exceeds [`GATHERED`] bytes.

use super::requester::{Lost, Requester};
use crate::slots::Slot;
use parking_lot::Mutex;
use protocol::{
    frame::{Kind, Prefix},
    id::RequestId,
    message::{End, Failure},
    wire::{push_frame, to_header},
};
use serde::Serialize;

/// Most bytes that are gathered before they are sent.
const GATHERED: usize = 64 * 1024;

/// An answer in the making.
pub(crate) struct Answer<'a> {
    requester: &'a Mutex<Requester>,
    id: RequestId,
    server: &'a str,
    gathered: Vec<u8>,
    /// The place of the request. It is given back just before the last frame leaves: whoever receives that may send the next
    /// request at once, and must find the place free.
    slot: Option<Slot>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(requester: &'a Mutex<Requester>, id: RequestId, server: &'a str, slot: Option<Slot>) -> Self {
        Self { requester, id, server, gathered: Vec::new(), slot }
    }

    /// The one who asked.
    pub(crate) fn requester(&self) -> &'a Mutex<Requester> {
        self.requester
    }

    /// Adds a frame that leaves with the next ones.
    pub(crate) fn frame(&mut self, kind: Kind, header: &impl Serialize, body: &[u8]) -> Result<(), Lost> {
        let header = to_header(header);
        if self.gathered.len() + header.len() + body.len() > GATHERED {
            self.flush()?;
            if body.len() > GATHERED {
                let prefix = Prefix::new(kind, self.id, header.len(), body.len());
                return self.requester.lock().send(&prefix, &header, body);
            }
        }
        push_frame(&mut self.gathered, kind, self.id, &header, body);
        Ok(())
    }

    /// Sends what was gathered.
    pub(crate) fn flush(&mut self) -> Result<(), Lost> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let sent = self.requester.lock().send_raw(&self.gathered);
        self.gathered.clear();
        sent
    }

    /// The last frame of an answer that is complete. The server's name is filled in.
    pub(crate) fn end(self, end: End) -> Result<(), Lost> {
        let end = End { server: self.server.to_owned(), ..end };
        self.last(Kind::End, &end)
    }

    /// The last frame of an answer that failed, at its beginning or in its middle.
    pub(crate) fn fail(self, failure: Failure) -> Result<(), Lost> {
        let failure = failure.from_server(self.server);
        self.last(Kind::Error, &failure)
    }

    fn last(mut self, kind: Kind, header: &impl Serialize) -> Result<(), Lost> {
        self.frame(kind, header, &[])?;
        self.slot = None;
        self.flush()
    }
}
