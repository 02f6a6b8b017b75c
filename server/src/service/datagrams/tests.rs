//! A clerk who does not bear every datagram.

use super::*;
use std::net::Ipv4Addr;

/// How long anything may take before a test has failed.
const LONG: Duration = Duration::from_secs(60);

/// Echoes what comes, and panics at `!`, or when it is to tell.
struct Nervous {
    is_quick: bool,
    at_the_end: bool,
}

impl Clerk for Nervous {
    fn take(&self, datagram: &mut [u8], from: SocketAddr, outbox: &mut Outbox, _ending: &Ending) {
        assert!(datagram != b"!", "as the test wants it");
        outbox.push(datagram, Some(from));
    }

    fn sent(&self, _sent: &Sent) {}

    fn is_quick(&self) -> bool {
        self.is_quick
    }

    fn has_agents(&self) -> bool {
        false
    }

    fn tells_every(&self) -> Duration {
        TELL_EVERY
    }

    fn tell(&self) {
        assert!(!self.at_the_end, "as the test wants it");
    }
}

fn start(clerk: Nervous) -> (Datagrams, UdpSocket) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.connect(socket.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    (Datagrams::start(socket, Arc::new(clerk), "nervous", 1).unwrap(), client)
}

/// Sends this until its echo comes.
fn is_echoed(client: &UdpSocket, datagram: &[u8]) -> bool {
    let (until, mut buffer) = (Deadline::after(LONG), [0; 16]);
    while !until.has_passed() {
        client.send(datagram).unwrap();
        if client.recv(&mut buffer).is_ok_and(|length| &buffer[..length] == datagram) {
            return true;
        }
    }
    false
}

#[test]
fn a_panic_costs_one_datagram_and_no_thread() {
    for is_quick in [true, false] {
        let (datagrams, client) = start(Nervous { is_quick, at_the_end: false });
        assert!(is_echoed(&client, b"before"));
        client.send(b"!").unwrap();
        assert!(is_echoed(&client, b"behind"), "quick: {is_quick}");
        assert!(!datagrams.join(Duration::ZERO), "it is still there");
        datagrams.abort();
        assert!(datagrams.join(LONG));
    }
}

#[test]
fn a_thread_that_panics_is_not_waited_for() {
    let (datagrams, client) = start(Nervous { is_quick: true, at_the_end: true });
    assert!(is_echoed(&client, b"here"));
    datagrams.abort();
    assert!(datagrams.join(LONG));
}
