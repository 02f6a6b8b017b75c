//! The service `reverse`: datagrams, turned around.
//!
//! **The unit of work is a datagram.** Its last bytes ([`tag_bytes`](crate::Config::tag_bytes)) belong to the agent in between, which
//! needs them to find the way back; they stay as they are. The rest is the payload, and comes back with its last byte first:
//!
//! ```text
//! asked     1  2  3  hi lo       --tag-bytes 2, as the original's agents append
//! answered  3  2  1  hi lo
//! ```
//!
//! With longer tags `--tag-bytes 8`, say; asked without an agent, 0.
//!
//! **Never answered**: a datagram without a payload, of which nothing but a tag is there. It is counted. An answer is as long as
//! its question, so nobody is flooded with more than the asker has sent himself.
//!
//! **When it is wrong.** The sender's address of a datagram can be forged, and is believed.
//!
//! What the kernel has dropped, because it came faster than it was taken, is looked up and told.

mod statistics;

use super::{
    Terms,
    datagrams::{Clerk, Ending},
};
use crate::{Config, StartError, ring::Outage};
use protocol::{
    datagrams::{Outbox, Sent},
    output::{say, warn},
};
use statistics::Statistics;
use std::{fs::File, net::SocketAddr, sync::Arc, time::Duration};

pub(super) use statistics::open_csv;

/// Turns datagrams around.
pub(crate) struct Reverse {
    terms: Terms,
    tag: usize,
    outage: Arc<Outage>,
    statistics: Statistics,
    tells_every: Duration,
}

impl Reverse {
    /// At this address; the figures go there, too.
    pub(super) fn new(
        config: &Config,
        terms: Terms,
        outage: &Arc<Outage>,
        address: SocketAddr,
        csv: Option<Arc<File>>,
    ) -> Self {
        Self {
            terms,
            tag: config.tag_bytes,
            outage: Arc::clone(outage),
            statistics: Statistics::new(address, csv),
            tells_every: config.statistics_every,
        }
    }
}

impl Clerk for Reverse {
    fn take(&self, datagram: &mut [u8], from: SocketAddr, outbox: &mut Outbox, ending: &Ending) {
        if self.outage.is_down() {
            return self.statistics.while_down.add(1);
        }
        if !turn_around(datagram, self.tag) {
            return self.statistics.malformed.add(1);
        }
        let slot = self.terms.slots.take();
        let spent = self.terms.spend(ending, None);
        drop(slot);
        // It may have gone down meanwhile, and then answers nothing.
        if spent.is_err() || self.outage.is_down() {
            return self.statistics.while_down.add(1);
        }
        outbox.push(datagram, Some(from));
    }

    fn sent(&self, sent: &Sent) {
        self.statistics.answered.add(sent.taken as u64);
        self.statistics.not_sent.add(sent.failed.len() as u64);
    }

    fn is_quick(&self) -> bool {
        self.terms.is_quick()
    }

    fn has_agents(&self) -> bool {
        true
    }

    fn tells_every(&self) -> Duration {
        self.tells_every
    }

    fn tell(&self) {
        self.statistics.tell();
    }
}

/// Turns the payload in front of the tag around. False if there is no payload.
fn turn_around(datagram: &mut [u8], tag: usize) -> bool {
    match datagram.len().checked_sub(tag) {
        None | Some(0) => false,
        Some(payload) => {
            datagram[..payload].reverse();
            true
        }
    }
}

#[cfg(test)]
mod tests;
