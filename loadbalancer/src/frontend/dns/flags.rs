//! The flags of the DNS frontend.

use super::zone::Zone;
use crate::membership::plain::Named;
use clap::Args;
use protocol::{
    dns::Name,
    flags::{Listen, parse_listen, parse_timeout},
};
use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

/// How queries are passed on.
#[derive(Args, Clone, Debug)]
pub struct DnsFlags {
    /// Also answer DNS queries there, over UDP and TCP, by asking servers of service names, or those that --dns-server names
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    pub dns: Option<Listen>,
    /// A server for --dns that does not register itself: any DNS server; may be given several times
    #[arg(long, value_name = "[ID=]HOST:PORT[,weight=N][,capacity=N]", requires = "dns")]
    pub dns_server: Vec<Named>,
    /// Watch the servers that --dns-server names by asking each for this name, which all of them must answer, instead of
    /// connecting to them
    #[arg(long, value_name = "NAME", requires = "dns_server")]
    pub dns_probe: Option<Name>,
    /// How long a query waits for an answer; then its asker gets SERVFAIL
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_timeout)]
    pub dns_timeout: Duration,
    /// How long a query waits for one server before it is sent to another one, too
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_timeout)]
    pub dns_try: Duration,
    /// Keep so many answers for as long as they may be kept (their TTL), and give them again; 0 keeps none
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub dns_cache: u32,
    /// How many queries in datagrams a network (/24, /56) is answered a second; of those beyond, every second one is told to
    /// ask over TCP [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub dns_rate: Option<u32>,
    /// Answer names of this zone with the addresses of servers: SERVICE.ZONE with those of the frontend for that service (http,
    /// tcp, lab …) that take requests, whom the policy chooses first; may be given several times
    #[arg(long, value_name = "ZONE", requires = "dns")]
    pub dns_zone: Vec<Name>,
    /// How long such an answer may be kept, in seconds: so long nobody asks again, whatever happens to a server
    #[arg(long, value_name = "SECONDS", default_value_t = 5, requires = "dns_zone", value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub dns_zone_ttl: u32,
    /// How many servers such an answer names at the most
    #[arg(long, value_name = "N", default_value_t = 3, requires = "dns_zone", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub dns_zone_answers: u8,
}

impl DnsFlags {
    /// The zones that are wanted, of a load balancer that listens at this address.
    #[must_use]
    pub fn zones(&self, own: IpAddr) -> Vec<Zone> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let zone = |origin: &Name| Zone {
            origin: origin.clone(),
            ttl: self.dns_zone_ttl,
            most: usize::from(self.dns_zone_answers),
            own: Some(own).filter(|own| !own.is_unspecified()),
            serial: since.as_secs() as u32,
        };
        self.dns_zone.iter().map(zone).collect()
    }
}
