//! What a name server says to what comes. Pure.

use super::table::Table;
use protocol::dns::{Admitted, Cookies, Flags, Inquiry, Rcode, Transport, admit, record_type};
use std::net::SocketAddr;

/// How long an answer may be kept, in seconds: short, because a class changes its tables.
const TTL: u32 = 60;

/// What is said of a name that is not in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Unknown {
    /// Nothing at all, as in the course: a server that is slow to the extreme
    #[default]
    Silence,
    /// That there is no such name
    Nxdomain,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A known name.
    Known,
    /// One that is not in the table.
    Unknown,
    /// No question.
    Refused,
}

/// A name server without a socket.
#[derive(Debug)]
pub struct NameServer {
    /// What it knows.
    pub table: Table,
    /// What it says of the rest.
    pub unknown: Unknown,
    /// To know who may be answered at length.
    pub cookies: Cookies,
}

impl NameServer {
    /// What is said to this message; `None` for nothing. `now`: seconds since 1970.
    #[must_use]
    pub fn answer(&self, bytes: &[u8], peer: SocketAddr, transport: Transport, now: u32) -> (What, Option<Vec<u8>>) {
        match admit(bytes, peer, transport, &self.cookies, now) {
            Admitted::Dropped(_) => (What::Refused, None),
            Admitted::Refused(said, _) => (What::Refused, Some(said)),
            Admitted::Asked(inquiry) => self.look_up(&inquiry),
        }
    }

    fn look_up(&self, inquiry: &Inquiry) -> (What, Option<Vec<u8>>) {
        let question = &inquiry.question;
        let mut reply = inquiry.reply().flags(Flags::authoritative);
        let Some(records) = self.table.get(&question.name) else {
            let no_such_name = || reply.rcode(Rcode::NO_SUCH_NAME).finish(inquiry.limit);
            return (What::Unknown, (self.unknown == Unknown::Nxdomain).then(no_such_name));
        };
        let wanted = |asked| asked == question.record_type || question.record_type == record_type::ANY;
        for record in records.iter().filter(|record| wanted(record.record_type)) {
            reply.answer(&record.name, record.record_type, TTL, &record.data);
        }
        (What::Known, Some(reply.finish(inquiry.limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::dns::{Message, Question, RecordType, query};

    fn server(unknown: Unknown) -> NameServer {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        std::fs::write(&path, "GOOGLE.com 46.1.3.7 A\nGOOGLE.com ::7 AAAA\ngoogle.com 46.1.3.8 A\n").unwrap();
        NameServer { table: Table::read(&path).unwrap(), unknown, cookies: Cookies::new([1; 32]) }
    }

    fn ask(server: &NameServer, name: &str, record_type: RecordType) -> (What, Option<Vec<u8>>) {
        let asked = query(7, &Question::new(name.parse().unwrap(), record_type), None);
        server.answer(&asked, "127.0.0.1:5000".parse().unwrap(), Transport::Stream, 0)
    }

    /// How it went, and the records: name and data.
    fn said(answer: (What, Option<Vec<u8>>)) -> (Rcode, Vec<(String, Vec<u8>)>) {
        let bytes = answer.1.expect("an answer");
        let message = Message::parse(&bytes).unwrap();
        assert!(message.flags.is_authoritative() && message.id == 7);
        let records = message.records.iter();
        let read = records.map(|r| (message.name(r).unwrap().to_string(), message.data(r).to_vec())).collect();
        (message.rcode(), read)
    }

    #[test]
    fn known_names_are_answered_in_the_spelling_of_the_table() {
        let server = server(Unknown::Silence);
        let (rcode, records) = said(ask(&server, "google.COM", record_type::A));
        let expected = [("GOOGLE.com".to_owned(), vec![46, 1, 3, 7]), ("google.com".to_owned(), vec![46, 1, 3, 8])];
        assert_eq!((rcode, &records[..]), (Rcode::NO_ERROR, &expected[..]));
        assert_eq!(said(ask(&server, "google.com", record_type::AAAA)).1.len(), 1);
        assert_eq!(said(ask(&server, "google.com", record_type::ANY)).1.len(), 3);
        assert_eq!(said(ask(&server, "google.com", RecordType(4711))), (Rcode::NO_ERROR, Vec::new()));
    }

    #[test]
    fn unknown_names_are_met_with_silence_or_told() {
        assert_eq!(ask(&server(Unknown::Silence), "www.google.com", record_type::A), (What::Unknown, None));
        let told = ask(&server(Unknown::Nxdomain), "www.google.com", record_type::A);
        assert_eq!((told.0, said(told).0), (What::Unknown, Rcode::NO_SUCH_NAME));
    }

    #[test]
    fn what_is_no_question_is_refused_or_dropped() {
        let server = server(Unknown::Silence);
        let peer = "127.0.0.1:5000".parse().unwrap();
        let answer = |bytes: &[u8]| server.answer(bytes, peer, Transport::Datagram, 0);
        assert_eq!(answer(b"short"), (What::Refused, None));
        assert_eq!(answer(&[0, 7, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]), (What::Refused, None), "an answer");
        let (what, told) = answer(&[0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((what, told.map(|told| told[3] & 0xf)), (What::Refused, Some(1)));
    }
}
