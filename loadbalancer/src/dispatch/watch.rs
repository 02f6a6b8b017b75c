//! Waiting for a server with an eye on the client.
//!
//! A server may compute for ten seconds. If the client gives up after one, the server should be told; so the thread
//! that waits for the answer also notices when its client closes the connection or takes the request back.
//!
//! What it cannot see: a client that has already sent its next request hides behind it what it does after that. Then
//! its going is noticed when it does not take the answer.

use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::RequestId,
    limits::HEADER_TIME,
    wire::{Connection, Pending, WireError, wait_either},
};
use std::time::Duration;

/// How long a server is waited for alone before the client is looked at. Most answers come sooner and save a
/// system call.
const ALONE: Duration = Duration::from_millis(20);

/// What came first.
#[derive(Debug)]
pub enum Next {
    /// A frame of the server; its header is where the caller wanted it, its body still to be read.
    Frame(Prefix),
    /// Nothing until the deadline.
    Silence,
    /// The client took the request back, or is gone.
    Withdrawn,
    /// The connection to the server failed.
    Lost(WireError),
}

/// Waits for the next frame of a server that works on this `request` of the client.
pub fn next_frame(
    server: &mut Connection,
    client: &mut Connection,
    header: &mut Vec<u8>,
    request: RequestId,
    deadline: Deadline,
) -> Next {
    let mut until = Deadline::after(ALONE).min(deadline);
    let mut watching = true;
    loop {
        match server.next(header, Phase::Answer, Some(until), HEADER_TIME) {
            Ok(Some(prefix)) => return Next::Frame(prefix),
            Ok(None) => return Next::Lost(WireError::Closed { peer: server.peer(), phase: Phase::Answer }),
            Err(WireError::Timeout { phase: Phase::Answer, .. }) if deadline.has_passed() => return Next::Silence,
            Err(WireError::Timeout { phase: Phase::Answer, .. }) => {}
            Err(error) => return Next::Lost(error),
        }
        while watching {
            let Ok(ready) = wait_either(server, client, deadline) else { break };
            if ready.second && withdrawn(client, request) {
                return Next::Withdrawn;
            }
            // A client that has sent its next request already cannot be watched any further: its bytes would be
            // found again and again.
            watching = !ready.second;
            if ready.first || deadline.has_passed() {
                break;
            }
        }
        until = deadline;
    }
}

/// Whether the client is gone, or its next frame takes this request back (that frame is then consumed). Never waits.
pub fn withdrawn(client: &mut Connection, request: RequestId) -> bool {
    match client.pending() {
        Pending::Nothing => false,
        Pending::Gone => true,
        Pending::Bytes => client.take_if(|prefix| prefix.kind == Kind::Cancel && prefix.id == request),
    }
}
