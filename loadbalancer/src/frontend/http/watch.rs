//! Waiting for a server with an eye on the client, as [`crate::dispatch::watch`] does it for the lab protocol.
//!
//! A client that closes its connection does not want its answer any more. One that said `Connection: close`, or speaks
//! HTTP/1.0, may have ended its sending half only, because it has nothing more to say (`nc -N` does so): it still wants
//! the answer.

use protocol::{
    deadline::{Deadline, Phase},
    http::{HttpConnection, HttpError, Request},
    wire::{Pending, WireError, wait_either},
};
use std::time::Duration;

/// How long a server is waited for alone before the client is looked at. Most answers come sooner and save a system call.
const ALONE: Duration = Duration::from_millis(16);

/// What a wait has led to.
#[derive(Debug)]
pub(super) enum Came {
    /// The server says something.
    Word,
    /// Nothing until the deadline.
    Silence,
    /// The client is gone.
    ClientGone,
    /// The server has ended the connection.
    End,
    /// The connection to the server failed.
    Broken(String),
}

/// Whether nobody wants the answer any more.
pub(super) fn is_gone(client: &HttpConnection, request: &Request) -> bool {
    request.keep_alive && client.wire().pending() == Pending::Gone
}

/// Waits for the next bytes of a server.
pub(super) fn for_server(
    server: &mut HttpConnection,
    client: &HttpConnection,
    request: &Request,
    deadline: Deadline,
) -> Came {
    let mut until = Deadline::after(ALONE).min(deadline);
    let mut watching = request.keep_alive;
    loop {
        match server.wait(Phase::Answer, Some(until)) {
            Ok(true) => return Came::Word,
            Ok(false) => return Came::End,
            Err(HttpError::Wire(WireError::Timeout { .. })) if deadline.has_passed() => return Came::Silence,
            Err(HttpError::Wire(WireError::Timeout { .. })) => {}
            Err(error) => return Came::Broken(error.sentence()),
        }
        while watching {
            let Ok(ready) = wait_either(server.wire(), client.wire(), deadline) else { break };
            if ready.second && is_gone(client, request) {
                return Came::ClientGone;
            }
            // A client that has sent its next request already cannot be watched any further.
            watching = !ready.second;
            if ready.first || deadline.has_passed() {
                break;
            }
        }
        until = deadline;
    }
}
