//! What a batch of requests becomes: for each server what goes to it.

use super::upstream::Upstream;
use crate::policy::ServerKey;
use protocol::datagrams::{Outbox, Sent};
use std::{collections::HashMap, sync::Arc};

/// Datagrams for servers, sorted by them. Kept from batch to batch.
#[derive(Debug, Default)]
pub struct Outgoing {
    boxes: HashMap<ServerKey, (Arc<Upstream>, Outbox)>,
}

impl Outgoing {
    /// Whether the way to this server is known and open.
    pub fn leads_to(&self, server: ServerKey) -> bool {
        self.boxes.get(&server).is_some_and(|(upstream, _)| !upstream.is_over())
    }

    /// From now on what is for this server goes this way.
    pub fn lead(&mut self, upstream: Arc<Upstream>) {
        self.boxes.retain(|_, (upstream, _)| !upstream.is_over());
        self.boxes.insert(upstream.server().key, (upstream, Outbox::new()));
    }

    /// Adds a datagram for a server to which a way leads.
    pub fn push(&mut self, server: ServerKey, parts: &[&[u8]]) {
        if let Some((_, outbox)) = self.boxes.get_mut(&server) {
            outbox.push_parts(parts, None);
        }
    }

    /// Sends all, and tells of each server what became of it.
    pub fn send(&mut self, mut tell: impl FnMut(&Upstream, Sent)) {
        for (upstream, outbox) in self.boxes.values_mut().filter(|(_, outbox)| !outbox.is_empty()) {
            let sent = outbox.send(upstream.socket());
            tell(upstream, sent);
        }
    }
}
