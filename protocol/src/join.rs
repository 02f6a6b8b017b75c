//! Joining over the network: how a server on another machine becomes one of the pool.
//!
//! **The problem.** `servers.json` is a file; a server on another machine cannot write into it. It must ask, and the
//! load balancer must know whom to believe, and notice when the server is gone without a word: whoever loses power
//! unregisters nothing.
//!
//! **The idea.** The load balancer listens on a *registration port* of its own. Three things happen there:
//!
//! 1. *A proof, both ways.* Each side sends a nonce, and answers the other's with an HMAC under the [token](crate::token)
//!    that both know; the server's covers its whole entry. So the load balancer knows that a friend says this, and the
//!    server knows that it is not handing itself to a stranger.
//! 2. *A handshake.* Before it says yes, the load balancer asks at the control port of the entry who is there, as it does
//!    with entries of `servers.json` ([`crate::handshake`]). An entry that nobody is behind changes nothing.
//! 3. *A lease.* The connection stays, and the server says `L` once a second ([`BEAT_EVERY`]). Membership is not a state
//!    that somebody must remember to end, but one that ends by itself: after [`LEASE`] without a word, or at once when
//!    the connection closes, the server is out of the pool.
//!
//! ```text
//! server                                    load balancer
//!   J  nonce a            ───────────▶
//!                         ◀───────────       j  nonce b, whether a token is needed
//!   R  entry, incarnation ───────────▶
//!      HMAC(token, "server that joins", a, b, entry)
//!                                            I  who are you? (on the control port) ── i
//!                         ◀───────────       r  lease of 3 s
//!                                            HMAC(token, "load balancer", a, b, entry)
//!   L  each second        ───────────▶
//!                         ◀───────────       l  whether it gets requests
//! ```
//!
//! **An example with numbers.** A server whose cable is pulled at 10.0 s has sent its last word at 9.4 s, say: it leaves the
//! pool at 12.4 s. Its heartbeats on the control port find out no later; a killed process is noticed within
//! milliseconds, because the system closes its connections.
//!
//! **When it is wrong.** A lease judges the path between two machines, not the server: a network that is cut for three seconds
//! takes healthy servers out, and all at once. (They come back by themselves.) The lease also counts on clocks that run
//! equally fast, but not on clocks that agree. Nothing here is encrypted: the token is never sent, but entries, requests
//! and answers can be read, and be changed, by whoever sits on the path.
//!
//! **What production systems do.** The same with a store of consensus between them (etcd's leases, Consul's TTL checks), so
//! that several load balancers see one list; and TLS below all of it. Sources: C. Gray and D. Cheriton, *Leases* (1989);
//! [`crate::token`] for the proof.

use crate::{
    limits::{HEARTBEAT_EVERY, MAX_ID},
    registry::Entry,
    token::{Role, Token},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The port on which the load balancer takes registrations when no other is named.
pub const JOIN_PORT: u16 = 5051;

/// How long a server stays in the pool after its last word. Three words may be lost before it is out.
pub const LEASE: Duration = Duration::from_secs(3);

/// How often a server says that it is still there.
pub const BEAT_EVERY: Duration = HEARTBEAT_EVERY;

/// Header of a `J` frame: a server would like to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The server's nonce, which the load balancer's proof must cover.
    pub nonce: String,
}

/// Header of a `j` frame: prove that you may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The load balancer's nonce, which the server's proof must cover.
    pub nonce: String,
    /// Whether the load balancer has a token, and demands a proof.
    pub token: bool,
}

/// Header of an `R` frame: who joins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// What would stand in `servers.json`.
    pub entry: Entry,
    /// Which of its lives this is; the control port must say the same.
    pub incarnation: u64,
    /// That somebody who knows the token says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// Header of an `r` frame: the server is a member, as long as it says so in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// After how long without a word the membership ends, in milliseconds.
    pub lease_ms: u64,
    /// That the load balancer knows the token, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// Header of an `l` frame: the lease is renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Why the server gets no requests although it is a member; nothing when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What both proofs of one registration cover.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The nonce in the server's `J`.
    pub server_nonce: &'a str,
    /// The nonce in the load balancer's `j`.
    pub balancer_nonce: &'a str,
    /// The entry in the server's `R`.
    pub entry: &'a Entry,
    /// The incarnation in the server's `R`.
    pub incarnation: u64,
}

impl Claim<'_> {
    /// The server's proof.
    #[must_use]
    pub fn prove_as_server(&self, token: &Token) -> String {
        self.prove(token, Role::JoiningServer)
    }

    /// The load balancer's proof.
    #[must_use]
    pub fn prove_as_balancer(&self, token: &Token) -> String {
        self.prove(token, Role::JoinedBalancer)
    }

    /// Whether this is the server's proof.
    #[must_use]
    pub fn is_from_server(&self, token: &Token, proof: Option<&str>) -> bool {
        self.is_proof(token, Role::JoiningServer, proof)
    }

    /// Whether this is the load balancer's proof.
    #[must_use]
    pub fn is_from_balancer(&self, token: &Token, proof: Option<&str>) -> bool {
        self.is_proof(token, Role::JoinedBalancer, proof)
    }

    /// The parts that both proofs cover, in their order. Public for the page that shows them.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        let Entry { id, address, service, processing_time, capacity, control, pid } = self.entry;
        vec![
            self.server_nonce.to_owned(),
            self.balancer_nonce.to_owned(),
            id.clone(),
            address.to_string(),
            service.clone(),
            processing_time.to_string(),
            capacity.to_string(),
            control.to_string(),
            pid.map_or_else(String::new, |pid| pid.to_string()),
            self.incarnation.to_string(),
        ]
    }

    fn prove(&self, token: &Token, role: Role) -> String {
        let parts = self.parts();
        token.prove(role, &parts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn is_proof(&self, token: &Token, role: Role, proof: Option<&str>) -> bool {
        let parts = self.parts();
        proof.is_some_and(|proof| token.is_proof(proof, role, &parts.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}

/// Whether a text of the other side can be a nonce: long enough that it has not been there before, short enough to be
/// kept.
#[must_use]
pub fn is_nonce(text: &str) -> bool {
    (16..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::LAB;

    const A: &str = "00112233445566778899aabbccddeeff";
    const B: &str = "ffeeddccbbaa99887766554433221100";

    fn entry() -> Entry {
        Entry {
            id: "4".into(),
            address: ([10, 0, 0, 5], 6001).into(),
            service: LAB.into(),
            processing_time: 0.1,
            capacity: 1,
            control: ([10, 0, 0, 5], 6002).into(),
            pid: Some(7),
        }
    }

    fn claim(entry: &Entry) -> Claim<'_> {
        Claim { server_nonce: A, balancer_nonce: B, entry, incarnation: 5 }
    }

    fn token() -> Token {
        Token::new(b"correct horse battery staple").unwrap()
    }

    #[test]
    fn each_side_believes_the_other_and_not_itself() {
        let entry = entry();
        let claim = claim(&entry);
        let (server, balancer) = (claim.prove_as_server(&token()), claim.prove_as_balancer(&token()));
        assert!(claim.is_from_server(&token(), Some(&server)) && claim.is_from_balancer(&token(), Some(&balancer)));
        // Whoever has only a mirror: the proof that it was given, sent back.
        assert!(!claim.is_from_balancer(&token(), Some(&server)) && !claim.is_from_server(&token(), Some(&balancer)));
        assert!(!claim.is_from_server(&token(), None) && !claim.is_from_balancer(&token(), None));
    }

    #[test]
    fn a_proof_holds_for_one_token_one_entry_and_these_two_nonces() {
        let entry = entry();
        let proof = claim(&entry).prove_as_server(&token());
        let holds = |claim: Claim<'_>| claim.is_from_server(&token(), Some(&proof));
        assert!(holds(claim(&entry)));
        assert!(!claim(&entry).is_from_server(&Token::new(b"another horse battery staple").unwrap(), Some(&proof)));
        let other = Entry { pid: Some(8), ..entry.clone() };
        for changed in [
            Entry { id: "5".into(), ..entry.clone() },
            Entry { address: ([10, 0, 0, 6], 6001).into(), ..entry.clone() },
            Entry { service: "echo".into(), ..entry.clone() },
            Entry { processing_time: 0.01, ..entry.clone() },
            Entry { capacity: 2, ..entry.clone() },
            Entry { control: ([10, 0, 0, 5], 6003).into(), ..entry.clone() },
            Entry { pid: None, ..entry.clone() },
            other,
        ] {
            assert!(!holds(claim(&changed)), "{changed:?}");
        }
        assert!(!holds(Claim { incarnation: 6, ..claim(&entry) }));
        assert!(!holds(Claim { server_nonce: B, ..claim(&entry) }));
        assert!(!holds(Claim { balancer_nonce: A, ..claim(&entry) }));
        assert!(!holds(Claim { server_nonce: B, balancer_nonce: A, ..claim(&entry) }), "the nonces have their places");
    }

    #[test]
    fn what_is_sent_comes_back_and_what_is_no_entry_is_refused() {
        let register = Register { entry: entry(), incarnation: u64::MAX, proof: None };
        let json = serde_json::to_string(&register).unwrap();
        assert_eq!(serde_json::from_str::<Register>(&json).unwrap(), register);
        for wrong in [
            json.replace("10.0.0.5:6001", "10.0.0.5:0"),
            json.replace("\"4\"", "\"a b\""),
            json.replace("0.1", "-0.1"),
            json.replace("\"capacity\":1", "\"capacity\":0"),
            json.replace("\"id\"", "\"di\""),
        ] {
            assert!(serde_json::from_str::<Register>(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_nonce_is_long_enough_and_plain() {
        assert!(is_nonce(A) && is_nonce(&crate::token::draw_nonce().unwrap()));
        for wrong in ["", "0011", &"0".repeat(65), "0011223344556677\n8899"] {
            assert!(!is_nonce(wrong), "{wrong:?}");
        }
    }
}
