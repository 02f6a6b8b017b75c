//! A load balancer in front of servers that know nothing of it.

use crate::kit::{Process, World, address_in};
use std::net::SocketAddr;

/// A load balancer, and where one of its further frontends listens.
pub struct Front {
    pub address: SocketAddr,
    pub world: World,
    _balancer: Process,
}

impl Front {
    /// The TCP frontend with this policy, in front of these.
    pub fn tcp(servers: &[SocketAddr], policy: &str) -> Self {
        Self::start(World::new(), ["tcp", "--server"], servers, policy)
    }

    /// The HTTP frontend, in front of these, and of those that stand in the registry of this folder.
    pub fn http(world: World, servers: &[SocketAddr]) -> Self {
        Self::start(world, ["http", "--http-server"], servers, "round-robin")
    }

    fn start(world: World, [frontend, naming]: [&str; 2], servers: &[SocketAddr], policy: &str) -> Self {
        let (listen, servers) = (format!("--{frontend}"), servers.iter().map(SocketAddr::to_string));
        let named: Vec<String> = servers.flat_map(|server| [naming.to_owned(), server]).collect();
        let mut all = vec!["--quiet", listen.as_str(), "127.0.0.1:0", "--balance", policy];
        all.extend(named.iter().map(String::as_str));
        let (mut balancer, _) = world.balancer(&all);
        let address = address_in(&balancer.wait_for(&format!("Frontend {frontend} is listening")));
        Self { address, world, _balancer: balancer }
    }

    /// Where something is, as an argument.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its port, as an argument.
    pub fn port(&self) -> String {
        self.address.port().to_string()
    }
}
