//! Taking what has come.

use super::BATCH;
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

/// Datagrams that were received together. Its buffers are made once and filled again by each [`receive`](Self::receive). Made in the thread
/// that uses it, because it cannot leave that.
#[derive(Debug)]
pub struct Inbox {
    /// Always the same, because the system's headers keep how long its addresses are.
    socket: Arc<UdpSocket>,
    /// One buffer after the other, each a byte longer than what is taken: what fills that byte was longer.
    bytes: Vec<u8>,
    size: usize,
    /// Length and sender of those in the first buffers.
    received: Vec<(usize, SocketAddr)>,
    too_long: u64,
    #[cfg(target_os = "linux")]
    headers: nix::sys::socket::MultiHeaders<nix::sys::socket::SockaddrStorage>,
}

impl Inbox {
    /// For datagrams of this socket: at most `count` at a time (1 to [`BATCH`]), of at most `size` bytes.
    #[must_use]
    pub fn new(socket: Arc<UdpSocket>, count: usize, size: usize) -> Self {
        let count = count.clamp(1, BATCH);
        Self {
            socket,
            bytes: vec![0; count * (size + 1)],
            size,
            received: Vec::with_capacity(count),
            too_long: 0,
            #[cfg(target_os = "linux")]
            headers: nix::sys::socket::MultiHeaders::preallocate(count, None),
        }
    }

    /// Waits for datagrams, at most as long as the socket's read timeout, and takes all that are there. Returns how many:
    /// none if the wait was over, was interrupted, or if those that came were too long.
    ///
    /// # Errors
    /// What the system says of the socket. `ConnectionRefused` on a connected socket: nobody listens there, as far as an earlier
    /// datagram found out.
    pub fn receive(&mut self) -> io::Result<usize> {
        self.take_all(true)
    }

    /// Takes what is there and does not wait for anything, where the system has a call for that (on Linux); elsewhere nothing.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn look(&mut self) -> io::Result<usize> {
        if cfg!(target_os = "linux") { self.take_all(false) } else { Ok(0) }
    }

    /// Looks so many times, giving the core away behind each look in vain, and only then waits. Who is not asleep need not be
    /// woken, which costs as much as a datagram; and whoever runs meanwhile fills the next batch. The idea and when it is wrong:
    /// `wire/reading.rs`.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_after(&mut self, looks: u32) -> io::Result<usize> {
        for _ in 0..looks {
            match self.look()? {
                0 => std::thread::yield_now(),
                count => return Ok(count),
            }
        }
        self.receive()
    }

    fn take_all(&mut self, wait: bool) -> io::Result<usize> {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        self.received.clear();
        match self.take(wait) {
            Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => Ok(0),
            Err(error) => Err(error),
            Ok(()) => {
                let too_long = self.received.iter().filter(|(length, _)| *length > self.size).count();
                self.too_long += too_long as u64;
                Ok(self.received.len() - too_long)
            }
        }
    }

    /// The datagrams that came last, and who sent each. They may be changed where they are.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&mut [u8], SocketAddr)> {
        let size = self.size;
        let buffers = self.bytes.chunks_exact_mut(size + 1).zip(&self.received);
        buffers
            .filter(move |(_, (length, _))| *length <= size)
            .map(|(buffer, (length, from))| (&mut buffer[..*length], *from))
    }

    /// How many datagrams were left out so far because they were longer than there is room for.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Arc<UdpSocket> {
        &self.socket
    }

    #[cfg(target_os = "linux")]
    fn take(&mut self, wait: bool) -> io::Result<()> {
        use nix::sys::socket::{MsgFlags, recvmmsg};
        use std::{io::IoSliceMut, os::fd::AsRawFd as _};
        let Self { socket, bytes, size, received, headers, .. } = self;
        let mut buffers: Vec<_> = bytes.chunks_exact_mut(*size + 1).map(|one| [IoSliceMut::new(one)]).collect();
        let flags = if wait { MsgFlags::MSG_WAITFORONE } else { MsgFlags::MSG_DONTWAIT };
        let came = recvmmsg(socket.as_raw_fd(), headers, &mut buffers, flags, None)?;
        received.extend(came.map(|one| (one.bytes, one.address.as_ref().and_then(sender).unwrap_or(NOBODY))));
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn take(&mut self, _wait: bool) -> io::Result<()> {
        self.received.push(self.socket.recv_from(&mut self.bytes[..=self.size])?);
        Ok(())
    }
}

/// Stands for a sender whose address is of another kind than IP. There is none on a UDP socket.
#[cfg(target_os = "linux")]
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

#[cfg(target_os = "linux")]
fn sender(address: &nix::sys::socket::SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}
