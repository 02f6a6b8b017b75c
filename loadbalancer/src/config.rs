//! The command line of the load balancer.

use crate::{
    admin::flags::AdminFlags,
    dispatch::{copies::CopyFlags, key::HashKey},
    frontend::{dns::DnsFlags, http::HttpFlags, tcp::TcpFlags, udp::UdpFlags},
    health::flags::HealthFlags,
    membership::flags::JoinFlags,
    policy::{self, options::RingHash},
    replicas::ReplicaFlags,
    shards::ShardFlags,
};
use clap::Parser;
use protocol::{
    flags::{
        BALANCER_PORT, ConnectTimeoutFlag, LifelineFlag, ListenFlag, QueueTimeoutFlag, QuietFlag, RegistryFlag,
        RequestTimeoutFlag,
    },
    limits::MAX_CONNECTIONS,
};
use std::path::PathBuf;

/// Distributes the requests of clients over servers.
///
/// Servers are found in the registry (servers.json), also those that start later. Clients connect to port 5050
/// unless --listen says otherwise.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadbalancer", version, max_term_width = 110)]
pub struct Config {
    /// How a server is chosen among those that are idle
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    pub balance: policy::Name,
    /// What can be chosen beside the policy's name.
    #[command(flatten)]
    pub options: policy::Options,
    /// What consistent-hash goes by: requests of the same key go to the same server [default: text; six-digits with
    /// --ring-hash coursework]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub hash_key: Option<HashKey>,
    /// Where all random choices come from; the same seed repeats them [default: drawn, and told at the start]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Connections of any kind.
    #[command(flatten)]
    pub tcp: TcpFlags,
    /// HTTP.
    #[command(flatten)]
    pub http: HttpFlags,
    /// Servers of its own.
    #[command(flatten)]
    pub replicas: ReplicaFlags,
    /// A sharded table.
    #[command(flatten)]
    pub shards: ShardFlags,
    /// DNS.
    #[command(flatten)]
    pub dns: DnsFlags,
    /// Datagrams of any kind.
    #[command(flatten)]
    pub udp: UdpFlags,
    /// Copies of requests.
    #[command(flatten)]
    pub copies: CopyFlags,
    /// How servers are watched.
    #[command(flatten)]
    pub health: HealthFlags,
    /// Where to listen.
    #[command(flatten)]
    pub listen: ListenFlag,
    /// Where the servers are.
    #[command(flatten)]
    pub registry: RegistryFlag,
    /// How servers join over the network.
    #[command(flatten)]
    pub join: JoinFlags,
    /// Where it is administered.
    #[command(flatten)]
    pub admin: AdminFlags,
    /// How long a request waits.
    #[command(flatten)]
    pub queue_timeout: QueueTimeoutFlag,
    /// How long a request may take.
    #[command(flatten)]
    pub request_timeout: RequestTimeoutFlag,
    /// How long a server may take to accept.
    #[command(flatten)]
    pub connect_timeout: ConnectTimeoutFlag,
    /// How many requests may wait for a server; more are refused at once
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub max_queue: usize,
    /// How many clients may be connected; more are refused at once
    #[arg(long, value_name = "N", default_value_t = MAX_CONNECTIONS as u64, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub max_connections: u64,
    /// Where the journal of the run goes: every event as a line of JSON [default: journal.jsonl
    /// in a folder of its own, runs/loadbalancer-…/ beside the registry, to which runs/latest leads]
    #[arg(long, value_name = "FILE", conflicts_with = "no_journal")]
    pub journal: Option<PathBuf>,
    /// Write no journal
    #[arg(long)]
    pub no_journal: bool,
    /// Without a journal, remember the latest events, up to so many MiB, so that it can still be asked why
    #[arg(long, value_name = "MIB", requires = "no_journal", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub remember: Option<u16>,
    /// Whether to tell each step.
    #[command(flatten)]
    pub quiet: QuietFlag,
    /// Ties to a parent.
    #[command(flatten)]
    pub lifeline: LifelineFlag,
}

impl Config {
    /// What requests are hashed by: as on the coursework's ring, if it is that one, unless something else was chosen.
    #[must_use]
    pub fn hash_key(&self) -> HashKey {
        let usual = match self.options.ring_hash {
            RingHash::Coursework => HashKey::SixDigits,
            RingHash::Xxh3 => HashKey::default(),
        };
        self.hash_key.unwrap_or(usual)
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.listen.listen.or_port(BALANCER_PORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_of_the_coursework_has_its_random_numbers_unless_another_key_is_chosen() {
        let key = |flags: &str| {
            let line = std::iter::once("loadbalancer").chain(flags.split_whitespace());
            Config::try_parse_from(line).unwrap().hash_key()
        };
        assert_eq!(key("--balance consistent-hash"), HashKey::Text);
        assert_eq!(key("--balance consistent-hash --ring-hash coursework"), HashKey::SixDigits);
        assert_eq!(key("--balance consistent-hash --ring-hash coursework --hash-key client"), HashKey::Client);
        assert_eq!(key("--hash-key six-digits"), HashKey::SixDigits);
    }
}
