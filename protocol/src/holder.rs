//! Who holds a port, and what to do about it.
//!
//! "Address already in use" is the first error a class meets, and says neither who nor what next. Linux knows: the
//! kernel's table of sockets (`/proc/net/tcp`) names the *inode* of each listening socket, and each process shows its
//! open files as links (`/proc/1234/fd/5 -> socket:[8675309]`). Whoever has a link to that inode holds the port.
//! Processes of other users do not show their files; of them only the user is known. Other systems are not asked.

use std::{
    fs,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

/// Who listens where we want to: "process 1234 (server)", or "a process of user 0". Nothing where nobody does, or the
/// system does not tell.
#[must_use]
pub fn who_holds(address: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let sockets: Vec<Listening> = tables.iter().flat_map(|table| listening(table, address)).collect();
    let found = sockets.iter().find_map(|socket| owner_of(socket.inode));
    found.or_else(|| sockets.first().map(|socket| format!("a process of user {}", socket.user)))
}

/// Why we cannot listen there, and what to do, in sentences. `registered`: the id of the server that `servers.json`
/// names at this address, if any.
#[must_use]
pub fn explain_bind_error(address: SocketAddr, error: &io::Error, registered: Option<&str>) -> String {
    let (ip, port) = (address.ip(), address.port());
    match error.kind() {
        ErrorKind::AddrInUse => {
            let holder = who_holds(address).unwrap_or_else(|| "another process".to_owned());
            let server = registered.map(|id| format!(" The registry names server {id} there.")).unwrap_or_default();
            format!(
                "Port {port} of {ip} is held by {holder}.{server} End it, or choose another port (0 takes any free one)."
            )
        }
        ErrorKind::PermissionDenied if port < 1024 && port != 0 => {
            format!(
                "Port {port} is reserved for the system's own services: choose one from 1024 to 65535, or 0 for any free one."
            )
        }
        ErrorKind::AddrNotAvailable => {
            format!(
                "{ip} is no address of this machine: listen on 127.0.0.1 (this machine only) or 0.0.0.0 (everybody)."
            )
        }
        _ => format!("Cannot listen on {address}: {error}."),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Listening {
    inode: u64,
    user: u32,
}

/// The sockets of a kernel table that listen on this port, at this address or at all.
fn listening(table: &str, wanted: SocketAddr) -> Vec<Listening> {
    let in_the_way = |ip: IpAddr| ip == wanted.ip() || ip.is_unspecified() || wanted.ip().is_unspecified();
    let row = |line: &str| {
        // sl local_address rem_address st tx:rx tr:tm->when retrnsmt uid timeout inode
        let columns: Vec<&str> = line.split_whitespace().take(10).collect();
        let [_, local, _, "0A", _, _, _, user, _, inode] = columns[..] else { return None };
        let (ip, port) = local.split_once(':')?;
        let same_port = u16::from_str_radix(port, 16).ok()? == wanted.port();
        (same_port && in_the_way(parse_ip(ip)?))
            .then(|| Some(Listening { inode: inode.parse().ok()?, user: user.parse().ok()? }))?
    };
    table.lines().filter_map(row).collect()
}

/// An address as the kernel prints it: words of 32 bits, each in the machine's own byte order.
fn parse_ip(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(digits.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match digits.len() {
        8 => word(0).map(|bytes| Ipv4Addr::from(bytes).into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            bytes.copy_from_slice(words.as_flattened());
            // An IPv4 address in the IPv6 table is one of both.
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

fn owner_of(inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbered =
        processes.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let (pid, folder) = numbered.find(|(_, folder)| has_open(folder, &wanted))?;
    let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    Some(if name.is_empty() { format!("process {pid}") } else { format!("process {pid} ({name})") })
}

fn has_open(process: &Path, wanted: &str) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    files.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_of_ours_is_found_under_every_name_of_its_port() {
        let me = format!("process {} (", std::process::id());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(who_holds(address).unwrap().starts_with(&me));
        assert!(who_holds((Ipv4Addr::UNSPECIFIED, address.port()).into()).unwrap().starts_with(&me));
        let error = TcpListener::bind(address).unwrap_err();
        let sentence = explain_bind_error(address, &error, Some("2"));
        assert!(sentence.contains(&me) && sentence.contains("server 2") && sentence.contains("(0 takes"), "{sentence}");
        drop(listener);
        assert!(who_holds(address).is_none_or(|holder| !holder.starts_with(&me)));
    }

    #[test]
    fn errors_say_what_to_do() {
        let explain = |address: &str, kind: ErrorKind| explain_bind_error(address.parse().unwrap(), &kind.into(), None);
        assert!(explain("127.0.0.1:80", ErrorKind::PermissionDenied).contains("choose one from 1024"));
        assert!(explain("127.0.0.1:8080", ErrorKind::PermissionDenied).starts_with("Cannot listen on 127.0.0.1:8080:"));
        assert!(
            explain("192.0.2.1:80", ErrorKind::AddrNotAvailable).starts_with("192.0.2.1 is no address of this machine")
        );
        assert!(explain("127.0.0.1:1", ErrorKind::AddrInUse).starts_with("Port 1 of 127.0.0.1 is held by"));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_kernels_table_is_understood() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1771 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1771 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0
   2: 0200007F:1771 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
   3: 00000000000000000000000000000000:1772 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1
   4: 0000000000000000FFFF00000100007F:1773 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4715 1
   5: torn";
        let inodes = |address: &str| {
            listening(table, address.parse().unwrap()).iter().map(|socket| socket.inode).collect::<Vec<_>>()
        };
        assert_eq!(inodes("127.0.0.1:6001"), [4711]);
        assert_eq!(inodes("0.0.0.0:6001"), [4711, 4713]);
        assert_eq!(inodes("127.0.0.1:6002"), [4714]);
        assert_eq!(inodes("127.0.0.1:6003"), [4715]);
        assert_eq!(inodes("[::1]:6001"), [0; 0]);
        assert_eq!(listening(table, "127.0.0.1:6001".parse().unwrap())[0].user, 1000);
        assert_eq!(parse_ip("B80D01200000000067452301EFCDAB89"), "2001:db8::123:4567:89ab:cdef".parse().ok());
    }
}
