//! A request at a server: sent, and not answered yet.

use super::{Context, request::Request, retry::Lost, story::Story};
use crate::{policy::Ended, pool::Lease};
use protocol::{deadline::Deadline, id::RequestId, limits::ATTEMPT_GRACE, wire::Connection};
use std::{sync::Arc, time::Duration};

/// A request at a server. Dropping it drops the lease: then the server gets nothing new until it has been asked.
#[derive(Debug)]
pub struct Runner {
    /// The connection. Before the lease, because it must be closed before anybody asks the server what it is still doing.
    pub link: Connection,
    /// The place at the server.
    pub lease: Lease,
    /// The name that only this attempt has: the answer must carry it.
    pub tag: RequestId,
    /// Whether the server was told that it must not write for it.
    pub marked: bool,
    /// When the first byte of the answer must be there.
    pub deadline: Deadline,
}

impl Runner {
    /// Sends the request to the server of this lease, which must accept a connection `within` a time; `marked`: as one that
    /// must not write.
    ///
    /// # Errors
    /// Why the request was not sent whole.
    pub fn start(
        context: &Context,
        lease: Lease,
        request: &Request,
        story: &Story,
        marked: bool,
        within: Duration,
    ) -> Result<Self, (Lost, String)> {
        let lost = |error: protocol::wire::WireError| (Lost::BeforeSent, error.to_string());
        let tag = context.tags.next();
        let mut link = lease.server().connection(within).map_err(lost)?;
        let (prefix, header) = story.ask(request);
        let prefix = if marked { prefix.as_read_only() } else { prefix };
        link.send(&prefix.with_id(tag), &header, &request.body).map_err(lost)?;
        lease.server().statistics.bytes_in.add((header.len() + request.body.len()) as u64);
        let time = lease.server().processing_time + ATTEMPT_GRACE + story.reread_time();
        let deadline = Deadline::after(time).min(story.deadline);
        Ok(Self { link, lease, tag, marked, deadline })
    }

    /// The server is done with the request, and its connection is read to the end: both are free.
    pub fn done(self, ended: Ended) {
        let server = Arc::clone(self.lease.server());
        server.keep(self.link);
        self.lease.finish(ended);
    }
}
