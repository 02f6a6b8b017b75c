//! Sending what is to go.

#[cfg(target_os = "linux")]
use super::alike;
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    ops::Range,
};

/// How often a datagram is tried again whose way the system reports as lost: it reports what became of an *earlier* one, and takes this
/// one at the next try.
const TRIES: u32 = 2;

/// Datagrams that are to be sent together. Its buffer is made once and grows to what the largest batch needs.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    any_order: bool,
    /// Whether the system has refused to take datagrams that are alike as one.
    #[cfg(target_os = "linux")]
    one_by_one: bool,
}

/// A datagram. Ordered so that those that are alike, of one length and to one receiver, stand together.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Its bytes.
    pub(super) length: usize,
    /// Its receiver; none on a connected socket.
    pub(super) to: Option<SocketAddr>,
    /// Its place in the batch.
    place: usize,
    start: usize,
}

impl Entry {
    /// Where its bytes are.
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.start + self.length
    }
}

/// What has become of a batch.
#[derive(Debug, Default)]
#[must_use]
pub struct Sent {
    /// How many the system has taken. It may still drop them.
    pub taken: usize,
    /// On a connected socket: an earlier datagram found nobody at the other side.
    pub refused: bool,
    /// Which ones the system did not take, by their places in the batch, and why.
    pub failed: Vec<(usize, io::Error)>,
}

impl Outbox {
    /// Nothing to be sent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing to be sent; what will be may overtake each other, also on its way to one receiver. Then those that are alike are
    /// handed over together, which saves most of what a datagram costs: see the module.
    #[must_use]
    pub fn in_any_order() -> Self {
        Self { any_order: true, ..Self::default() }
    }

    /// Adds a datagram, to this address, or to whom the socket is connected to.
    pub fn push(&mut self, bytes: &[u8], to: Option<SocketAddr>) {
        self.push_parts(&[bytes], to);
    }

    /// Adds a datagram that consists of these parts.
    pub fn push_parts(&mut self, parts: &[&[u8]], to: Option<SocketAddr>) {
        let start = self.bytes.len();
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.entries.push(Entry { length: self.bytes.len() - start, to, place: self.entries.len(), start });
    }

    /// How many are to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sends all, in the order in which they were added (unless any order will do), and is empty afterwards. What the system does not take is left out, and the rest
    /// is sent all the same.
    pub fn send(&mut self, socket: &UdpSocket) -> Sent {
        let mut sent = Sent::default();
        #[cfg(target_os = "linux")]
        self.send_alike(socket, &mut sent);
        let (mut next, mut tries) = (0, 0);
        while next < self.entries.len() {
            match self.send_from(socket, next) {
                Ok(count) => {
                    sent.taken += count;
                    (next, tries) = (next + count.max(1), 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                    sent.refused |= refused;
                    tries += 1;
                    if !refused || tries >= TRIES {
                        sent.failed.push((self.entries[next].place, error));
                        (next, tries) = (next + 1, 0);
                    }
                }
            }
        }
        self.bytes.clear();
        self.entries.clear();
        sent
    }

    /// Sends those that are alike, as far as the system takes them. All others, and what is to be said of them, remain.
    #[cfg(target_os = "linux")]
    fn send_alike(&mut self, socket: &UdpSocket, sent: &mut Sent) {
        if !self.any_order || self.one_by_one || self.entries.len() < 2 {
            return;
        }
        self.entries.sort_unstable();
        let gone = alike::send(socket, &self.bytes, &self.entries);
        self.one_by_one = gone.impossible;
        sent.refused |= gone.refused;
        sent.taken += gone.taken.len();
        let mut gone = gone.taken.into_iter().peekable();
        let mut at = 0;
        self.entries.retain(|_| {
            at += 1;
            gone.next_if_eq(&(at - 1)).is_none()
        });
        // Those that are left go in the order in which they were added.
        self.entries.sort_unstable_by_key(|entry| entry.place);
    }

    /// Sends some, from this one on, in one call; says how many. An error is that of the first.
    #[cfg(target_os = "linux")]
    fn send_from(&self, socket: &UdpSocket, next: usize) -> io::Result<usize> {
        use super::BATCH;
        use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
        let batch = &self.entries[next..self.entries.len().min(next + BATCH)];
        if batch.len() == 1 {
            return self.send_one(socket, next);
        }
        let slices: Vec<_> = batch.iter().map(|entry| [io::IoSlice::new(&self.bytes[entry.range()])]).collect();
        let addresses: Vec<_> = batch.iter().map(|entry| entry.to.map(SocketAddrAny::from)).collect();
        let mut controls: [SendAncillaryBuffer<'_, '_, '_>; BATCH] =
            std::array::from_fn(|_| SendAncillaryBuffer::default());
        let parts = slices.iter().zip(&addresses).zip(&mut controls);
        let mut headers: Vec<_> = parts
            .map(|((slice, address), control)| match address {
                Some(address) => MMsgHdr::new_with_addr(address, slice, control),
                None => MMsgHdr::new(slice, control),
            })
            .collect();
        Ok(sendmmsg(socket, &mut headers, SendFlags::empty())?)
    }

    #[cfg(not(target_os = "linux"))]
    fn send_from(&self, socket: &UdpSocket, next: usize) -> io::Result<usize> {
        self.send_one(socket, next)
    }

    fn send_one(&self, socket: &UdpSocket, next: usize) -> io::Result<usize> {
        let entry = &self.entries[next];
        let bytes = &self.bytes[entry.range()];
        match entry.to {
            Some(to) => socket.send_to(bytes, to),
            None => socket.send(bytes),
        }
        .map(|_| 1)
    }
}
