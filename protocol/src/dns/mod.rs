//! DNS messages (RFC 1035) with EDNS(0) (RFC 6891): as much of them as whoever answers a question, or passes it on, has to
//! understand.
//!
//! **The problem.** A message is a dozen bytes and a few lists, and yet hardly any format was misread more often. A name may
//! point back into the message, so that a careless reader runs in a circle. Counts are claimed, not given, so that a careless
//! reader asks for memory that a stranger names. An answer is told from another by two bytes, so that a careless asker believes
//! whoever writes first. And the sender of a datagram may be a lie, so that a careless answerer floods somebody else.
//!
//! **The idea.** [`Message::parse`] walks over a whole message once and believes nothing: a pointer must lead to somewhere
//! before all that was read of its name, a list ends where its bytes end, nothing may stand behind the last record. What
//! is inside records is not looked at. A relay needs to know where a message's question is and how long it is; it passes
//! the rest on as it came.
//!
//! ```text
//!  0  1a 2b             id: the asker's name for this question
//!  2  01 00             flags: a query (QR = 0), of the usual kind (opcode 0), recursion desired
//!  4  00 01 00 00 00 00 00 00   one question, no answers, no authorities, nothing additional
//! 12  03 w w w 07 e x a m p l e 00   the name, label by label, each behind its length
//! 25  00 01 00 01       type A, class IN
//! ```
//!
//! **Why our own.** A library that turns records into Rust values and back passes on only what it knows: an unknown type is
//! an error, a bit gets lost. `docs/decisions/0012-dns.md` has what was tried. Tests hold this one against another hand's.
//!
//! Sources: RFC 1034, 1035, 2181 (clarified), 4343 (case), 6891 (EDNS), 7766 (TCP), 7873 (cookies), 9267 (how DNS parsers
//! went wrong).

mod cookie;
mod datagram;
mod edns;
mod flags;
mod inquiry;
mod message;
mod name;
mod question;
mod reply;
mod stream;

pub use self::{
    cookie::{Cookies, Standing},
    datagram::socket_to,
    edns::{Edns, Options, option},
    flags::{Flags, Opcode, Rcode},
    inquiry::{Admitted, Inquiry, Transport, admit},
    message::{Malformed, Message, Record, Section},
    name::{InvalidName, MAX_NAME, Name},
    question::{Question, RecordType, class, record_type},
    reply::{Reply, query},
    stream::{receive, send},
};

/// Length of the header, in bytes.
pub const HEADER: usize = 12;

/// What every asker can take in a datagram, in bytes, whether or not it says so (RFC 1035 §2.3.4).
pub const LEAST_DATAGRAM: usize = 512;

/// The largest datagram that is sent or asked for, in bytes: it passes through practically every network in one piece, and a
/// message of several pieces is easily lost and easily forged (DNS Flag Day 2020).
pub const LARGEST_DATAGRAM: usize = 1_232;

/// The longest message over TCP, in bytes: its length is two bytes.
pub const MAX_MESSAGE: usize = 65_535;

/// The port of DNS.
pub const PORT: u16 = 53;

#[cfg(test)]
mod tests;
