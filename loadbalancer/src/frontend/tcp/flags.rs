//! The flags of the TCP frontend.

use super::proxy_protocol::Version;
use crate::membership::{network::Network, plain::Named};
use clap::Args;
use protocol::flags::{Listen, parse_listen, parse_timeout};
use std::time::Duration;

/// How connections are passed on.
#[derive(Args, Clone, Debug)]
pub struct TcpFlags {
    /// Also listen for connections of any kind there, and pass each on to one of the servers of service echo, or of
    /// those that --server names
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    pub tcp: Option<Listen>,
    /// A server for --tcp that does not register itself: any program that accepts connections; may be given several times
    #[arg(long, value_name = "[ID=]HOST:PORT[,weight=N][,capacity=N]", requires = "tcp")]
    pub server: Vec<Named>,
    /// How long nothing may be said on a passed connection before it is ended
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_timeout)]
    pub tcp_idle: Duration,
    /// Begin each passed connection with a PROXY header of this version, which names the client; the servers must expect it
    #[arg(long, value_name = "VERSION")]
    pub send_proxy: Option<Version>,
    /// Connections that come from this network begin with a PROXY header; may be given several times
    #[arg(long, value_name = "NETWORK")]
    pub accept_proxy: Vec<Network>,
}
