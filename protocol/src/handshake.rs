//! The handshake: who answers at this address?
//!
//! **The problem.** `servers.json` says that server 2 is at 127.0.0.1:6002. Perhaps it was, an hour ago. Now its
//! process is gone, or the port belongs to a web server, or to another server 2 with another database. Whoever
//! believes the file sends requests into the void.
//!
//! **The idea.** Beside its service each server has a *control port*, on which it answers two questions, also while
//! it is busy: `I`, who are you (with a nonce, so that no old answer passes for a new one), and `B`, do you live.
//! A server gets work only after its identity agrees with what the registry says. An *incarnation*, drawn at
//! random when a process starts, tells a restarted server from the one that was there before.
//!
//! Whoever has a [token](crate::token) believes only a server that has it, too: the answer then carries an HMAC over the
//! nonce and everything it says. A server answers anybody who asks; what it says of itself is no secret.

use crate::{
    deadline::{Deadline, Phase},
    frame::Kind,
    id::RequestId,
    limits::HEADER_TIME,
    message::{Alive, Identified, Identify, Identity},
    token::{Token, draw_nonce},
    wire::{Connection, WireError, from_header},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{io, net::SocketAddr, time::Duration};

/// A connection to a server's control port, kept open: the end of the process ends it, which is noticed at once.
#[derive(Debug)]
pub struct Control {
    connection: Connection,
    header: Vec<u8>,
}

/// Why a server is not believed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection or the frames on it failed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The answer repeats another nonce.
    #[error("{0} answered the handshake with somebody else's nonce.")]
    Nonce(SocketAddr),
    /// We have a token, and the answer is not proved with it.
    #[error(
        "{0} does not prove that it knows the token. Start the server with the token file of this load balancer \
         (--token-file)."
    )]
    Unproved(SocketAddr),
    /// The system gives no random bytes for a nonce.
    #[error("The system gives no random numbers, so nobody can be asked for a proof: {0}.")]
    Random(io::Error),
    /// The server speaks no version that we speak.
    #[error("{peer} speaks versions {min} to {max} of the lab protocol; this side speaks {}.", crate::frame::VERSION)]
    Version {
        /// The control address.
        peer: SocketAddr,
        /// The server's oldest version.
        min: u8,
        /// The server's newest version.
        max: u8,
    },
}

impl HandshakeError {
    /// Whether nobody listens there, so that on this machine the process is surely gone.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Wire(error) if error.is_refused())
    }
}

impl Control {
    /// Connects to a control port.
    ///
    /// # Errors
    /// If nobody accepts in time.
    pub fn connect(control: SocketAddr, within: Duration) -> Result<Self, HandshakeError> {
        Ok(Self { connection: Connection::connect(control, within)?, header: Vec::new() })
    }

    /// The connection, for whoever must shut it down from another thread or watch it.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Asks who is there.
    ///
    /// # Errors
    /// If no answer comes in time, or one that is not to be believed.
    pub fn identify(&mut self, within: Duration) -> Result<Identity, HandshakeError> {
        self.identify_with(None, within)
    }

    /// Asks who is there, and believes only an answer that is proved with this token, if there is one.
    ///
    /// # Errors
    /// As [`Control::identify`], and [`HandshakeError::Unproved`].
    pub fn identify_with(&mut self, token: Option<&Token>, within: Duration) -> Result<Identity, HandshakeError> {
        let nonce = draw_nonce().map_err(HandshakeError::Random)?;
        let question = Identify { nonce: nonce.clone() };
        let answer: Identified = self.ask(Kind::Identify, &question, Kind::Identity, within)?;
        let Identified { identity, proof } = answer;
        let peer = self.connection.peer();
        if identity.nonce != nonce {
            return Err(HandshakeError::Nonce(peer));
        }
        let proved = |token| proof.as_deref().is_some_and(|proof| identity.is_proved_by(token, proof));
        if !token.is_none_or(proved) {
            return Err(HandshakeError::Unproved(peer));
        }
        if !(identity.min_version..=identity.max_version).contains(&crate::frame::VERSION) {
            return Err(HandshakeError::Version { peer, min: identity.min_version, max: identity.max_version });
        }
        Ok(identity)
    }

    /// Asks whether the server lives.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub fn heartbeat(&mut self, within: Duration) -> Result<Alive, HandshakeError> {
        self.ask(Kind::Heartbeat, &serde_json::json!({}), Kind::Alive, within)
    }

    fn ask<A: DeserializeOwned>(
        &mut self,
        question: Kind,
        message: &impl Serialize,
        answer: Kind,
        within: Duration,
    ) -> Result<A, HandshakeError> {
        let id = RequestId { client: 0, sequence: fastrand::u64(1..) };
        self.connection.send_message(question, id, message)?;
        let deadline = Deadline::after(within);
        loop {
            let first = Some(deadline);
            let prefix = self.connection.next(&mut self.header, Phase::Answer, first, HEADER_TIME.min(within))?;
            let peer = self.connection.peer();
            let Some(prefix) = prefix else {
                return Err(WireError::Closed { peer, phase: Phase::Answer }.into());
            };
            if prefix.kind != answer || prefix.body_len > 0 {
                return Err(WireError::Unexpected { peer, kind: prefix.kind }.into());
            }
            // An answer to an earlier question, given up after its deadline, may still come: it is passed over.
            if prefix.id == id {
                return Ok(from_header(peer, &prefix, &self.header)?);
            }
            // Each of them is read in time; so many of them are no answer either.
            if deadline.has_passed() {
                return Err(WireError::Timeout { peer, phase: Phase::Answer }.into());
            }
        }
    }
}

/// Connects, asks who is there, and hangs up.
///
/// # Errors
/// As [`Control::identify`].
pub fn who_is_there(control: SocketAddr, within: Duration) -> Result<Identity, HandshakeError> {
    Control::connect(control, within)?.identify(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, sync::Arc, thread};

    fn identity(nonce: String) -> Identity {
        Identity {
            nonce,
            id: "2".into(),
            incarnation: 5,
            service: "lab".into(),
            address: SocketAddr::from(([127, 0, 0, 1], 6002)),
            processing_time: 0.2,
            capacity: 1,
            database: None,
            min_version: 1,
            max_version: 1,
            pid: 1,
        }
    }

    /// A server that answers one question with what `answer` makes of the nonce, and one heartbeat late.
    fn server(answer: fn(String) -> Identity) -> (SocketAddr, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let mut peer = Connection::new(Arc::new(listener.accept().unwrap().0)).unwrap();
            let mut header = Vec::new();
            while let Ok(Some(prefix)) = peer.next(&mut header, Phase::Idle, None, HEADER_TIME) {
                if prefix.kind == Kind::Identify {
                    let question: Identify = from_header(peer.peer(), &prefix, &header).unwrap();
                    peer.send_message(Kind::Identity, prefix.id, &answer(question.nonce)).unwrap();
                } else {
                    let alive = Alive { incarnation: 5, active: 0, draining: false };
                    // First a late answer to nobody's question, then the right one.
                    peer.send_message(Kind::Alive, RequestId::NONE, &Alive { active: 9, ..alive }).unwrap();
                    peer.send_message(Kind::Alive, prefix.id, &alive).unwrap();
                }
            }
        });
        (address, thread)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_server_says_who_it_is_and_that_it_lives() {
        let (address, thread) = server(identity);
        let mut control = Control::connect(address, LONG).unwrap();
        assert_eq!(control.identify(LONG).unwrap().incarnation, 5);
        assert_eq!(control.heartbeat(LONG).unwrap(), Alive { incarnation: 5, active: 0, draining: false });
        drop(control);
        thread.join().unwrap();
    }

    #[test]
    fn an_old_nonce_and_another_version_are_not_believed() {
        let (address, thread) = server(|_| identity("yesterday".into()));
        assert!(matches!(who_is_there(address, LONG), Err(HandshakeError::Nonce(_))));
        thread.join().unwrap();
        let (address, thread) = server(|nonce| Identity { min_version: 7, max_version: 9, ..identity(nonce) });
        assert!(matches!(who_is_there(address, LONG), Err(HandshakeError::Version { min: 7, max: 9, .. })));
        thread.join().unwrap();
    }

    /// A server that has a token, and says `changed` of what it proves.
    fn proving(token: &'static [u8], changed: fn(Identity) -> Identity) -> (SocketAddr, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let mut peer = Connection::new(Arc::new(listener.accept().unwrap().0)).unwrap();
            let mut header = Vec::new();
            while let Ok(Some(prefix)) = peer.next(&mut header, Phase::Idle, None, HEADER_TIME) {
                let question: Identify = from_header(peer.peer(), &prefix, &header).unwrap();
                let identity = identity(question.nonce);
                let proof = Some(identity.prove(&Token::new(token).unwrap()));
                let answer = Identified { identity: changed(identity), proof };
                peer.send_message(Kind::Identity, prefix.id, &answer).unwrap();
            }
        });
        (address, thread)
    }

    #[test]
    fn with_a_token_only_who_proves_it_is_believed() {
        let token = Token::new(b"0123456789abcdef").unwrap();
        let ask = |(address, thread): (SocketAddr, thread::JoinHandle<()>)| {
            let mut control = Control::connect(address, LONG).unwrap();
            let with = control.identify_with(Some(&token), LONG);
            let without = control.identify(LONG).is_ok();
            drop(control);
            thread.join().unwrap();
            (with, without)
        };
        let (with, without) = ask(proving(b"0123456789abcdef", |same| same));
        assert!(with.is_ok() && without, "{with:?}");
        for stranger in [
            server(identity),
            proving(b"0123456789abcdeX", |same| same),
            proving(b"0123456789abcdef", |other| Identity { capacity: 2, ..other }),
        ] {
            let (with, without) = ask(stranger);
            assert!(matches!(with, Err(HandshakeError::Unproved(_))) && without, "{with:?}");
        }
    }

    #[test]
    fn an_endless_stream_of_late_answers_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let flood = thread::spawn(move || {
            let mut peer = Connection::new(Arc::new(listener.accept().unwrap().0)).unwrap();
            let late = Alive { incarnation: 5, active: 0, draining: false };
            while peer.send_message(Kind::Alive, RequestId::NONE, &late).is_ok() {}
        });
        let mut control = Control::connect(address, LONG).unwrap();
        let error = control.heartbeat(Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, HandshakeError::Wire(WireError::Timeout { phase: Phase::Answer, .. })), "{error}");
        drop(control);
        flood.join().unwrap();
    }

    #[test]
    fn nobody_and_somebody_silent_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let silent = who_is_there(address, Duration::from_millis(30)).unwrap_err();
        assert!(!silent.is_refused(), "{silent}");
        drop(listener);
        let nobody = who_is_there(address, LONG).unwrap_err();
        assert!(nobody.is_refused(), "{nobody}");
    }
}
