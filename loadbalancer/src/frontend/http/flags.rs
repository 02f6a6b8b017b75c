//! The flags of the HTTP frontend.

use super::fields::Underscores;
use crate::membership::{network::Network, plain::Named};
use clap::Args;
use protocol::{
    flags::{Listen, parse_listen, parse_timeout},
    http::Authority,
};
use std::time::Duration;

/// How HTTP is passed on.
#[derive(Args, Clone, Debug)]
pub struct HttpFlags {
    /// Also listen for HTTP/1.1 there, and give each request to one of the servers of service http
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    pub http: Option<Listen>,
    /// A server for --http that does not register itself: any program that speaks HTTP/1.1; may be given several times
    #[arg(long, value_name = "[ID=]HOST:PORT[,weight=N][,capacity=N]", requires = "http")]
    pub http_server: Vec<Named>,
    /// Serve this host only (a name, perhaps with a port); may be given several times. Requests for others get 421
    #[arg(long, value_name = "HOST", value_parser = parse_host)]
    pub http_host: Vec<Authority>,
    /// Believe what proxies in this network say of their clients (X-Forwarded-For, Forwarded …); may be given several
    /// times. What others say of themselves is left out
    #[arg(long, value_name = "NETWORK")]
    pub http_trust: Vec<Network>,
    /// Keep each client at its server with a cookie of this name
    #[arg(long, value_name = "NAME", value_parser = parse_cookie_name)]
    pub http_sticky: Option<String>,
    /// The service honours Idempotency-Key: a POST or PATCH that has one may be tried again
    #[arg(long)]
    pub http_idempotency_key: bool,
    /// The largest body of a request, in bytes; a larger one gets 413 [default: as large as it comes]
    #[arg(long, value_name = "BYTES")]
    pub http_max_body: Option<u64>,
    /// How long a server may be silent, beyond its processing time, before its answer begins, and in the middle of an
    /// answer of no known length
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_timeout)]
    pub http_answer_time: Duration,
    /// How long a client's connection may wait for its next request, and a tunnel for its next byte
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_timeout)]
    pub http_idle: Duration,
    /// What becomes of fields with '_' in their name, which some servers take for '-'
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub http_underscores: Underscores,
}

impl Default for HttpFlags {
    fn default() -> Self {
        let (thirty, sixty) = (Duration::from_secs(30), Duration::from_secs(60));
        Self {
            http: None,
            http_server: Vec::new(),
            http_host: Vec::new(),
            http_trust: Vec::new(),
            http_sticky: None,
            http_idempotency_key: false,
            http_max_body: None,
            http_answer_time: thirty,
            http_idle: sixty,
            http_underscores: Underscores::default(),
        }
    }
}

fn parse_host(text: &str) -> Result<Authority, String> {
    Authority::parse(text.as_bytes())
        .map_err(|_| format!("'{text}' is no host: write shop.example or shop.example:8080."))
}

/// The name of a cookie is a token (RFC 6265 §4.1.1).
fn parse_cookie_name(text: &str) -> Result<String, String> {
    let fine =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if fine {
        Ok(text.to_owned())
    } else {
        Err(format!("'{text}' is no name for a cookie: use letters, digits, '-' and '_'."))
    }
}
