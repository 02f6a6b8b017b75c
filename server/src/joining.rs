//! Being a member without `servers.json`: joining a load balancer over the network, and staying. The protocol, its theory
//! and its proofs are in [`protocol::join`]; this is the server's side of it.
//!
//! **Coming back.** A load balancer that is started again knows nobody: its servers must come by themselves. They try
//! after 250 ms, then after twice as long each time, up to 5 s, for ever; and say so once, not each time. *Refused* is
//! something else than *not there*: with a wrong token the next try will fail, too. At the very first try somebody is
//! standing there and can mend it, so the server ends with status 1; later it goes on trying, up to once a minute.

use crate::membership::JoinError;
use parking_lot::Mutex;
use protocol::{
    deadline::{Deadline, Phase},
    frame::Kind,
    id::RequestId,
    join::{BEAT_EVERY, Challenge, Claim, JoinRequest, LEASE, Register, Registered, Renewed, is_nonce},
    limits::HEADER_TIME,
    message::Failure,
    output::{Plain, say, warn},
    registry::Entry,
    stop::Stop,
    token::{Token, draw_nonce},
    wire::{Connection, WireError, from_header},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// How long the load balancer may take to accept.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// How long it may take to answer: it asks at our control port first, and may have to wait for the end of an earlier
/// conversation there.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// The first pause after the load balancer was lost or not there, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The first pause after a refusal that will last, and the longest.
const LONG_PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Why an attempt to join failed.
#[derive(Debug, thiserror::Error)]
enum NotJoined {
    #[error("{}", Plain(&.0.message))]
    Refused(Failure),
    #[error("It demands a proof. Give this server its token: --token-file FILE")]
    TokenNeeded,
    #[error("It does not prove that it knows our token, so it gets nothing from us.")]
    Unproved,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("The system gives no random numbers: {0}.")]
    Random(#[from] io::Error),
}

impl NotJoined {
    /// Whether the next try will fail, too, unless a person changes something.
    fn lasts(&self) -> bool {
        match self {
            Self::Refused(failure) => failure.retry_after_ms.is_none(),
            Self::TokenNeeded | Self::Unproved => true,
            Self::Wire(_) | Self::Random(_) => false,
        }
    }

    /// When the load balancer wants to be asked again.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(failure) => failure.retry_after_ms.map(Duration::from_millis),
            _ => None,
        }
    }
}

/// A server that joins, and stays, until [`Joining::leave`]. The thread "membership" speaks to the load balancer.
pub(crate) struct Joining {
    link: Arc<Link>,
}

/// What is said to the load balancer, and on what.
struct Link {
    balancer: SocketAddr,
    entry: Entry,
    incarnation: u64,
    token: Option<Token>,
    /// Ends the thread.
    end: Stop,
    /// The connection, to be shut down from outside. Held for a look or a change.
    stream: Mutex<Option<Arc<TcpStream>>>,
}

impl Joining {
    /// Joins, or goes on trying to if the load balancer is not there yet.
    ///
    /// # Errors
    /// If it refuses for a reason that will last, or the system gives no thread.
    pub(crate) fn join(
        balancer: SocketAddr,
        entry: Entry,
        incarnation: u64,
        token: Option<Token>,
    ) -> Result<Self, JoinError> {
        let (end, stream) = (Stop::new(), Mutex::new(None));
        let link = Arc::new(Link { balancer, entry, incarnation, token, end, stream });
        let first = match link.ask() {
            Err(error) if error.lasts() => return Err(JoinError::Refused { balancer, why: error.to_string() }),
            first => first,
        };
        let joining = Self { link: Arc::clone(&link) };
        thread::Builder::new().name("membership".into()).spawn(move || link.stay(first))?;
        Ok(joining)
    }

    /// Ends the membership: the load balancer notices the end of the connection at once.
    pub(crate) fn leave(&mut self) {
        self.link.end.drain();
        if let Some(stream) = self.link.stream.lock().take() {
            let _already_closed = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Link {
    /// Stays a member as long as there is a load balancer, and tries to become one when there is not.
    fn stay(&self, mut attempt: Result<(Connection, Duration), NotJoined>) {
        let (mut pauses, mut told) = (0, None);
        while !self.end.is_set() {
            let pause = match attempt {
                Ok((connection, lease)) => {
                    say!("Joined the load balancer at {}.", self.balancer);
                    let why = self.keep(connection, lease);
                    if self.end.is_set() {
                        return;
                    }
                    warn!("This server is out of the pool: {} It tries to join again until it can.", Plain(&why));
                    (pauses, told) = (0, Some(String::new()));
                    PAUSES.0
                }
                Err(error) => {
                    self.tell(&error, &mut told);
                    pauses += 1;
                    pause(&error, pauses)
                }
            };
            if self.end.wait_timeout(pause) {
                return;
            }
            attempt = self.ask();
        }
    }

    /// Says why joining failed: that nobody is there once, a refusal whenever it is another one.
    fn tell(&self, error: &NotJoined, told: &mut Option<String>) {
        let refused = !matches!(error, NotJoined::Wire(_));
        let words = if refused { error.to_string() } else { String::new() };
        if !self.end.is_set() && told.as_ref() != Some(&words) {
            let (balancer, again) = (self.balancer, "Trying again until it succeeds.");
            if refused {
                warn!("The load balancer at {balancer} does not let this server join: {error} {again}");
            } else {
                warn!("This server cannot join the load balancer at {balancer}: {error} {again}");
            }
            *told = Some(words);
        }
    }

    /// One attempt. The connection of the lease, and how long it lasts without a word.
    fn ask(&self) -> Result<(Connection, Duration), NotJoined> {
        let mut connection = Connection::connect(self.balancer, CONNECT_TIME)?;
        *self.stream.lock() = Some(Arc::clone(connection.stream()));
        // Whoever ended the membership before that line has not seen the connection.
        if self.end.is_set() {
            return Err(WireError::Closed { peer: self.balancer, phase: Phase::Connect }.into());
        }
        let server_nonce = draw_nonce()?;
        let request = JoinRequest { nonce: server_nonce.clone() };
        let challenge: Challenge = talk(&mut connection, Kind::Join, &request, Kind::Challenge, ANSWER_TIME)?;
        match (&self.token, challenge.token) {
            (None, true) => return Err(NotJoined::TokenNeeded),
            // Who has no token will not prove that he knows ours: he need not see our proof first.
            (Some(_), false) => return Err(NotJoined::Unproved),
            _ if !is_nonce(&challenge.nonce) => return Err(unexpected(self.balancer, Kind::Challenge)),
            _ => {}
        }
        let (balancer_nonce, entry, incarnation) = (&challenge.nonce, &self.entry, self.incarnation);
        let claim = Claim { server_nonce: &server_nonce, balancer_nonce, entry, incarnation };
        let proof = self.token.as_ref().map(|token| claim.prove_as_server(token));
        let register = Register { entry: entry.clone(), incarnation, proof };
        let registered: Registered = talk(&mut connection, Kind::Register, &register, Kind::Registered, ANSWER_TIME)?;
        let proved = |token| claim.is_from_balancer(token, registered.proof.as_deref());
        if !self.token.as_ref().is_none_or(proved) {
            return Err(NotJoined::Unproved);
        }
        Ok((connection, Duration::from_millis(registered.lease_ms).clamp(BEAT_EVERY, LEASE)))
    }

    /// Says that the server is there, as often as the lease demands, until the load balancer does not answer, or the server
    /// leaves. Returns why it is over.
    fn keep(&self, mut connection: Connection, lease: Duration) -> String {
        let mut why_none = None;
        while !self.end.wait_timeout(BEAT_EVERY.min(lease / 3)) {
            let nothing = serde_json::json!({});
            match talk::<Renewed>(&mut connection, Kind::Lease, &nothing, Kind::Renewed, lease) {
                Ok(Renewed { why }) => tell_standing(&mut why_none, why),
                Err(error) => return error.to_string(),
            }
        }
        String::new()
    }
}

/// Says when the load balancer begins or ceases to believe this server.
fn tell_standing(before: &mut Option<String>, now: Option<String>) {
    if *before == now {
        return;
    }
    match &now {
        Some(why) => warn!("The load balancer gives this server no requests: {}", Plain(why)),
        None => say!("The load balancer gives this server requests again."),
    }
    *before = now;
}

/// How long to wait after the so-many-th failure in a row.
fn pause(error: &NotJoined, failures: u32) -> Duration {
    let (first, longest) = if error.lasts() { LONG_PAUSES } else { PAUSES };
    let grown = first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest);
    error.retry_after().map_or(grown, |wanted| wanted.clamp(PAUSES.0, LONG_PAUSES.1))
}

/// Says one thing and hears the answer, or the refusal.
fn talk<A: DeserializeOwned>(
    connection: &mut Connection,
    kind: Kind,
    message: &impl Serialize,
    answer: Kind,
    within: Duration,
) -> Result<A, NotJoined> {
    // A refusal may have come already, and then nobody listens any more: it is read all the same.
    let sent = connection.send_message(kind, RequestId::NONE, message);
    let mut header = Vec::new();
    let until = Some(Deadline::after(within));
    let peer = connection.peer();
    let prefix = match connection.next(&mut header, Phase::Answer, until, HEADER_TIME.min(within)) {
        Ok(Some(prefix)) => prefix,
        Ok(None) => return Err(WireError::Closed { peer, phase: Phase::Answer }.into()),
        Err(error) => return Err(sent.err().unwrap_or(error).into()),
    };
    if prefix.kind == Kind::Error {
        return Err(NotJoined::Refused(from_header(peer, &prefix, &header)?));
    }
    if prefix.kind != answer || prefix.body_len > 0 {
        return Err(unexpected(peer, prefix.kind));
    }
    Ok(from_header(peer, &prefix, &header)?)
}

fn unexpected(peer: SocketAddr, kind: Kind) -> NotJoined {
    WireError::Unexpected { peer, kind }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{message::ErrorCode, registry::LAB};
    use std::net::TcpListener;

    const LONG: Duration = Duration::from_secs(20);

    fn link(balancer: SocketAddr, token: Option<&[u8]>) -> Link {
        let entry = Entry {
            id: "1".into(),
            address: ([127, 0, 0, 1], 6001).into(),
            service: LAB.into(),
            processing_time: 0.1,
            capacity: 1,
            control: ([127, 0, 0, 1], 6002).into(),
            pid: None,
        };
        let token = token.map(|token| Token::new(token).unwrap());
        Link { balancer, entry, incarnation: 5, token, end: Stop::new(), stream: Mutex::new(None) }
    }

    const SECRET: &[u8] = b"0123456789abcdef";

    /// How an attempt ends at a load balancer that demands a token, or not, and answers the `R` with this.
    fn attempt(token: Option<&[u8]>, demands: bool, answer: fn(&Claim<'_>) -> Option<String>) -> Result<(), NotJoined> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = link(listener.local_addr().unwrap(), token);
        let balancer = thread::spawn(move || {
            let mut peer = Connection::new(Arc::new(listener.accept().unwrap().0)).unwrap();
            let mut header = Vec::new();
            let next = |peer: &mut Connection, header: &mut Vec<u8>| {
                peer.next(header, Phase::Idle, Some(Deadline::after(LONG)), LONG).ok().flatten()
            };
            next(&mut peer, &mut header).unwrap();
            let JoinRequest { nonce } = serde_json::from_slice(&header).unwrap();
            let challenge = Challenge { nonce: draw_nonce().unwrap(), token: demands };
            peer.send_message(Kind::Challenge, RequestId::NONE, &challenge).unwrap();
            if next(&mut peer, &mut header).is_none() {
                return;
            }
            let Register { entry, incarnation, .. } = serde_json::from_slice(&header).unwrap();
            let (server_nonce, balancer_nonce) = (nonce.as_str(), challenge.nonce.as_str());
            let claim = Claim { server_nonce, balancer_nonce, entry: &entry, incarnation };
            let registered = Registered { lease_ms: 3_000, proof: answer(&claim) };
            peer.send_message(Kind::Registered, RequestId::NONE, &registered).unwrap();
            let _until_it_hangs_up = next(&mut peer, &mut header);
        });
        let ended = link.ask().map(|(_, lease)| assert_eq!(lease, LEASE));
        // The connection must be gone, or the other side would wait for ever.
        drop(link);
        balancer.join().unwrap();
        ended
    }

    #[test]
    fn a_load_balancer_must_prove_that_it_knows_the_token() {
        attempt(Some(SECRET), true, |claim| Some(claim.prove_as_balancer(&Token::new(SECRET).unwrap()))).unwrap();
        let stranger = |claim: &Claim<'_>| Some(claim.prove_as_balancer(&Token::new(b"another secret of 16").unwrap()));
        let mirror = |claim: &Claim<'_>| Some(claim.prove_as_server(&Token::new(SECRET).unwrap()));
        for (demands, answer) in
            [(true, stranger as fn(&Claim<'_>) -> Option<String>), (true, mirror), (true, |_| None), (false, |_| None)]
        {
            let error = attempt(Some(SECRET), demands, answer).unwrap_err();
            assert!(matches!(error, NotJoined::Unproved) && error.lasts(), "{error}");
        }
    }

    #[test]
    fn without_a_token_one_joins_who_demands_none() {
        attempt(None, false, |_| None).unwrap();
        let error = attempt(None, true, |_| None).unwrap_err();
        assert!(matches!(error, NotJoined::TokenNeeded) && error.lasts(), "{error}");
    }

    #[test]
    fn pauses_grow_and_refusals_pause_longer() {
        let gone = || NotJoined::Wire(WireError::Closed { peer: ([127, 0, 0, 1], 1).into(), phase: Phase::Answer });
        let of = |error: &NotJoined, upto| (1..=upto).map(|n| pause(error, n).as_millis()).collect::<Vec<_>>();
        assert_eq!(of(&gone(), 7), [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(of(&NotJoined::TokenNeeded, 6), [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
        let busy = Failure::definite(ErrorCode::Busy, "Full.").retry_after_ms(1);
        assert_eq!(of(&NotJoined::Refused(busy), 2), [250, 250]);
        assert_eq!(pause(&gone(), u32::MAX), PAUSES.1);
    }
}
