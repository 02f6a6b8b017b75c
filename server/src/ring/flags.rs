//! The flags of the ring, and what becomes of them.

use clap::Args;
use protocol::flags::parse_timeout;
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// How far above the port of the service that of the ring is, unless it is named.
const RING_PORT: u16 = 1_000;

/// Flags for outage drills: servers elect one of them to be down for a while.
#[derive(Args, Debug)]
pub(crate) struct RingFlags {
    /// The server's neighbours in a ring of three or more, for outage drills: now and then the servers elect one that is
    /// down for a while. Addresses of their --ring-listen; `:7003` is a port of this machine
    #[arg(long, value_name = "LEFT,RIGHT", value_parser = parse_ring)]
    ring: Option<Neighbours>,
    /// Where this server listens for its neighbours (UDP), as they name it [default: the address of --listen, and a port 1000
    /// above that of the service]
    #[arg(long, value_name = "IP:PORT", value_parser = parse_address, requires = "ring")]
    ring_listen: Option<SocketAddr>,
    /// How often this server wants an election
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_timeout, requires = "ring")]
    drill_every: Duration,
    /// How long the elected server is down; the same for all servers of a ring, at most a day
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_drill, requires = "ring")]
    drill_for: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Neighbours {
    left: SocketAddr,
    right: SocketAddr,
}

/// A server's place in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Where it listens, and what its neighbours call it.
    pub listen: SocketAddr,
    /// The neighbour on the left.
    pub left: SocketAddr,
    /// The neighbour on the right.
    pub right: SocketAddr,
    /// How often it wants an election.
    pub drill_every: Duration,
    /// How long it is down if it is elected.
    pub drill_for: Duration,
}

impl RingFlags {
    /// The place in the ring of a server with this address, if it is to have one.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn config(&self, service: SocketAddr) -> Result<Option<RingConfig>, String> {
        let Some(Neighbours { left, right }) = self.ring else { return Ok(None) };
        let above = || service.port().checked_add(RING_PORT).filter(|port| *port > RING_PORT);
        let listen = match (self.ring_listen, above()) {
            (Some(listen), _) => listen,
            (None, Some(port)) => SocketAddr::new(service.ip(), port),
            (None, None) => return Err("A ring needs a port of its own: name it with --ring-listen.".into()),
        };
        if listen.ip().is_unspecified() || listen.port() == 0 {
            return Err(format!(
                "The neighbours cannot call this server {listen}: name one address with --ring-listen."
            ));
        }
        if listen == left || listen == right {
            return Err(format!("This server is {listen} itself: it cannot be its own neighbour."));
        }
        let (drill_every, drill_for) = (self.drill_every, self.drill_for);
        Ok(Some(RingConfig { listen, left, right, drill_every, drill_for }))
    }
}

fn parse_ring(text: &str) -> Result<Neighbours, String> {
    let two = text.split_once(',').ok_or("Name two neighbours, as in 127.0.0.1:7003,127.0.0.1:7002.")?;
    let (left, right) = (parse_address(two.0)?, parse_address(two.1)?);
    if left == right {
        return Err("A ring has three servers at least: left and right must not be the same.".into());
    }
    Ok(Neighbours { left, right })
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let here = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let address = here.map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).or_else(|| text.parse().ok());
    address.ok_or_else(|| format!("'{text}' is not an address with a port, such as 127.0.0.1:7003 or :7003."))
}

fn parse_drill(text: &str) -> Result<Duration, String> {
    let drill = parse_timeout(text)?;
    let longest = Duration::from_secs(86_400);
    if drill > longest { Err(format!("'{text}' is longer than a day.")) } else { Ok(drill) }
}
