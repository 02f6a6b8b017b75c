//! Asking in datagrams.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

/// A socket through which this server is asked, and nobody else: the system draws its port, passes only datagrams of that
/// server to it, and tells when nobody listens there.
///
/// # Errors
/// If the system gives none.
pub fn socket_to(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = match server {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }?;
    socket.connect(server)?;
    Ok(socket)
}
