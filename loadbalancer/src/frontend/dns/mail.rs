//! What a thread is about to send: queries to servers, and answers to askers, each kind in one system call.
//!
//! **The idea.** A thread takes all datagrams that have come ([`Inbox`](protocol::datagrams::Inbox)), does what each asks for, and
//! sends what has gathered. When there is one at a time, that is as quick as sending at once; the more there is to do, the less
//! each costs.

use super::upstream::Upstream;
use crate::policy::ServerKey;
use protocol::datagrams::Outbox;
use std::{net::SocketAddr, sync::Arc};

/// How often a thread looks for datagrams before it sleeps: see [`Inbox::receive_after`](protocol::datagrams::Inbox::receive_after).
pub const LOOKS: u32 = 2;

/// Datagrams that wait for being sent together. One thread's own.
#[derive(Debug)]
pub struct Mail {
    answers: Outbox,
    queries: Vec<(Arc<Upstream>, Outbox)>,
    /// Empty ones, which have their memory already.
    spare: Vec<Outbox>,
}

impl Default for Mail {
    fn default() -> Self {
        // Each query and each answer stands for itself: over UDP they may overtake each other anyway.
        Self { answers: Outbox::in_any_order(), queries: Vec::new(), spare: Vec::new() }
    }
}

impl Mail {
    /// An answer, to who has asked.
    pub fn answer(&mut self, bytes: &[u8], to: SocketAddr) {
        self.answers.push(bytes, Some(to));
    }

    /// A query to a server. `find` says through which socket, if this is the first one to it.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn query<E>(
        &mut self,
        bytes: &[u8],
        server: ServerKey,
        find: impl FnOnce() -> Result<Arc<Upstream>, E>,
    ) -> Result<(), E> {
        if let Some((_, outbox)) = self.queries.iter_mut().find(|(upstream, _)| upstream.key() == server) {
            outbox.push(bytes, None);
            return Ok(());
        }
        let (upstream, mut outbox) = (find()?, self.spare.pop().unwrap_or_else(Outbox::in_any_order));
        outbox.push(bytes, None);
        self.queries.push((upstream, outbox));
        Ok(())
    }

    /// All answers, to be sent.
    pub fn answers(&mut self) -> &mut Outbox {
        &mut self.answers
    }

    /// Sends the queries to one server; `None` if there are none left. Says whether that server is lost: nobody listens there,
    /// as far as the system knows.
    pub fn send_queries(&mut self) -> Option<(Arc<Upstream>, bool)> {
        let (upstream, mut outbox) = self.queries.pop()?;
        let sent = outbox.send(upstream.socket());
        self.spare.push(outbox);
        Some((upstream, sent.refused || !sent.failed.is_empty()))
    }
}
