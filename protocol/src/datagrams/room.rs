//! Room in the kernel for what has come and was not taken yet.

use socket2::SockRef;
use std::net::UdpSocket;

/// Asks for so many bytes of room for received datagrams, and says how many the system gave, 0 if it does not tell. On Linux
/// it is never more than `net.core.rmem_max`, which this can say with a sysctl.
///
/// The system counts what its own records take: on Linux a datagram of a few bytes takes 768 (and the answer is twice what was
/// asked for, because it is meant to hold that much of them too).
pub fn make_room(socket: &UdpSocket, bytes: usize) -> usize {
    let socket = SockRef::from(socket);
    let _as_much_as_it_allows = socket.set_recv_buffer_size(bytes);
    socket.recv_buffer_size().unwrap_or(0)
}
