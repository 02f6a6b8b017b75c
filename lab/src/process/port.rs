//! A port for a program that will listen on it, also when it is killed and started again.

use std::net::{Ipv4Addr, TcpListener};

/// Where we look: below the ports that systems give to connections. A client that keeps connecting to a port among
/// those while nobody listens there may be given that very port for its own end, connect to itself, and so keep the
/// listener from coming back.
const RANGE: std::ops::Range<u16> = 20_000..30_000;
/// Ports that are tried before the system is asked for any.
const TRIES: usize = 100;

/// A port of this machine on which nobody listens now.
#[must_use]
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut tried = std::iter::repeat_with(|| fastrand::u16(RANGE)).take(TRIES);
    tried.find(is_free).unwrap_or_else(|| {
        let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        any.map_or(RANGE.start, |address| address.port())
    })
}
