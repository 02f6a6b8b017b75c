//! The socket through which one server is asked in tagged mode, and the thread that hears its answers.
//!
//! It is connected: the system passes only what comes from the server's address to it, and says when nobody listens there.

use super::relay::Relay;
use crate::pool::Server;
use protocol::{
    datagrams::{BATCH, Inbox, LONGEST, Outbox, make_room},
    dns::socket_to,
};
use std::{
    io,
    net::UdpSocket,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Room for answers that nobody has read yet, in bytes: some thousand of them. The system may give less.
const ROOM: usize = 4 * 1024 * 1024;
/// How often the thread looks whether the server still belongs to the pool.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the thread pauses when its socket fails at once.
const PAUSE: Duration = Duration::from_millis(10);

/// A server, to be asked.
#[derive(Debug)]
pub struct Upstream {
    socket: Arc<UdpSocket>,
    server: Arc<Server>,
    over: AtomicBool,
}

impl Upstream {
    /// Opens a socket to this server, and starts the thread that hears its answers (`udp-ID`).
    ///
    /// # Errors
    /// If the system gives no socket or no thread.
    pub fn open(server: &Arc<Server>, relay: &Arc<Relay>) -> io::Result<Arc<Self>> {
        let socket = socket_to(server.address)?;
        make_room(&socket, ROOM);
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let upstream =
            Arc::new(Self { socket: Arc::new(socket), server: Arc::clone(server), over: AtomicBool::new(false) });
        let (own, relay) = (Arc::clone(&upstream), Arc::downgrade(relay));
        thread::Builder::new().name(format!("udp-{}", server.id)).spawn(move || own.hear(&relay))?;
        Ok(upstream)
    }

    /// The socket.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Whether nobody hears its answers any more.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Hears what the server says until it leaves the pool, or the relay is gone.
    fn hear(&self, relay: &Weak<Relay>) {
        let (mut inbox, mut outbox) = (Inbox::new(Arc::clone(&self.socket), BATCH, LONGEST), Outbox::new());
        let mut looked = Instant::now();
        loop {
            let received = inbox.receive();
            let Some(relay) = relay.upgrade() else { break };
            match received {
                Ok(0) => {}
                Ok(_) => relay.heard(&self.server, &mut inbox, &mut outbox),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => relay.lost(&self.server),
                // The network is down, and says so each time.
                Err(_) => {
                    relay.lost(&self.server);
                    thread::park_timeout(PAUSE);
                }
            }
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                if !relay.still_asks(&self.server) {
                    relay.forget(self.server.key);
                    break;
                }
            }
        }
        self.over.store(true, Ordering::Relaxed);
    }
}
