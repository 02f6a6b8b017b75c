//! A port for a program that will listen on it, also when it is killed and started again.
//!
//! Between the moment at which a port is found free and that at which the program listens, somebody else may take it. So
//! none is given twice by this process, and each process begins to look at a place of its own: two laboratories that are
//! started one after the other, as tests do, look in different places.

use std::{
    net::{Ipv4Addr, TcpListener, UdpSocket},
    ops::Range,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where we look: below the ports that systems give to connections. A client that keeps connecting to a port among
/// those while nobody listens there may be given that very port for its own end, connect to itself, and so keep the
/// listener from coming back.
const RANGE: Range<u16> = 20_000..30_000;
/// Ports from the place of one process to that of the next: more than a laboratory needs.
const APART: u32 = 64;
/// Ports that are tried before the system is asked for any.
const TRIES: usize = 100;

/// How many this process has looked at.
static LOOKED_AT: AtomicU32 = AtomicU32::new(0);

/// A port of this machine on which nobody listens now, neither for connections nor for datagrams.
#[must_use]
pub fn free_port() -> u16 {
    let place = process::id().wrapping_mul(APART);
    let next = || nth(place.wrapping_add(LOOKED_AT.fetch_add(1, Ordering::Relaxed)));
    first_free(std::iter::repeat_with(next).take(TRIES)).unwrap_or_else(|| {
        let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        any.map_or(RANGE.start, |address| address.port())
    })
}

/// The port in this place of the range, which begins anew at its end.
fn nth(place: u32) -> u16 {
    let within = place % u32::from(RANGE.end - RANGE.start);
    RANGE.start + u16::try_from(within).unwrap_or_default()
}

fn first_free(mut ports: impl Iterator<Item = u16>) -> Option<u16> {
    ports.find(|port| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn none_is_given_twice_and_all_are_in_the_range() {
        let given: Vec<u16> = (0..300).map(|_| free_port()).collect();
        assert!(given.iter().all(|port| RANGE.contains(port)), "{given:?}");
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len(), "{given:?}");
        assert_eq!((nth(0), nth(9_999), nth(10_000)), (20_000, 29_999, 20_000));
    }

    #[test]
    fn a_port_on_which_somebody_listens_is_passed_over_for_datagrams_too() {
        let connections = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
        let taken = [connections.local_addr().unwrap().port(), datagrams.local_addr().unwrap().port()];
        assert_eq!(first_free(taken.into_iter()), None);
    }
}
