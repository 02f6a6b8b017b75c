//! Who may look, and who may change something: rules without a socket.
//!
//! **The problem.** A port on 127.0.0.1 looks private and is not: every page in the browser of this machine can send
//! requests there. Such a page cannot read the answer, but a request that *changes* something has done its work by then
//! (cross-site request forgery). And it can come to read: it lets its own name point to 127.0.0.1 after it was loaded, and
//! is then, for the browser, a page of the same site as the administration (DNS rebinding).
//!
//! **The idea**, three locks, each for one way in:
//!
//! * `Host` says by which name the browser came here. A page of `evil.example` that was rebound says `evil.example`, and it
//!   cannot lie about that. So only addresses and names of this machine are answered.
//! * `Origin` says which page asks. Browsers send it with every POST; a program sends none. A foreign one is refused.
//! * A change needs a *token* in `Authorization`. No page can set that field for another site without asking first (a
//!   preflight request), and nobody here ever says yes. Nor does it know the token.
//!
//! **When it is wrong.** Whoever may read the token's file may change everything; so may whoever may read this process'
//! memory. Between users of one machine the file's mode is all the protection there is, and everybody on it may look.
//! The token travels as it is. So changes are taken from this machine only, also where the port is open to others.
//!
//! Sources: RFC 6750 (bearer tokens); C. Jackson et al., *Protecting Browsers from DNS Rebinding Attacks* (2007); OWASP,
//! *Cross-Site Request Forgery Prevention*.

use protocol::{
    http::{Authority, Request},
    token::Token,
};
use std::net::{IpAddr, SocketAddr};

/// The scheme of `Authorization` that is understood, in lower case as schemes are compared without case.
const SCHEME: &str = "bearer";

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The request is for somebody else's name, or for none.
    #[error("This is the administration of a load balancer, and not the host that was asked for. Use its address.")]
    Host,
    /// A page of another site asks.
    #[error("Pages of other sites may not ask here.")]
    Origin,
    /// Somebody on another machine wants to change something.
    #[error("Changes are made from this machine only, because the token would travel in clear. Use a tunnel (ssh -L).")]
    Elsewhere,
    /// There is no token in the request.
    #[error("A change needs the token: Authorization: Bearer TOKEN. It is in the file that the load balancer named.")]
    NoToken,
    /// There is a wrong one.
    #[error("That is not the token of this load balancer.")]
    WrongToken,
}

/// What is compared.
#[derive(Debug)]
pub struct Door {
    /// Where the administration listens.
    pub own: SocketAddr,
    /// What a change needs; without one nothing can be changed.
    pub token: Option<Token>,
}

impl Door {
    /// Whether this request may be answered at all.
    ///
    /// # Errors
    /// Why not.
    pub fn may_look(&self, request: &Request) -> Result<(), Refused> {
        if !request.host.as_ref().is_some_and(|host| self.is_own(host)) {
            return Err(Refused::Host);
        }
        let mut origins = request.headers.all("origin");
        if origins.all(|origin| self.is_own_page(origin)) { Ok(()) } else { Err(Refused::Origin) }
    }

    /// Whether this request, which may be answered, may change something.
    ///
    /// # Errors
    /// Why not.
    pub fn may_change(&self, request: &Request, peer: IpAddr) -> Result<(), Refused> {
        if !peer.to_canonical().is_loopback() {
            return Err(Refused::Elsewhere);
        }
        let mut given = request.headers.all("authorization");
        let (Some(given), None) = (given.next(), given.next()) else { return Err(Refused::NoToken) };
        let given = bearer(given).ok_or(Refused::NoToken)?;
        if self.token.as_ref().is_some_and(|token| token.is(given)) { Ok(()) } else { Err(Refused::WrongToken) }
    }

    /// Whether a name of the own machine was asked for, at the own port. An address cannot be rebound, so where the port is
    /// open on all addresses any of them will do.
    fn is_own(&self, asked: &Authority) -> bool {
        let is_here = match asked.ip().map(|ip| ip.to_canonical()) {
            None => asked.host == "localhost",
            Some(ip) => ip.is_loopback() || ip == self.own.ip().to_canonical() || self.own.ip().is_unspecified(),
        };
        is_here && asked.port.unwrap_or(80) == self.own.port()
    }

    fn is_own_page(&self, origin: &[u8]) -> bool {
        Authority::of_origin(origin).is_some_and(|authority| self.is_own(&authority))
    }
}

/// The token in a value of `Authorization`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let at = value.iter().position(|byte| *byte == b' ')?;
    let given = value[at..].trim_ascii();
    (value[..at].eq_ignore_ascii_case(SCHEME.as_bytes()) && !given.is_empty()).then_some(given)
}

/// The token as it is sent, if it consists of what may be sent (RFC 6750 §2.1).
///
/// # Errors
/// A sentence, if not.
pub fn text_of(token: &Token) -> Result<&str, &'static str> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let text = token.reveal();
    match std::str::from_utf8(text) {
        Ok(sent) if text.iter().all(allowed) => Ok(sent),
        _ => Err("The token has characters that cannot be sent. Use letters, digits and any of -._~+/= only."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn door(own: &str) -> Door {
        Door { own: own.parse().unwrap(), token: Some(Token::new(TOKEN.as_bytes()).unwrap()) }
    }

    fn request(fields: &str) -> Request {
        let head = format!("POST /policy HTTP/1.1\r\n{fields}\r\n");
        Request::parse(head.as_bytes()).unwrap().unwrap().0
    }

    fn look(own: &str, fields: &str) -> Result<(), Refused> {
        door(own).may_look(&request(fields))
    }

    #[test]
    fn only_the_own_names_are_answered() {
        let own = "127.0.0.1:5052";
        for host in ["127.0.0.1:5052", "localhost:5052", "LOCALHOST:5052", "127.0.0.2:5052", "[::1]:5052"] {
            assert_eq!(look(own, &format!("Host: {host}\r\n")), Ok(()), "{host}");
        }
        let foreign =
            ["evil.example:5052", "localhost", "localhost:80", "10.0.0.1:5052", "localhost.evil.example:5052"];
        for host in foreign.into_iter().chain(["127.0.0.1.nip.io:5052", "0.0.0.0:5052", "[::]:5052", "127.1:5052"]) {
            assert_eq!(look(own, &format!("Host: {host}\r\n")), Err(Refused::Host), "{host}");
        }
        let old = Request::parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().0;
        assert_eq!(door(own).may_look(&old), Err(Refused::Host));
    }

    #[test]
    fn what_the_flag_names_is_a_name_too() {
        assert_eq!(look("10.0.0.1:80", "Host: 10.0.0.1\r\n"), Ok(()));
        assert_eq!(look("10.0.0.1:80", "Host: 10.0.0.2\r\n"), Err(Refused::Host));
        assert_eq!(look("0.0.0.0:5052", "Host: 10.0.0.1:5052\r\n"), Ok(()));
        assert_eq!(look("0.0.0.0:5052", "Host: evil.example:5052\r\n"), Err(Refused::Host));
    }

    #[test]
    fn pages_of_other_sites_are_turned_away() {
        let with = |origin: &str| look("127.0.0.1:5052", &format!("Host: localhost:5052\r\nOrigin: {origin}\r\n"));
        assert_eq!(with("http://localhost:5052"), Ok(()));
        assert_eq!(with("http://127.0.0.1:5052"), Ok(()));
        let foreign = ["http://evil.example", "https://localhost:5052", "http://localhost:3000", "null", ""];
        for origin in foreign.into_iter().chain(["http://localhost:5052/", "localhost:5052"]) {
            assert_eq!(with(origin), Err(Refused::Origin), "{origin:?}");
        }
        assert_eq!(with("http://localhost:5052\r\nOrigin: http://evil.example"), Err(Refused::Origin));
    }

    #[test]
    fn a_change_needs_the_token_and_the_own_machine() {
        let change = |fields: &str, peer: &str| {
            door("127.0.0.1:5052").may_change(&request(&format!("Host: x\r\n{fields}")), peer.parse().unwrap())
        };
        for right in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", "BEARER   0123456789abcdef"] {
            assert_eq!(change(&format!("Authorization: {right}\r\n"), "127.0.0.1"), Ok(()));
        }
        for wrong in ["Bearer 0123456789abcdee", "Bearer 0123456789abcdef0", "Bearer 0", "Bearer 0123456789abcdef x"] {
            assert_eq!(change(&format!("Authorization: {wrong}\r\n"), "::1"), Err(Refused::WrongToken), "{wrong}");
        }
        for none in ["Basic 0123456789abcdef", "0123456789abcdef", "Bearer", "Bearer ", ""] {
            assert_eq!(change(&format!("Authorization: {none}\r\n"), "::1"), Err(Refused::NoToken), "{none}");
        }
        assert_eq!(change("", "127.0.0.1"), Err(Refused::NoToken));
        let right = "Authorization: Bearer 0123456789abcdef\r\n";
        assert_eq!(change(&format!("{right}{right}"), "127.0.0.1"), Err(Refused::NoToken), "which of them?");
        assert_eq!(change(right, "10.0.0.1"), Err(Refused::Elsewhere));
        assert_eq!(change(right, "::ffff:127.0.0.1"), Ok(()));
    }

    #[test]
    fn without_a_token_nothing_can_be_changed() {
        let door = Door { token: None, ..door("127.0.0.1:5052") };
        let request = request("Host: x\r\nAuthorization: Bearer 0123456789abcdef\r\n");
        assert_eq!(door.may_change(&request, [127, 0, 0, 1].into()), Err(Refused::WrongToken));
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_none() {
        let token = |text: &[u8]| Token::new(text).unwrap();
        assert_eq!(text_of(&token(b"abc+/-._~DEF0123==")), Ok("abc+/-._~DEF0123=="));
        assert!(text_of(&token(b"0123456789 abcdef")).is_err());
        assert!(text_of(&token("0123456789ä-abcdef".as_bytes())).is_err());
    }
}
