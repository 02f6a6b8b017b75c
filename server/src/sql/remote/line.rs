//! A connection to a database server that looks up while it waits.
//!
//! A read that blocks until the database answers cannot be ended by anybody. This one waits [`LOOK_EVERY`] at most, then asks
//! the [`Watch`]; and it asks as often while bytes come without end.
//!
//! A line begins in clear. Both engines agree on TLS in their own words over it first, and go on encrypted from there
//! ([`Line::secure`]).

use super::{Trouble, tls};
use crate::sql::{Interrupt, Watch, watch::LOOK_EVERY};
use bytes::BytesMut;
use protocol::{database::Tls, deadline::Deadline};
use rustls::ClientConnection;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

/// How long one attempt to connect may take: within a machine or a site it takes a millisecond.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// Bytes of one read.
const READ: usize = 64 * 1024;

/// Longest message that is taken, in bytes. A row that is longer could not be sent on either.
pub(in crate::sql) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A connection.
pub(in crate::sql) struct Line {
    stream: TcpStream,
    /// The encryption of what passes over the stream; none while it is in clear.
    secret: Option<Box<ClientConnection>>,
    /// Where it leads, for a second connection to the same place.
    pub(in crate::sql) address: SocketAddr,
    /// What has come and was not looked at.
    pub(in crate::sql) inbox: BytesMut,
    /// Where bytes arrive. Read straight into the inbox, each answer of a few bytes would cost room for a long one.
    desk: Box<[u8]>,
    /// When the watch was asked last.
    looked: Instant,
}

impl Line {
    /// Connects to the first address of the host that answers.
    pub(in crate::sql) fn connect(host: &str, port: u16) -> Result<Self, Trouble> {
        let place = || format!("{host}:{port}");
        let lost = |error: io::Error| Trouble::Lost(format!("the database at {} cannot be reached ({error})", place()));
        let addresses = (host, port).to_socket_addrs().map_err(lost)?;
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match Self::at(address) {
                Ok(line) => return Ok(line),
                Err(error) => last = error,
            }
        }
        Err(lost(last))
    }

    /// Connects to this address.
    pub(in crate::sql) fn at(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIME)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK_EVERY))?;
        stream.set_write_timeout(Some(LOOK_EVERY))?;
        Ok(Self {
            stream,
            secret: None,
            address,
            inbox: BytesMut::new(),
            desk: vec![0; READ].into(),
            looked: Instant::now(),
        })
    }

    /// Goes on encrypted, if that is asked for. The other end has agreed, and nothing that it said in clear may be waiting: it would be
    /// taken for a part of what comes encrypted.
    pub(in crate::sql) fn secure(&mut self, wish: &Tls, host: &str, watch: &dyn Watch) -> Result<(), Trouble> {
        let Some(mut secret) = tls::begin(wish, host)? else { return Ok(()) };
        if !self.inbox.is_empty() {
            return Err(Trouble::Lost("the database said something in clear behind its word for TLS".into()));
        }
        while secret.is_handshaking() {
            self.write_secret(&mut secret, watch)?;
            if secret.is_handshaking() {
                self.read_secret(&mut secret, watch)?;
            }
        }
        self.write_secret(&mut secret, watch)?;
        self.secret = Some(Box::new(secret));
        Ok(())
    }

    /// Sends all of this.
    pub(in crate::sql) fn send(&mut self, mut bytes: &[u8], watch: &dyn Watch) -> Result<(), Trouble> {
        if let Some(mut secret) = self.secret.take() {
            let sent = self.send_secretly(&mut secret, bytes, watch);
            self.secret = Some(secret);
            return sent;
        }
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(closed()),
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) => self.look_up(&error, watch)?,
            }
        }
        Ok(())
    }

    fn send_secretly(
        &mut self,
        secret: &mut ClientConnection,
        mut bytes: &[u8],
        watch: &dyn Watch,
    ) -> Result<(), Trouble> {
        while !bytes.is_empty() {
            // It takes as much as its buffer holds.
            let taken = secret.writer().write(bytes).map_err(|error| broken(&error))?;
            bytes = &bytes[taken..];
            self.write_secret(secret, watch)?;
        }
        Ok(())
    }

    /// Writes what waits to be written, encrypted.
    fn write_secret(&mut self, secret: &mut ClientConnection, watch: &dyn Watch) -> Result<(), Trouble> {
        while secret.wants_write() {
            match secret.write_tls(&mut self.stream) {
                Ok(0) => return Err(closed()),
                Ok(_) => {}
                Err(error) => self.look_up(&error, watch)?,
            }
        }
        Ok(())
    }

    /// Reads from the stream what comes next, and decrypts what is whole of it.
    fn read_secret(&mut self, secret: &mut ClientConnection, watch: &dyn Watch) -> Result<(), Trouble> {
        loop {
            match secret.read_tls(&mut self.stream) {
                Ok(0) => return Err(closed()),
                Ok(_) => {
                    let decrypted = secret.process_new_packets();
                    if let Err(error) = decrypted {
                        // The other end is told why, if it still listens.
                        let _told = self.write_secret(secret, watch);
                        return Err(tls::refused(&error));
                    }
                    return Ok(());
                }
                Err(error) => self.look_up(&error, watch)?,
            }
        }
    }

    /// Waits for more bytes in the inbox.
    pub(in crate::sql) fn fill(&mut self, watch: &dyn Watch) -> Result<(), Trouble> {
        if let Some(mut secret) = self.secret.take() {
            let filled = self.fill_secretly(&mut secret, watch);
            self.secret = Some(secret);
            return filled;
        }
        loop {
            match self.stream.read(&mut self.desk) {
                Ok(0) => return Err(closed()),
                Ok(read) => {
                    self.inbox.extend_from_slice(&self.desk[..read]);
                    return self.look_now_and_then(watch);
                }
                Err(error) => self.look_up(&error, watch)?,
            }
        }
    }

    fn fill_secretly(&mut self, secret: &mut ClientConnection, watch: &dyn Watch) -> Result<(), Trouble> {
        let before = self.inbox.len();
        while self.inbox.len() == before {
            self.read_secret(secret, watch)?;
            // All of it, so that nothing is left where `is_quiet` does not look.
            let there = secret.process_new_packets().map_err(|error| tls::refused(&error))?.plaintext_bytes_to_read();
            self.inbox.resize(before + there, 0);
            secret.reader().read_exact(&mut self.inbox[before..]).map_err(|error| broken(&error))?;
            self.write_secret(secret, watch)?;
            self.look_now_and_then(watch)?;
        }
        Ok(())
    }

    /// Ends the connection, which is of no use any more.
    #[cfg(feature = "postgres")]
    pub(in crate::sql) fn hang_up(&self) {
        // It fails where the other end has done so already.
        let _ended = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Whether nothing has come, and nobody has closed it, since it was used last.
    pub(in crate::sql) fn is_quiet(&self) -> bool {
        self.inbox.is_empty() && self.nothing_waits()
    }

    #[cfg(unix)]
    fn nothing_waits(&self) -> bool {
        use rustix::{io::Errno, net::RecvFlags};
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        rustix::net::recv(&self.stream, &mut [0; 1], flags).is_err_and(|error| error == Errno::WOULDBLOCK)
    }

    #[cfg(not(unix))]
    fn nothing_waits(&self) -> bool {
        let nothing = |peeked: io::Result<usize>| peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        let quiet = self.stream.set_nonblocking(true).is_ok() && nothing(self.stream.peek(&mut [0]));
        self.stream.set_nonblocking(false).is_ok() && quiet
    }

    fn look_up(&mut self, error: &io::Error, watch: &dyn Watch) -> Result<(), Trouble> {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.ask(watch),
            ErrorKind::Interrupted => Ok(()),
            _ => Err(broken(error)),
        }
    }

    /// Asks, if that was long enough ago: bytes may come without end.
    fn look_now_and_then(&mut self, watch: &dyn Watch) -> Result<(), Trouble> {
        if self.looked.elapsed() < LOOK_EVERY { Ok(()) } else { self.ask(watch) }
    }

    fn ask(&mut self, watch: &dyn Watch) -> Result<(), Trouble> {
        self.looked = Instant::now();
        watch.interrupted().map_or(Ok(()), |interrupt| Err(interrupt.into()))
    }
}

fn broken(error: &io::Error) -> Trouble {
    Trouble::Lost(format!("the connection to the database broke ({error})"))
}

fn closed() -> Trouble {
    Trouble::Lost("the database closed the connection".into())
}

/// A watch that knows only the clock: for what nobody may end half-way.
pub(in crate::sql) struct ByTime(Deadline);

impl ByTime {
    /// Ends things after this time.
    pub(in crate::sql) fn after(time: Duration) -> Self {
        Self(Deadline::after(time))
    }
}

impl Watch for ByTime {
    fn interrupted(&self) -> Option<Interrupt> {
        self.0.has_passed().then_some(Interrupt::TimeLimit)
    }
}

/// A watch with a limit of its own beside that of whoever asked: for what is done for a request, and should not take all its time.
pub(in crate::sql) struct InTime<'a> {
    limit: ByTime,
    asked: &'a dyn Watch,
}

impl<'a> InTime<'a> {
    /// Ends things after this time, or when `asked` says so.
    pub(in crate::sql) fn after(time: Duration, asked: &'a dyn Watch) -> Self {
        Self { limit: ByTime::after(time), asked }
    }
}

impl Watch for InTime<'_> {
    fn interrupted(&self) -> Option<Interrupt> {
        self.asked.interrupted().or_else(|| self.limit.interrupted())
    }
}
