//! Keeping a client at its server, by a cookie.
//!
//! **The problem.** Some services remember a client in the memory of one server (a basket, a session). Another server does
//! not know it.
//!
//! **The idea.** The first answer brings a cookie that names its server; requests that bring it back go there. The name is a
//! hash: it says nothing about addresses. If that server is busy the request waits for it; if it is down, or gone, another
//! one is chosen and the cookie is set anew.
//!
//! **When it is wrong.** Clients that stick do not move to servers that are added, and one busy client stays a burden to
//! one server. What a server alone remembers is lost with it. A service that keeps sessions in a database needs none of this.
//!
//! **Simplified here.** The hash has no secret in it: who knows the ids of servers can choose his. It lasts until the
//! browser ends. Source: HAProxy's `cookie … insert`.

use crate::{
    policy::ServerKey,
    pool::{Pool, Server},
};
use protocol::http::{Headers, Request};
use xxhash_rust::xxh3::xxh3_128;

/// What the server of this id is called in cookies.
#[must_use]
pub fn name_of(id: &str) -> String {
    format!("{:032x}", xxh3_128(format!("sticky {id}").as_bytes()))
}

/// The value of a cookie that the request brings.
#[must_use]
pub fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let lines = request.headers.all("cookie").filter_map(|line| str::from_utf8(line).ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(each, _)| *each == name).map(|(_, value)| value)
}

/// All servers but the one that the cookie names: those are to be avoided. Empty if it names none of the pool.
#[must_use]
pub fn others(pool: &Pool, cookie: &str) -> Vec<ServerKey> {
    let (own, others): (Vec<_>, Vec<_>) = pool.servers().into_iter().partition(|server| name_of(&server.id) == cookie);
    if own.is_empty() { Vec::new() } else { others.iter().map(|server| server.key).collect() }
}

/// Has the client come back to this server, unless it does already.
pub fn set(headers: &mut Headers, request: &Request, name: &str, server: &Server) {
    let own = name_of(&server.id);
    if cookie(request, name) != Some(&own) {
        let _valid = headers.push("Set-Cookie", format!("{name}={own}; Path=/; HttpOnly; SameSite=Lax"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: x=1; lab=abc;  y=2\r\nCookie: z=3\r\n\r\n";
        let (request, _) = Request::parse(head).unwrap().unwrap();
        let found = ["x", "lab", "y", "z", "la"].map(|name| cookie(&request, name));
        assert_eq!(found, [Some("1"), Some("abc"), Some("2"), Some("3"), None]);
    }

    #[test]
    fn a_name_says_nothing_and_is_always_the_same() {
        assert_eq!(name_of("S1"), name_of("S1"));
        assert_ne!(name_of("S1"), name_of("S2"));
        assert!(!name_of("S1").contains("S1"));
    }
}
