//! Peers that vanish without a word: a cable is pulled, a machine loses power, packets are dropped.
//!
//! A process that dies closes its connections, because its system does that for it. A machine that is gone closes
//! nothing, and a connection on which nothing is sent looks healthy for ever. Every wait of ours for an *answer* has a
//! deadline, but a connection that waits for the next *request* has none. So the system is asked to look: after
//! [`QUIET`] it probes a silent peer, and gives up a connection on which nothing is acknowledged for [`UNACKNOWLEDGED`].
//!
//! Sources: RFC 1122 §4.2.3.6 (keep-alives), RFC 5482 (user timeout), `tcp(7)`.

use socket2::{SockRef, TcpKeepalive};
use std::{io, net::TcpStream, time::Duration};

/// How long a peer may be silent before it is probed.
const QUIET: Duration = Duration::from_secs(15);
/// How often it is probed then.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long what was sent (a probe, too) may stay without an acknowledgement.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Has the system notice that the peer has vanished.
pub(super) fn notice(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(QUIET).with_interval(PROBE_EVERY))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    #[cfg(not(target_os = "linux"))]
    let _only_on_linux = UNACKNOWLEDGED;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_system_is_asked_to_look() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        notice(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }
}
