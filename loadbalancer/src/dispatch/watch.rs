//! Waiting for a server with an eye on the client.
//!
//! A server may compute for ten seconds. If the client gives up after one, the server should be told; so the thread
//! that waits for the answer also notices when its client closes the connection or takes the request back.

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
pub enum First {
    /// The first frame of the answer; its header is where the caller wanted it, its body still to be read.
    Frame(Prefix),
    /// Nothing until the deadline.
    Silence,
    /// The client took the request back, or is gone.
    Withdrawn,
    /// The connection to the server failed.
    Lost(WireError),
}

/// Waits for the first frame of an answer to `tag`.
pub fn first_frame(
    server: &mut Connection,
    client: &mut Connection,
    header: &mut Vec<u8>,
    request: RequestId,
    tag: RequestId,
    deadline: Deadline,
) -> First {
    let mut alone = Deadline::after(ALONE).min(deadline);
    let mut watching = true;
    loop {
        match server.next(header, Phase::Answer, Some(alone), HEADER_TIME) {
            Ok(Some(prefix)) if prefix.id == tag => return First::Frame(prefix),
            Ok(Some(foreign)) => {
                if let Err(error) = server.skip_body(foreign.body_len as usize) {
                    return First::Lost(error);
                }
                continue;
            }
            Ok(None) => return First::Lost(WireError::Closed { peer: server.peer(), phase: Phase::Answer }),
            Err(WireError::Timeout { phase: Phase::Answer, .. }) if deadline.has_passed() => return First::Silence,
            Err(WireError::Timeout { phase: Phase::Answer, .. }) => {}
            Err(error) => return First::Lost(error),
        }
        while watching {
            let Ok(ready) = wait_either(server, client, deadline) else { break };
            if ready.second && withdrawn(client, request) {
                return First::Withdrawn;
            }
            // A client that has sent its next request already cannot be watched any further: its bytes would be
            // found again and again.
            watching = !ready.second;
            if ready.first || deadline.has_passed() {
                break;
            }
        }
        alone = deadline;
    }
}

/// Whether the client is gone, or its next frame takes this request back (that frame is then consumed).
pub fn withdrawn(client: &mut Connection, request: RequestId) -> bool {
    match client.pending() {
        Pending::Nothing => false,
        Pending::Gone => true,
        Pending::Bytes => {
            let next = client.peek_prefix();
            let cancels = next.is_some_and(|prefix| prefix.kind == Kind::Cancel && prefix.id == request);
            cancels && client.next(&mut Vec::new(), Phase::Idle, None, HEADER_TIME).is_ok()
        }
    }
}
