//! A question for a name of a zone: whatever is below the zone's name, the answer can be read, is no longer than it may be, and
//! names nobody who was not there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loadbalancer::frontend::dns::zone::{Member, Zone};
use protocol::dns::{Flags, Inquiry, Message, Name, Question, RecordType};

const ZONE: &[u8] = b"\x03lab\x07example\x00";

fuzz_target!(|bytes: &[u8]| {
    let Some(([kind, limit, servers], labels)) = bytes.split_first_chunk::<3>() else { return };
    let Ok((name, _)) = Name::read(&[labels, ZONE].concat(), 0) else { return };
    let origin: Name = "LAB.example".parse().expect("a name");
    let zone = Zone { origin, ttl: 5, most: 3, own: Some([127, 0, 0, 1].into()), serial: 1 };
    let services = [("http", &["tcp"][..]), ("names", &["udp", "tcp"])];
    let Some(node) = zone.find(&name, &services) else { return };
    let member = |n: u8| Member { id: format!("s{n}"), address: ([127, 0, 0, n], 80).into(), weight: 256 };
    let members: Vec<Member> = (0..servers % 5).map(member).collect();
    let question = Question::new(name, RecordType(u16::from(*kind)));
    // As a stranger's: at least twice what it has sent.
    let limit = 2 * (16 + question.name.wire().len()) + usize::from(*limit);
    let inquiry = Inquiry { id: 5, flags: Flags::QUERY, question, edns: false, dnssec: false, cookie: None, limit };
    let said = zone.answer(&inquiry, &node, &members);
    assert!(said.bytes.len() <= limit && said.named.len() <= 3);
    let read = Message::parse(&said.bytes).expect("what we write we accept");
    assert!(read.answers(5, &inquiry.question) && read.rcode() == said.rcode);
    assert!(read.records.iter().all(|record| read.name(record).is_ok()));
    assert!(said.named.iter().all(|id| members.iter().any(|member| member.id == *id)));
});
