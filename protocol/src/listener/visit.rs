//! One connection while it is being served, and who serves it.

use std::{
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many connections as allowed are being served.
    TooManyConnections,
    /// The process has no file descriptor left.
    NoDescriptors,
    /// The system gave no further thread.
    NoThread,
}

/// What a crew does with its connections.
pub trait Handler: Send + Sync + 'static {
    /// Serves one connection to its end. A panic in here ends this connection alone.
    fn serve(&self, visit: &Visit);
    /// Tells a peer, briefly and without blocking for long, that it is not served.
    fn refuse(&self, stream: &TcpStream, why: Refusal);
    /// Is told that serving panicked, with the message.
    fn panicked(&self, _message: &str) {}
}

/// One connection while it is being served.
#[derive(Debug)]
pub struct Visit {
    pub(super) stream: Arc<TcpStream>,
    /// Whether it waits for a next request (and may be shut down by a drain).
    pub(super) waiting: AtomicBool,
    pub(super) draining: Arc<AtomicBool>,
}

impl Visit {
    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Whether the program is ending and no further request should be taken.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Runs `wait`, which waits for the peer's next request. If the listener is drained meanwhile (or is already)
    /// the receiving side is shut down, so that the wait ends as if the peer had closed.
    pub fn wait_for_request<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.waiting.store(true, Ordering::SeqCst);
        // The drain sets its flag before it looks at `waiting`, we set `waiting` before we look at the flag: one of
        // the two sees the other.
        if self.draining() {
            let _ = self.stream.shutdown(Shutdown::Read);
        }
        let result = wait();
        self.waiting.store(false, Ordering::SeqCst);
        result
    }
}
