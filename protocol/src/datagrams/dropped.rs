//! What the kernel has dropped because a socket's buffer was full.

use std::net::SocketAddr;

/// How many datagrams to the socket of this address the kernel has dropped, where it tells: on Linux. The whole table of
/// sockets is read, so it is looked up now and then only.
#[must_use]
pub fn dropped(address: SocketAddr) -> Option<u64> {
    let table = std::fs::read_to_string(if address.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" }).ok()?;
    find(&table, address)
}

/// Looks for the socket in the table: its second column is the address in hexadecimal (each 32 bits in the machine's order,
/// so only the port is easy to compare; two sockets on a port of different addresses are told apart by the address's last
/// group for IPv4), and the last column is the count.
fn find(table: &str, address: SocketAddr) -> Option<u64> {
    let port = format!(":{:04X}", address.port());
    let ip = match address {
        SocketAddr::V4(v4) => format!("{:08X}", u32::from_ne_bytes(v4.ip().octets())),
        SocketAddr::V6(v6) => {
            let groups = v6.ip().octets();
            groups
                .chunks(4)
                .map(|four| format!("{:08X}", u32::from_ne_bytes([four[0], four[1], four[2], four[3]])))
                .collect()
        }
    };
    let wanted = format!("{ip}{port}");
    let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(&wanted))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn the_last_column_of_the_right_line_counts() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                      101: 0100007F:1771 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7 2 0 42\n\
                      102: 0100007F:1772 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 8 2 0 3\n";
        if cfg!(target_endian = "little") {
            assert_eq!(find(table, "127.0.0.1:6002".parse().unwrap()), Some(3));
        }
        assert_eq!(find(table, "127.0.0.1:6003".parse().unwrap()), None);
        assert_eq!(find("", "[::1]:6003".parse().unwrap()), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_overflows_a_small_buffer_is_counted() {
        let (full, sender) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = full.local_addr().unwrap();
        assert_eq!(dropped(address), Some(0));
        socket2::SockRef::from(&full).set_recv_buffer_size(2048).unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1000], address).unwrap();
        }
        assert!(dropped(address).unwrap() > 50);
    }
}
