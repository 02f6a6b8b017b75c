//! Values of flags, from text; refusals are sentences that say what is understood instead.

use super::{BALANCER_PORT, MAX_CAPACITY, UNLIMITED};
use crate::{join::JOIN_PORT, limits::MAX_ID};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    time::Duration,
};

/// Longest time a flag can name: a year. Longer is a slip of the finger.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Longest processing time, in seconds: no class waits longer than an hour.
pub const MAX_PROCESSING_TIME: f64 = 3600.0;

/// A duration: `2s`, `500ms`, `1m`, `1h`, `1.5` (seconds).
///
/// # Errors
/// A sentence, for anything else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!("'{text}' is negative, and a time cannot be."));
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let not_understood = || format!("'{text}' is not a time: write 2s, 500ms, 1m, 1h, or seconds as in 1.5.");
    let seconds = match unit.trim_start() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(not_understood()),
    };
    let number: f64 = number.parse().map_err(|_| not_understood())?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(format!("'{text}' is longer than a year.")),
    }
}

/// A duration that something must happen within, so it cannot be zero.
///
/// # Errors
/// A sentence, for anything else.
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration.is_zero() {
        return Err("A limit of no time at all would refuse everything: name a longer one.".to_owned());
    }
    Ok(duration)
}

/// A processing time in seconds, 0 to 3600; fractions and units are understood.
///
/// # Errors
/// A sentence, for anything else.
pub fn parse_processing_time(text: &str) -> Result<f64, String> {
    let seconds = parse_duration(text)?.as_secs_f64();
    if seconds > MAX_PROCESSING_TIME {
        return Err(format!("'{text}' is longer than an hour, the longest processing time."));
    }
    Ok(seconds)
}

/// How many requests a server takes at once: a number, or `unlimited`.
///
/// # Errors
/// A sentence, for anything else.
pub fn parse_capacity(text: &str) -> Result<u32, String> {
    if text == "unlimited" {
        return Ok(UNLIMITED);
    }
    let number = text.parse().ok().filter(|number| (1..=MAX_CAPACITY).contains(number));
    number.ok_or_else(|| format!("'{text}' is not a number of requests from 1 to {MAX_CAPACITY}, or 'unlimited'."))
}

/// A capacity as people write it.
#[must_use]
pub fn capacity_in_words(capacity: u32) -> String {
    if capacity == UNLIMITED { "unlimited".to_owned() } else { capacity.to_string() }
}

/// The id of a server: 1 to 64 letters, digits, '_', '.' or '-' of ASCII.
///
/// # Errors
/// A sentence, for anything else.
pub fn parse_server_id(text: &str) -> Result<String, String> {
    let understood = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if text.is_empty() || text.len() > MAX_ID || !text.bytes().all(understood) {
        let shown: String = text.chars().take(MAX_ID).flat_map(char::escape_debug).collect();
        return Err(format!("'{shown}' is not an id: use 1 to {MAX_ID} letters (a to z), digits, '_', '.' and '-'."));
    }
    Ok(text.to_owned())
}

/// The id of a client: 1 to 64 characters, none of them a control character.
///
/// # Errors
/// A sentence, for anything else.
pub fn parse_client_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().count() > MAX_ID || text.chars().any(char::is_control) {
        return Err(format!("An id is 1 to {MAX_ID} characters on one line."));
    }
    Ok(text.to_owned())
}

/// Where to listen: an address, and a port when one was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub ip: IpAddr,
    /// The port, if one was named; 0 for any free one.
    pub port: Option<u16>,
}

impl Listen {
    /// The address with its port, or with this one when none was named.
    #[must_use]
    pub fn or_port(self, default: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(default))
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self { ip: Ipv4Addr::LOCALHOST.into(), port: None }
    }
}

/// Where to listen: `127.0.0.1`, `0.0.0.0:5050`, `[::1]:5050`, `::1`, or `:5050` for a port of this machine.
///
/// # Errors
/// A sentence, for anything else.
pub fn parse_listen(text: &str) -> Result<Listen, String> {
    if let Some((ip, port)) = parse_ip_and_port(text) {
        return Ok(Listen { ip, port });
    }
    match text.strip_prefix(':').map(str::parse) {
        Some(Ok(port)) => Ok(Listen { port: Some(port), ..Listen::default() }),
        _ => Err(format!("'{text}' is not an address to listen on: write IP or IP:PORT, as in 127.0.0.1:5050.")),
    }
}

/// Where the load balancer is: IP or name, and a port (5050 when none is named). A name is looked up here.
///
/// # Errors
/// A sentence, for anything else, and for a name that nobody knows.
pub fn parse_balancer(text: &str) -> Result<SocketAddr, String> {
    parse_host(text, BALANCER_PORT)
}

/// Where the load balancer takes registrations: IP or name, and a port (5051 when none is named).
///
/// # Errors
/// As [`parse_balancer`].
pub fn parse_join(text: &str) -> Result<SocketAddr, String> {
    parse_host(text, JOIN_PORT)
}

/// Where something listens: IP or name, and a port, or this one when none is named. A name is looked up here.
///
/// # Errors
/// As [`parse_balancer`].
pub fn parse_host(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    if let Some((ip, port)) = parse_ip_and_port(text) {
        return connectable(ip, port.unwrap_or(default_port));
    }
    let not_understood =
        || format!("'{text}' is not an address: write HOST or HOST:PORT, as in 127.0.0.1:{default_port}.");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| not_understood())?),
        None => (text, default_port),
    };
    // A name has none of these; the lookup of a wrong one could take seconds.
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || ":/[]".contains(c)) {
        return Err(not_understood());
    }
    match host {
        "" | "localhost" => connectable(Ipv4Addr::LOCALHOST.into(), port),
        _ => lookup(host, port),
    }
}

/// The load balancer listens on IPv4 unless told otherwise, so that is preferred among a name's addresses.
fn lookup(host: &str, port: u16) -> Result<SocketAddr, String> {
    let unknown = |why: String| format!("The address of '{host}' cannot be found ({why}): write its IP instead.");
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?.collect();
    let best = found.iter().find(|address| address.is_ipv4()).or(found.first());
    best.map_or_else(|| Err(unknown("it has none".to_owned())), |address| connectable(address.ip(), port))
}

fn connectable(ip: IpAddr, port: u16) -> Result<SocketAddr, String> {
    if port == 0 {
        return Err("Port 0 is nobody's: name the port that the load balancer listens on.".to_owned());
    }
    Ok(SocketAddr::new(ip, port))
}

/// `IP`, `IP:PORT`, `[IPv6]` or `[IPv6]:PORT`.
fn parse_ip_and_port(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip(), Some(address.port())));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(|ip| (ip, None))
}
