//! The door of whoever answers questions: what is answered at all, what with an error, and how long an answer may be.
//!
//! | what comes | what becomes of it |
//! |---|---|
//! | an answer (QR = 1), fewer bytes than a header | nothing: two programs that answer each other's errors never end |
//! | no message that can be read | FORMERR, twelve bytes |
//! | another kind of query (opcode) than the usual | NOTIMP |
//! | no question, or records where none belong | FORMERR |
//! | EDNS of another version | BADVERS |
//! | a whole zone (AXFR, IXFR), or another class | REFUSED |
//! | anything else | a question |
//!
//! Sources: RFC 1035 §4.1.1, RFC 6891 §6.1.3, RFC 9619 (one question), RFC 7873 (cookies).

use super::{
    LARGEST_DATAGRAM, MAX_MESSAGE,
    cookie::{Cookies, Standing},
    edns::{Edns, option},
    flags::{Flags, Opcode, Rcode},
    message::Message,
    question::{Question, RecordType, class},
    reply::Reply,
};
use std::net::SocketAddr;

/// How much longer than its question an answer to a stranger may be.
const MOST_AMPLIFICATION: usize = 2;

/// Types that stand for a transfer of a zone.
const TRANSFERS: [RecordType; 2] = [RecordType(251), RecordType(252)];

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram. Its sender may be a lie.
    Datagram,
    /// Over a connection.
    Stream,
}

/// What is done with a message that came.
#[derive(Debug)]
pub enum Admitted {
    /// Nothing.
    Dropped(&'static str),
    /// This is said.
    Refused(Vec<u8>, Rcode),
    /// It is a question.
    Asked(Inquiry),
}

/// A question that came, and how its asker is answered.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The asker's name for it.
    pub id: u16,
    /// The flags that it came with.
    pub flags: Flags,
    /// What is asked.
    pub question: Question,
    /// Whether the asker speaks EDNS.
    pub edns: bool,
    /// Whether it wants DNSSEC records.
    pub dnssec: bool,
    /// The cookie that it gets back.
    pub cookie: Option<Vec<u8>>,
    /// The longest answer, in bytes.
    pub limit: usize,
}

/// Looks at a message that came. `now`: seconds since 1970.
#[must_use]
pub fn admit(bytes: &[u8], peer: SocketAddr, transport: Transport, cookies: &Cookies, now: u32) -> Admitted {
    let Some((id, flags)) = Message::head(bytes) else { return Admitted::Dropped("it is shorter than a header") };
    if flags.is_response() {
        return Admitted::Dropped("it is an answer");
    }
    if peer.port() == 0 {
        return Admitted::Dropped("nobody can be answered at port 0");
    }
    let refused = |rcode| Admitted::Refused(Reply::to_unreadable(id, flags, rcode), rcode);
    if flags.opcode() != Opcode::QUERY {
        return refused(Rcode::NOT_IMPLEMENTED);
    }
    let Ok(message) = Message::parse(bytes) else { return refused(Rcode::FORMAT_ERROR) };
    let standing = cookies.judge(message.edns.as_ref(), peer.ip(), now);
    let limit = match (transport, standing) {
        (Transport::Stream, _) => MAX_MESSAGE,
        (Transport::Datagram, Standing::Known(_)) => message.datagram(),
        (Transport::Datagram, _) => message.datagram().min(MOST_AMPLIFICATION * bytes.len()),
    };
    let refused = |rcode| {
        let reply = Reply::to(&message).rcode(rcode);
        let reply = standing.cookie().into_iter().fold(reply, |reply, cookie| reply.option(option::COOKIE, cookie));
        Admitted::Refused(reply.finish(limit), rcode)
    };
    let Some(question) = &message.question else { return refused(Rcode::FORMAT_ERROR) };
    if !message.records.is_empty() || standing == Standing::Nonsense {
        return refused(Rcode::FORMAT_ERROR);
    }
    if message.edns.is_some_and(|edns| edns.version != 0) {
        return refused(Rcode::BAD_VERSION);
    }
    if question.class != class::IN || TRANSFERS.contains(&question.record_type) {
        return refused(Rcode::REFUSED);
    }
    let Message { question: Some(question), edns, .. } = message else { unreachable!("it was there above") };
    Admitted::Asked(Inquiry {
        id,
        flags,
        question,
        edns: edns.is_some(),
        dnssec: edns.is_some_and(|edns| edns.flags & Edns::DNSSEC_OK != 0),
        cookie: standing.cookie().map(<[u8]>::to_vec),
        limit,
    })
}

impl Inquiry {
    /// The answer to it, without records.
    #[must_use]
    pub fn reply(&self) -> Reply<'_> {
        let reply = Reply::to_question(self.id, self.flags, &self.question, self.edns);
        self.cookie.iter().fold(reply, |reply, cookie| reply.option(option::COOKIE, cookie))
    }

    /// Another one's answer to the same question, as this asker gets it: with its id, its spelling of the name, our own
    /// OPT record instead of the other one's, and no longer than it may be.
    ///
    /// `answer` must be an answer to this question.
    #[must_use]
    pub fn relayed(&self, answer: &Message<'_>) -> Vec<u8> {
        let mut bytes = answer.without_opt();
        bytes[..2].copy_from_slice(&self.id.to_be_bytes());
        let name = self.question.name.wire();
        bytes[super::HEADER..super::HEADER + name.len()].copy_from_slice(name);
        if !self.edns && bytes.len() <= self.limit {
            return bytes;
        }
        let own = self.reply().rcode(answer.rcode());
        let opt = own.opt();
        if bytes.len() + opt.len() > self.limit {
            return own.flags(|flags| Flags(answer.flags.0 | flags.0).truncated()).finish(self.limit);
        }
        if !opt.is_empty() {
            let additional = u16::from_be_bytes([bytes[10], bytes[11]]) + 1;
            bytes[10..12].copy_from_slice(&additional.to_be_bytes());
            bytes.extend_from_slice(&opt);
        }
        bytes
    }

    /// The question as it is asked further: under this id, with our own EDNS.
    #[must_use]
    pub fn onward(&self, id: u16) -> Vec<u8> {
        let flags = if self.dnssec { Edns::DNSSEC_OK } else { 0 };
        let options = super::Options::NONE;
        let edns = Edns { datagram: LARGEST_DATAGRAM as u16, rcode: 0, version: 0, flags, options };
        let mut bytes = super::query(id, &self.question, Some(edns));
        // The asker's wishes: recursion, and no checking.
        bytes[2..4].copy_from_slice(&(self.flags.answered().0 & !(1 << 15)).to_be_bytes());
        bytes
    }
}
