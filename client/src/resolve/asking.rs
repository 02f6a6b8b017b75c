//! One question: asked, asked again, and answered.

use protocol::{
    deadline::Deadline,
    dns::{
        self, Edns, LARGEST_DATAGRAM, MAX_MESSAGE, Message, Name, Options, Question, Rcode, Section, query, socket_to,
    },
    wire::Connection,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// After how long a question is sent again: datagrams get lost, and nobody tells.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The code of "Extended DNS Errors" (RFC 8914), and its "no server could be reached in time".
const EXTENDED_ERROR: u16 = 15;
const NO_REACHABLE_AUTHORITY: u16 = 22;

/// Whom to ask, and how long to wait.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who is asked.
    pub server: SocketAddr,
    /// How long a question is waited for.
    pub timeout: Duration,
    /// Whether to ask over TCP at once.
    pub tcp: bool,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Addresses, each with the name that it belongs to, as the answer spells it; at least one.
    Addresses(Vec<(Name, IpAddr)>),
    /// An answer without one, and why.
    Nothing(String),
    /// No answer in time, or an answer that says that nobody has answered.
    TimedOut,
    /// Nobody could be asked.
    Trouble(String),
}

impl Asker {
    /// Asks, over TCP too if the answer does not fit into a datagram.
    #[must_use]
    pub fn ask(&self, question: &Question) -> Found {
        let deadline = Deadline::after(self.timeout);
        let answered = match self.tcp {
            true => self.over_tcp(question, deadline),
            false => self.over_udp(question, deadline).and_then(|found| match found {
                Some(found) => Ok(Some(found)),
                None => self.over_tcp(question, deadline),
            }),
        };
        match answered {
            Ok(found) => found.unwrap_or(Found::TimedOut),
            Err(error) if is_timeout(&error) => Found::TimedOut,
            // A port that nobody listens on is told at once, and so is a network that is not there.
            Err(error) => Found::Trouble(error.to_string()),
        }
    }

    /// `None` if the answer does not fit into a datagram.
    fn over_udp(&self, question: &Question, deadline: Deadline) -> io::Result<Option<Found>> {
        let socket = socket_to(self.server)?;
        let id = fastrand::u16(..);
        let asked = query(id, question, Some(edns()));
        let mut buffer = [0; LARGEST_DATAGRAM];
        while !deadline.has_passed() {
            socket.send(&asked)?;
            let patience = deadline.min(Deadline::after(AGAIN_AFTER));
            while let Some(left) = patience.slice() {
                socket.set_read_timeout(Some(left))?;
                let length = match socket.recv(&mut buffer) {
                    Ok(length) => length,
                    Err(error) if is_timeout(&error) => continue,
                    Err(error) => return Err(error),
                };
                match understand(&buffer[..length], id, question) {
                    Some(Understood::Found(found)) => return Ok(Some(found)),
                    Some(Understood::TooLong) => return Ok(None),
                    None => {}
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn over_tcp(&self, question: &Question, deadline: Deadline) -> io::Result<Option<Found>> {
        let mut connection = Connection::connect(self.server, deadline.remaining()).map_err(io::Error::other)?;
        let id = fastrand::u16(..);
        dns::send(&mut connection, &query(id, question, Some(edns()))).map_err(io::Error::other)?;
        let received = dns::receive(&mut connection, Some(deadline), deadline.remaining());
        let Ok(Some(message)) = received else { return Ok(None) };
        match understand(&message, id, question) {
            Some(Understood::Found(found)) => Ok(Some(found)),
            _ => Ok(Some(Found::Nothing("an answer to something else".to_owned()))),
        }
    }
}

fn edns() -> Edns<'static> {
    let datagram = LARGEST_DATAGRAM.min(MAX_MESSAGE) as u16;
    Edns { datagram, rcode: 0, version: 0, flags: 0, options: Options::NONE }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[derive(Debug, PartialEq, Eq)]
enum Understood {
    Found(Found),
    /// It did not fit.
    TooLong,
}

/// What these bytes say to this question; `None` if they are no answer to it.
fn understand(bytes: &[u8], id: u16, question: &Question) -> Option<Understood> {
    let message = Message::parse(bytes).ok()?;
    if !message.answers(id, question) {
        return None;
    }
    if message.flags.is_truncated() {
        return Some(Understood::TooLong);
    }
    Some(Understood::Found(found(&message, question)))
}

fn found(message: &Message<'_>, question: &Question) -> Found {
    let wanted = message.records.iter().filter(|record| record.section == Section::Answer);
    let wanted = wanted.filter(|record| record.record_type == question.record_type);
    let read = |record| Some((message.name(record).ok()?, address(message.data(record))?));
    let addresses: Vec<(Name, IpAddr)> = wanted.filter_map(read).collect();
    if !addresses.is_empty() {
        return Found::Addresses(addresses);
    }
    match message.rcode() {
        Rcode::NO_ERROR => Found::Nothing("NO DATA".to_owned()),
        Rcode::SERVER_FAILURE if nobody_answered(message) => Found::TimedOut,
        other => Found::Nothing(other.to_string()),
    }
}

fn address(data: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(data).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(data).map(IpAddr::from)).ok()
}

/// Whether the load balancer says that it has waited for name servers in vain.
fn nobody_answered(message: &Message<'_>) -> bool {
    let said = message.edns.and_then(|edns| edns.options.get(EXTENDED_ERROR));
    said.and_then(|said| said.first_chunk()).is_some_and(|code| u16::from_be_bytes(*code) == NO_REACHABLE_AUTHORITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::dns::{Flags, RecordType, Reply, record_type};
    use std::{net::UdpSocket, thread};

    fn question(name: &str) -> Question {
        Question::new(name.parse().unwrap(), record_type::A)
    }

    /// The answer to a query, changed as told.
    fn answered(asked: &[u8], change: impl FnOnce(&mut Reply<'_>)) -> Vec<u8> {
        let message = Message::parse(asked).unwrap();
        let mut reply = Reply::to(&message);
        change(&mut reply);
        reply.finish(LARGEST_DATAGRAM)
    }

    fn one(reply: &mut Reply<'_>) {
        reply.answer(&"GOOGLE.com".parse().unwrap(), record_type::A, 60, &[46, 1, 3, 7]);
    }

    #[test]
    fn only_the_answer_to_our_question_is_believed() {
        let ours = question("google.com");
        let asked = query(7, &ours, Some(edns()));
        let right = answered(&asked, one);
        let address = Found::Addresses(vec![("GOOGLE.com".parse().unwrap(), "46.1.3.7".parse().unwrap())]);
        assert_eq!(understand(&right, 7, &ours), Some(Understood::Found(address)));
        assert_eq!(understand(&right, 8, &ours), None, "another id");
        assert_eq!(understand(&right, 7, &question("google.org")), None, "another name");
        assert_eq!(understand(&right, 7, &Question { record_type: RecordType(28), ..ours.clone() }), None);
        assert_eq!(understand(&asked, 7, &ours), None, "a query is no answer");
        assert_eq!(understand(&right[..20], 7, &ours), None, "half of an answer");
    }

    #[test]
    fn an_answer_without_an_address_says_why() {
        let ours = question("google.com");
        let asked = query(7, &ours, Some(edns()));
        let said = |reply: Reply<'_>| understand(&reply.finish(LARGEST_DATAGRAM), 7, &ours).unwrap();
        let message = Message::parse(&asked).unwrap();
        let nothing = |why: &str| Understood::Found(Found::Nothing(why.to_owned()));
        assert_eq!(said(Reply::to(&message)), nothing("NO DATA"));
        assert_eq!(said(Reply::to(&message).rcode(Rcode::NO_SUCH_NAME)), nothing("NXDOMAIN"));
        assert_eq!(said(Reply::to(&message).rcode(Rcode::SERVER_FAILURE)), nothing("SERVFAIL"));
        let in_vain = Reply::to(&message).rcode(Rcode::SERVER_FAILURE).option(EXTENDED_ERROR, &[0, 22]);
        assert_eq!(said(in_vain), Understood::Found(Found::TimedOut));
        assert_eq!(said(Reply::to(&message).flags(Flags::truncated)), Understood::TooLong);
    }

    #[test]
    fn who_answers_late_or_wrong_is_waited_past() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let served = thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, client) = server.recv_from(&mut buffer).unwrap();
            let asked = &buffer[..length];
            let mut foreign = answered(asked, |reply| {
                reply.answer(&"evil.com".parse().unwrap(), record_type::A, 60, &[6, 6, 6, 6]);
            });
            foreign[0] ^= 1;
            server.send_to(&foreign, client).unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&answered(asked, one), client).unwrap();
            server.send_to(&answered(asked, one), client).unwrap();
        });
        let asker = Asker { server: address, timeout: Duration::from_secs(10), tcp: false };
        let found = asker.ask(&question("google.com"));
        served.join().unwrap();
        assert_eq!(found, Found::Addresses(vec![("GOOGLE.com".parse().unwrap(), "46.1.3.7".parse().unwrap())]));
    }

    #[test]
    fn nobody_there_and_nobody_answering() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let asker = |server| Asker { server, timeout: Duration::from_millis(50), tcp: false };
        assert_eq!(asker(silent.local_addr().unwrap()).ask(&question("a.b")), Found::TimedOut);
        let gone = silent.local_addr().unwrap();
        drop(silent);
        assert!(matches!(asker(gone).ask(&question("a.b")), Found::Trouble(_)));
    }
}
