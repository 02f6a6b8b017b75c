//! The flags of the UDP frontend.

use super::tags;
use crate::membership::{plain::Named, probe::Knock};
use clap::{Args, ValueEnum};
use protocol::flags::{Listen, parse_listen, parse_timeout};
use std::time::Duration;

/// How datagrams are passed on.
#[derive(Args, Clone, Debug)]
pub struct UdpFlags {
    /// Also take datagrams there, and pass them on to servers of service reverse, or those that --udp-server names
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    pub udp: Option<Listen>,
    /// How the way back is found
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub udp_mode: Mode,
    /// A server for --udp that does not register itself; may be given several times
    #[arg(long, value_name = "[ID=]HOST:PORT[,weight=N][,capacity=N]", requires = "udp")]
    pub udp_server: Vec<Named>,
    /// Watch the servers that --udp-server names by sending each this text, which all of them must answer, instead of an empty
    /// datagram, on which only a refusal counts
    #[arg(long, value_name = "TEXT", requires = "udp_server")]
    pub udp_probe: Option<String>,
    /// How many bytes are appended to a request: 2 for servers of the original
    #[arg(long, value_name = "N", default_value_t = tags::LONGEST as u8, value_parser = clap::value_parser!(u8).range(tags::SHORTEST as i64..=tags::LONGEST as i64))]
    pub tag_bytes: u8,
    /// How long a tagged request waits for an answer; then its client gets none
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_timeout)]
    pub udp_timeout: Duration,
    /// How long a tagged request waits for one server, beyond its processing time, before another one is asked, too; the time of
    /// --udp-timeout: never
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_timeout)]
    pub udp_try: Duration,
    /// How long a flow lasts in which nothing is said
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_timeout)]
    pub udp_idle: Duration,
    /// How many flows there may be; more are refused
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=16_000))]
    pub udp_flows: u32,
}

impl UdpFlags {
    /// How the servers that are named are found to be alive.
    #[must_use]
    pub fn probe(&self) -> Knock {
        let tag = if self.udp_mode == Mode::Tagged { usize::from(self.tag_bytes) } else { 0 };
        Knock { text: self.udp_probe.as_ref().map(|text| text.as_bytes().to_vec()), tag }
    }
}

/// How the way back is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Each datagram is a request: a tag is appended, and the server leaves it as it is
    #[default]
    Tagged,
    /// Any protocol: the datagrams of one client go to one server, through a socket of their own
    Flows,
}
