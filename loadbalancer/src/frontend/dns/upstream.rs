//! The socket through which one name server is asked, and the thread that hears its answers.
//!
//! Whoever wants to be believed in the server's name must guess the socket's port and the id.

use super::{
    mail::{LOOKS, Mail},
    relay::Relay,
};
use crate::{policy::ServerKey, pool::Server};
use protocol::{
    datagrams::{BATCH, Inbox, LONGEST, make_room},
    dns::socket_to,
};
use std::{
    io,
    net::UdpSocket,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

/// Room for answers that nobody has read yet, in bytes: some thousand of them. The system may give less.
const RECEIVE_ROOM: usize = 4 * 1024 * 1024;
/// How often the thread looks whether the server still belongs to the pool.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the thread pauses when its socket fails at once.
const PAUSE: Duration = Duration::from_millis(10);

/// A name server, to be asked.
#[derive(Debug)]
pub struct Upstream {
    socket: Arc<UdpSocket>,
    server: Arc<Server>,
}

impl Upstream {
    /// Opens a socket to this server, and starts the thread that hears its answers (`dns-ID`).
    ///
    /// # Errors
    /// If the system gives no socket or no thread.
    pub fn open(server: &Arc<Server>, relay: &Arc<Relay>) -> io::Result<Arc<Self>> {
        let socket = socket_to(server.address)?;
        make_room(&socket, RECEIVE_ROOM);
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let upstream = Arc::new(Self { socket: Arc::new(socket), server: Arc::clone(server) });
        let (own, relay) = (Arc::clone(&upstream), Arc::downgrade(relay));
        thread::Builder::new().name(format!("dns-{}", server.id)).spawn(move || own.hear(&relay))?;
        Ok(upstream)
    }

    /// What queries to it leave from.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Its name in the pool.
    #[must_use]
    pub fn key(&self) -> ServerKey {
        self.server.key
    }

    /// Hears what the server says until it leaves the pool, or the relay is gone.
    fn hear(&self, relay: &Weak<Relay>) {
        let (mut inbox, mut mail) = (Inbox::new(Arc::clone(&self.socket), BATCH, LONGEST), Mail::default());
        loop {
            let received = inbox.receive_after(LOOKS);
            let Some(relay) = relay.upgrade() else { return };
            match received {
                Ok(0) => {
                    if !relay.still_asks(&self.server) {
                        return relay.forget(self.key());
                    }
                }
                Ok(_) => {
                    inbox.iter_mut().for_each(|(bytes, _)| relay.heard(&self.server, bytes, &mut mail));
                    relay.post(&mut mail);
                }
                // ICMP: nobody listens at that port. Or the network is down, and says so each time.
                Err(error) => {
                    relay.lost(&self.server, &mut mail);
                    relay.post(&mut mail);
                    if error.kind() != io::ErrorKind::ConnectionRefused {
                        thread::park_timeout(PAUSE);
                    }
                }
            }
        }
    }
}
