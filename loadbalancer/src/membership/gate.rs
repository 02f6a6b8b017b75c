//! Who may join, and from where: rules without a socket.
//!
//! A stranger who may name the address of a server can make the load balancer speak to any machine that it can reach,
//! in a network that the stranger perhaps cannot. So three things are looked at before anybody connects anywhere: where
//! the request comes from, which addresses it names, and that neither is the load balancer itself (which would answer its
//! own requests until it has no connection left).

use super::network::Network;
use parking_lot::Mutex;
use protocol::registry::Entry;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// What is allowed.
#[derive(Debug)]
pub struct Gate {
    allowed: Vec<Network>,
    has_token: bool,
    /// The load balancer's own addresses. Held for a look or an addition.
    own: Mutex<Vec<SocketAddr>>,
    /// Whether an address is one of this machine's.
    is_local: fn(IpAddr) -> bool,
}

impl Gate {
    /// A gate for these networks.
    ///
    /// # Errors
    /// If other machines could join without a proof: that needs a token.
    pub fn new(allowed: Vec<Network>, has_token: bool) -> Result<Self, String> {
        if let Some(network) = allowed.iter().find(|network| !has_token && !network.is_loopback()) {
            return Err(format!(
                "--allow {network} would let other machines join without a proof. Give a token, too: --token-file FILE"
            ));
        }
        Ok(Self { allowed, has_token, own: Mutex::new(Vec::new()), is_local })
    }

    /// This address is the load balancer's own: nobody can join with it. Port 0 is none and is passed over.
    pub fn add_own(&self, address: SocketAddr) {
        if address.port() != 0 {
            self.own.lock().push(address);
        }
    }

    /// Whether somebody at this address may ask at all.
    ///
    /// # Errors
    /// A sentence, if not.
    pub fn check_peer(&self, peer: IpAddr) -> Result<(), String> {
        let peer = peer.to_canonical();
        if !self.has_token && !peer.is_loopback() {
            return Err("This load balancer has no token, so only servers on its own machine may join.".to_owned());
        }
        if !self.allows(peer) {
            return Err(format!("Servers at {peer} are not allowed to join (--allow)."));
        }
        Ok(())
    }

    /// Whether a server may have these addresses, which somebody at `peer` claims for it; nobody, if a person does.
    ///
    /// # Errors
    /// A sentence, if not.
    pub fn check_entry(&self, peer: Option<IpAddr>, entry: &Entry) -> Result<(), String> {
        for (address, what) in [(entry.address, "address"), (entry.control, "control address")] {
            let ip = address.ip().to_canonical();
            if ip.is_unspecified() || ip.is_multicast() {
                return Err(format!(
                    "The {what} {address} is nobody's: name the address of one machine (--advertise)."
                ));
            }
            if ip.is_loopback() && peer.is_some_and(|peer| !(self.is_local)(peer.to_canonical())) {
                return Err(format!(
                    "The {what} {address} is this machine, and you are on another one: \
                     start the server with --listen or --advertise and an address that others reach."
                ));
            }
            if !self.allows(ip) {
                return Err(format!("The {what} {address} is in no network that is allowed (--allow)."));
            }
            if self.is_own(address) {
                return Err(format!("The {what} {address} is the load balancer's own."));
            }
        }
        Ok(())
    }

    /// Whether the load balancer itself listens there.
    #[must_use]
    pub fn is_own(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.own.lock().iter().filter(|own| own.port() == address.port()).any(|own| {
            let own = own.ip().to_canonical();
            own == ip || (own.is_unspecified() || ip.is_unspecified()) && (ip.is_unspecified() || (self.is_local)(ip))
        })
    }

    fn allows(&self, ip: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(ip))
    }
}

/// Whether the address belongs to this machine: only then can a socket be bound to it. Nothing is sent.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::registry::LAB;

    /// A machine at 10.0.0.1.
    fn gate(allowed: &[&str], has_token: bool) -> Gate {
        let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let gate = Gate::new(allowed, has_token).unwrap();
        Gate { is_local: |ip| ip.is_loopback() || ip == IpAddr::from([10, 0, 0, 1]), ..gate }
    }

    fn entry(address: &str, control: &str) -> Entry {
        let (address, control) = (address.parse().unwrap(), control.parse().unwrap());
        Entry { id: "1".into(), address, service: LAB.into(), processing_time: 0.0, capacity: 1, control, pid: None }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn other_machines_need_a_token_and_permission() {
        assert!(Gate::new(vec!["10.0.0.0/8".parse().unwrap()], false).unwrap_err().contains("--token-file"));
        let alone = gate(&["127.0.0.0/8", "::1"], false);
        assert!(alone.check_peer(ip("127.0.0.1")).is_ok() && alone.check_peer(ip("::ffff:127.0.0.1")).is_ok());
        assert!(alone.check_peer(ip("10.0.0.2")).unwrap_err().contains("no token"));
        let open = gate(&["10.0.0.0/8"], true);
        assert!(open.check_peer(ip("10.0.0.2")).is_ok());
        for other in ["11.0.0.2", "127.0.0.1", "::1"] {
            assert!(open.check_peer(ip(other)).unwrap_err().contains("--allow"), "{other}");
        }
    }

    #[test]
    fn both_addresses_must_be_allowed_and_somebodys() {
        let gate = gate(&["10.0.0.0/8"], true);
        let check = |address: &str, control: &str| gate.check_entry(Some(ip("10.0.0.2")), &entry(address, control));
        assert_eq!(check("10.0.0.2:6001", "10.0.0.2:6002"), Ok(()));
        for (address, control, words) in [
            ("11.0.0.2:6001", "10.0.0.2:6002", "The address 11.0.0.2:6001 is in no network"),
            ("10.0.0.2:6001", "11.0.0.2:6002", "The control address 11.0.0.2:6002 is in no network"),
            ("0.0.0.0:6001", "10.0.0.2:6002", "is nobody's"),
            ("10.0.0.2:6001", "[::]:6002", "is nobody's"),
            ("224.0.0.1:6001", "10.0.0.2:6002", "is nobody's"),
        ] {
            let error = check(address, control).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_load_balancer_is_not_a_server_of_its_own() {
        let gate = gate(&["127.0.0.0/8", "10.0.0.0/8", "::1"], true);
        gate.add_own("127.0.0.1:5050".parse().unwrap());
        gate.add_own("0.0.0.0:5051".parse().unwrap());
        for own in ["127.0.0.1:5050", "[::ffff:127.0.0.1]:5050", "127.0.0.1:5051", "127.9.9.9:5051", "10.0.0.1:5051"] {
            let (own, other) = (own, "127.0.0.1:6001");
            for entry in [entry(own, other), entry(other, own)] {
                let error = gate.check_entry(Some(ip("127.0.0.1")), &entry).unwrap_err();
                assert!(error.contains("the load balancer's own"), "{own}: {error}");
            }
        }
        for other in ["127.0.0.1:5052", "127.0.0.2:5050", "10.0.0.2:5051"] {
            assert_eq!(gate.check_entry(Some(ip("127.0.0.1")), &entry(other, other)), Ok(()), "{other}");
        }
    }

    #[test]
    fn from_another_machine_nobody_is_this_one() {
        let gate = gate(&["127.0.0.0/8", "10.0.0.0/8"], true);
        let here = entry("127.0.0.1:6001", "127.0.0.1:6002");
        assert!(gate.check_entry(Some(ip("10.0.0.2")), &here).unwrap_err().contains("--advertise"));
        for near in [Some(ip("10.0.0.1")), Some(ip("127.0.0.1")), None] {
            assert_eq!(gate.check_entry(near, &here), Ok(()));
        }
    }
}
