//! What the kernel has dropped of what is for this frontend.

use protocol::datagrams::dropped;
use std::{collections::HashMap, net::SocketAddr};

/// What was known last of each socket.
#[derive(Debug, Default)]
pub struct Kernel {
    known: HashMap<SocketAddr, u64>,
}

impl Kernel {
    /// How many datagrams to these sockets were dropped since the last look.
    pub fn look(&mut self, sockets: &[SocketAddr]) -> u64 {
        self.known.retain(|socket, _| sockets.contains(socket));
        let new = sockets.iter().filter_map(|socket| {
            let count = dropped(*socket)?;
            let before = self.known.insert(*socket, count).unwrap_or(0);
            Some(count.saturating_sub(before))
        });
        new.sum()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn what_overflows_is_counted_once() {
        let (full, sender) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = full.local_addr().unwrap();
        protocol::datagrams::make_room(&full, 2_048);
        let mut kernel = Kernel::default();
        assert_eq!(kernel.look(&[address]), 0);
        for _ in 0..100 {
            sender.send_to(&[0; 1_000], address).unwrap();
        }
        let dropped = kernel.look(&[address]);
        assert!((50..100).contains(&dropped), "{dropped}");
        assert_eq!(kernel.look(&[address]), 0);
        sender.send_to(&[0; 1_000], address).unwrap();
        assert_eq!((kernel.look(&[address]), kernel.look(&[])), (1, 0));
    }
}
