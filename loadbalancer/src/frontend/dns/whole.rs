//! An answer that is too long for a datagram: asked for over a connection.

use super::relay::Relay;
use crate::{
    dispatch::retry::MAX_ATTEMPTS,
    policy::Ended,
    pool::{Server, Taking, Wanted},
};
use protocol::{
    deadline::Deadline,
    dns::{Inquiry, Message, receive, send},
};
use std::time::Duration;

/// How long a server may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// Asks servers over connections, one after the other, until one has answered whole. Blocks the thread of the connection
/// for which it is done.
pub fn whole(relay: &Relay, inquiry: &Inquiry, deadline: Deadline) -> Option<Vec<u8>> {
    let mut wanted = Wanted::default();
    for _ in 0..MAX_ATTEMPTS {
        let Ok(Taking::Server(found)) = relay.pool.take(&wanted) else { return None };
        let server = found.lease.server();
        if wanted.avoid.contains(&server.key) {
            found.lease.finish(Ended::Cancelled);
            return None;
        }
        wanted.avoid.push(server.key);
        let said = ask(server, inquiry, deadline);
        found.lease.finish(if said.is_some() { Ended::Answered } else { Ended::Failed });
        if said.is_some() {
            return said;
        }
    }
    None
}

/// Asks this server on a connection that was kept, which it may have ended meanwhile, and then on a new one.
fn ask(server: &Server, inquiry: &Inquiry, deadline: Deadline) -> Option<Vec<u8>> {
    let id = fastrand::u16(..);
    let kept = server.kept_connection().into_iter();
    let mut connections = kept.chain(std::iter::once_with(|| server.fresh_connection(CONNECT_TIME)).flatten());
    connections.find_map(|mut connection| {
        send(&mut connection, &inquiry.onward(id)).ok()?;
        let received = receive(&mut connection, Some(deadline), deadline.remaining()).ok()??;
        let answer = Message::parse(&received).ok()?;
        let ours = answer.answers(id, &inquiry.question);
        let said = (ours && !answer.flags.is_truncated()).then(|| inquiry.relayed(&answer))?;
        server.keep(connection);
        Some(said)
    })
}
