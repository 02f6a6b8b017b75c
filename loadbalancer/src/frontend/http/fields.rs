//! The fields of a head on their way through: what is left out, and what is added. Pure.
//!
//! **The problem.** Some fields are for the next hop only (`Connection`, `Keep-Alive`, `TE` …). A proxy that passes them on
//! lets a client speak to the server about a connection that is not the client's: keep it, end it, switch its protocol.
//! Others tell who the client is; a server that believes them must know that we wrote them.
//!
//! **The idea.** Hop-by-hop fields, and those that `Connection` names, end here. What says where a message ends is written
//! anew by [`protocol::http::encode`]. Who the client is is said by us; what the client itself says about that is left
//! out, unless it is a proxy that we were told to trust.
//!
//! ```text
//! GET /a HTTP/1.1                          GET /a HTTP/1.1
//! Host: shop.example                       Host: shop.example
//! Connection: keep-alive, X-Secret    →    X-Forwarded-For: 192.0.2.7
//! X-Secret: 1                              X-Forwarded-Proto: http
//! X-Forwarded-For: 127.0.0.1               X-Forwarded-Host: shop.example
//!                                          Forwarded: for=192.0.2.7;host=shop.example;proto=http
//!                                          Via: 1.1 loadbalancer
//!                                          X-Request-Id: 0006b1d5c1f0a2b3-0000000000000001
//! ```
//!
//! `X_Forwarded_For` is a name of its own for us, and the same as `X-Forwarded-For` for a server that makes variables of
//! fields (CGI, WSGI, PHP). So names with `_` are left out, as nginx does.
//!
//! **When it is wrong.** `Connection: Authorization` has a field removed that the server needed. The RFC wants it so, and
//! harms only who asks for it; but what we add is added behind that, and cannot be removed.
//!
//! Sources: RFC 9110 §7.6 (Connection, Via), RFC 7239 (Forwarded); N. Davison, *Abusing HTTP hop-by-hop request headers*
//! (2019).

use protocol::{
    http::{Answer, Headers, Request, Version},
    id::RequestId,
};
use std::net::SocketAddr;

/// How this program is called in `Via`.
const PSEUDONYM: &str = "loadbalancer";

/// How often a request may have passed one of us. Nobody puts so many in a row, so it goes round in a circle: two of us
/// that have each other for a server.
pub const MAX_PASSED: usize = 8;

/// Fields that are about one connection, beside those that `Connection` names.
const HOP_BY_HOP: [&str; 8] =
    ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "content-length", "expect"];

/// Fields that say who the client is. Who is not trusted does not say it.
const IDENTITY: [&str; 6] =
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-real-ip", "x-forwarded-port"];

/// How many fields are added at the most.
const ADDED: usize = 10;

/// Fields that ask for a part of something, or for something only if it has (not) changed.
const CONDITIONS: [&str; 6] =
    ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];

/// What becomes of fields with `_` in their name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Underscores {
    /// They are left out
    #[default]
    Drop,
    /// The request is refused
    Refuse,
    /// They are passed on
    Pass,
}

/// How a request reached us.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Who connected.
    pub peer: SocketAddr,
    /// Where, of a request that names no host.
    pub local: Option<SocketAddr>,
    /// Whether the peer is believed what it says of its clients.
    pub trusted: bool,
    /// The name of the request.
    pub id: RequestId,
}

/// The fields of a request as the server gets them, and the value of `Connection`, if it needs one.
#[must_use]
pub fn to_server(request: &Request, arrival: &Arrival, underscores: Underscores) -> (Headers, Option<&'static str>) {
    let mut headers = Headers::with_room_for(&request.headers, ADDED);
    let host = request.host.as_ref().map(ToString::to_string);
    let host = host.or_else(|| Some(arrival.local?.to_string())).unwrap_or_default();
    add(&mut headers, "Host", &host);
    let left_out = |name: &str| {
        is_one_of(name, &HOP_BY_HOP)
            || is_one_of(name, &["host", "x-request-id"])
            || (!arrival.trusted && is_one_of(name, &IDENTITY))
            || (underscores == Underscores::Drop && name.contains('_'))
            || request.headers.lists("connection", name)
    };
    headers.copy(&request.headers, |name| !left_out(name));
    add_identity(&mut headers, arrival, &host);
    via(&mut headers, request.version);
    add(&mut headers, "X-Request-Id", arrival.id.to_string());
    let mut connection = None;
    if wants_websocket(request) {
        add(&mut headers, "Upgrade", "websocket");
        connection = Some("Upgrade");
    } else if request.headers.lists("te", "trailers") {
        add(&mut headers, "TE", "trailers");
        connection = Some("TE");
    }
    if request.expects_continue {
        add(&mut headers, "Expect", "100-continue");
    }
    (headers, connection)
}

/// How many of us the request has passed before (RFC 9110 §7.6.3).
#[must_use]
pub fn passed_before(request: &Request) -> usize {
    let received_by = |hop: &[u8]| hop.split(|byte| *byte == b' ').nth(1).is_some_and(|by| by == PSEUDONYM.as_bytes());
    request.headers.list("via").filter(|hop| received_by(hop)).count()
}

/// The fields of a request for the rest of a download: nothing else may be asked with it.
pub fn ask_for_rest(headers: &mut Headers, range: &str, etag: &str) {
    for name in CONDITIONS {
        headers.remove(name);
    }
    add(headers, "Range", range);
    add(headers, "If-Range", etag);
}

/// The fields of an answer as the client gets them.
#[must_use]
pub fn to_client(answer: &Answer, id: RequestId) -> Headers {
    let mut headers = Headers::with_room_for(&answer.headers, ADDED);
    let left_out = |name: &str| {
        is_one_of(name, &HOP_BY_HOP)
            || name.eq_ignore_ascii_case("x-request-id")
            || answer.headers.lists("connection", name)
    };
    headers.copy(&answer.headers, |name| !left_out(name));
    via(&mut headers, answer.version);
    add(&mut headers, "X-Request-Id", id.to_string());
    headers
}

/// Whether the request asks to speak WebSocket from here on. No other protocol is switched to: `h2c`, for one, would carry
/// requests past us.
#[must_use]
pub fn wants_websocket(request: &Request) -> bool {
    request.version == Version::Http11
        && request.framing.is_empty()
        && request.headers.lists("connection", "upgrade")
        && request.headers.lists("upgrade", "websocket")
}

fn add_identity(headers: &mut Headers, arrival: &Arrival, host: &str) {
    let ip = arrival.peer.ip().to_canonical();
    let node = ip.to_string();
    match list(headers, "x-forwarded-for") {
        None => add(headers, "X-Forwarded-For", &node),
        Some(others) => {
            headers.remove("x-forwarded-for");
            add(headers, "X-Forwarded-For", format!("{others}, {node}"));
        }
    }
    if !headers.contains("x-forwarded-proto") {
        add(headers, "X-Forwarded-Proto", "http");
    }
    if !headers.contains("x-forwarded-host") {
        add(headers, "X-Forwarded-Host", host);
    }
    let node = if ip.is_ipv4() { node } else { format!("\"[{node}]\"") };
    // A host with a port has a colon, and an IPv6 one has brackets: then it is a quoted text (RFC 7239 §4).
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let quote = if plain { "" } else { "\"" };
    add(headers, "Forwarded", ["for=", &node, ";host=", quote, host, quote, ";proto=http"].concat());
}

fn via(headers: &mut Headers, version: Version) {
    let version = if version == Version::Http11 { "1.1" } else { "1.0" };
    add(headers, "Via", [version, PSEUDONYM].join(" "));
}

/// The members of a list in one line, if there is any.
fn list(headers: &Headers, name: &str) -> Option<String> {
    let members: Vec<_> = headers.list(name).map(String::from_utf8_lossy).collect();
    (!members.is_empty()).then(|| members.join(", "))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Adds a field. What was received is valid, and what is ours too; anything else is left out.
fn add(headers: &mut Headers, name: &str, value: impl AsRef<[u8]>) {
    let _never_invalid = headers.push(name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(head: &str, peer: &str, underscores: Underscores) -> Headers {
        let head = head.replace('\n', "\r\n") + "\r\n\r\n";
        let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
        let (peer, local) = (peer.parse().unwrap(), "[::1]:80".parse().ok());
        let arrival = Arrival { peer, local, trusted: false, id: RequestId { client: 1, sequence: 2 } };
        to_server(&request, &arrival, underscores).0
    }

    #[test]
    fn addresses_with_colons_are_quoted() {
        let headers = passed("GET / HTTP/1.1\nHost: [::1]:80", "[2001:db8::7]:5", Underscores::Drop);
        assert_eq!(headers.get("forwarded"), Some("for=\"[2001:db8::7]\";host=\"[::1]:80\";proto=http"));
        assert_eq!(headers.get("x-forwarded-for"), Some("2001:db8::7"));
        let mapped = passed("GET / HTTP/1.1\nHost: a", "[::ffff:10.0.0.7]:5", Underscores::Drop);
        assert_eq!(mapped.get("forwarded"), Some("for=10.0.0.7;host=a;proto=http"));
    }

    #[test]
    fn a_request_without_a_host_gets_the_one_it_came_to() {
        let headers = passed("GET / HTTP/1.0", "10.0.0.7:5", Underscores::Drop);
        assert_eq!((headers.get("host"), headers.get("via")), (Some("[::1]:80"), Some("1.0 loadbalancer")));
    }

    #[test]
    fn who_is_not_trusted_says_nothing_about_itself() {
        let head = "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 6.6.6.6\nForwarded: for=6.6.6.6\nX-Real-IP: 6.6.6.6\n\
                    X_Forwarded_For: 6.6.6.6\nX-Request-Id: mine\nConnection: X-Forwarded-For, Host";
        let headers = passed(head, "10.0.0.7:5", Underscores::Drop);
        assert!(!headers.iter().any(|(_, value)| value.windows(7).any(|part| part == b"6.6.6.6")), "{headers:?}");
        assert_eq!((headers.get("x-forwarded-for"), headers.get("host")), (Some("10.0.0.7"), Some("a")));
        assert_eq!(headers.get("x-request-id"), Some("0000000000000001-0000000000000002"));
    }

    #[test]
    fn the_rest_is_asked_for_and_nothing_else() {
        let head = "GET / HTTP/1.1\nHost: a\nRange: bytes=0-\nIf-None-Match: \"1\"\nIf-Modified-Since: x\nAccept: b/c";
        let mut headers = passed(head, "10.0.0.7:5", Underscores::Drop);
        ask_for_rest(&mut headers, "bytes=5-9", "\"v7\"");
        let conditions: Vec<_> = CONDITIONS.iter().filter_map(|name| headers.get(name)).collect();
        assert_eq!((conditions, headers.get("accept")), (vec!["bytes=5-9", "\"v7\""], Some("b/c")));
    }
}
