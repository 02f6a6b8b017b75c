//! Messages that were drawn, changed in places, and read by us and by another hand.

use super::*;
use crate::output::show;
use simple_dns::{Name as TheirName, Packet, ResourceRecord, rdata};

/// A message that the other hand has written: with pointers, several types, perhaps EDNS.
fn theirs(draw: &mut fastrand::Rng) -> Vec<u8> {
    let names: Vec<String> = (0..4).map(|n| format!("host-{n}.{}.example", ["a", "B", "long-label"][n % 3])).collect();
    let name = |n: usize| TheirName::new(&names[n % 4]).unwrap().into_owned();
    let mut packet = if draw.bool() { Packet::new_query(draw.u16(..)) } else { Packet::new_reply(draw.u16(..)) };
    let qtype = simple_dns::QTYPE::TYPE(simple_dns::TYPE::A);
    let class = simple_dns::QCLASS::CLASS(simple_dns::CLASS::IN);
    packet.questions.push(simple_dns::Question::new(name(draw.usize(..9)), qtype, class, false));
    for _ in 0..draw.usize(..5) {
        let data = match draw.u8(..3) {
            0 => rdata::RData::A(rdata::A { address: draw.u32(..) }),
            1 => rdata::RData::AAAA(rdata::AAAA { address: draw.u128(..) }),
            _ => rdata::RData::CNAME(rdata::CNAME(name(draw.usize(..9)))),
        };
        let record = ResourceRecord::new(name(draw.usize(..9)), simple_dns::CLASS::IN, draw.u32(..), data);
        let sections = [&mut packet.answers, &mut packet.name_servers, &mut packet.additional_records];
        let [answers, authorities, additional] = sections;
        [answers, authorities, additional][draw.usize(..3)].push(record);
    }
    if draw.bool() {
        *packet.opt_mut() = Some(rdata::OPT { opt_codes: Vec::new(), udp_packet_size: draw.u16(..), version: 0 });
    }
    if draw.bool() { packet.build_bytes_vec_compressed().unwrap() } else { packet.build_bytes_vec().unwrap() }
}

#[test]
fn we_read_what_another_hand_writes() {
    let seed = fastrand::u64(..);
    show!("seed {seed}");
    let mut draw = fastrand::Rng::with_seed(seed);
    for _ in 0..5_000 {
        let bytes = theirs(&mut draw);
        let (own, other) = (Message::parse(&bytes).unwrap(), Packet::parse(&bytes).unwrap());
        assert_eq!(own.id, other.id());
        assert_eq!(own.question.as_ref().unwrap().name.to_string(), other.questions[0].qname.to_string());
        let records = other.answers.iter().chain(&other.name_servers).chain(&other.additional_records);
        let records: Vec<(String, u32)> = records.map(|record| (record.name.to_string(), record.ttl)).collect();
        let read = |record| (own.name(record).unwrap().to_string(), record.ttl);
        assert_eq!(own.records.iter().map(read).collect::<Vec<_>>(), records);
        assert_eq!(own.edns.map(|edns| edns.datagram), other.opt().map(|opt| opt.udp_packet_size));
    }
}

#[test]
fn whatever_is_changed_nothing_breaks() {
    let seed = fastrand::u64(..);
    show!("seed {seed}");
    let mut draw = fastrand::Rng::with_seed(seed);
    let (mut read, mut refused) = (0_u32, 0_u32);
    for _ in 0..200_000 {
        let mut bytes = theirs(&mut draw);
        for _ in 0..draw.usize(1..5) {
            let at = draw.usize(..bytes.len());
            match draw.u8(..4) {
                0 => bytes[at] = draw.u8(..),
                1 => bytes[at] ^= 1 << draw.u8(..8),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, draw.u8(..)),
            }
        }
        match Message::parse(&bytes) {
            Ok(message) => {
                read += 1;
                assert!(message.records.len() * 11 <= bytes.len());
                for record in &message.records {
                    assert!(message.name(record).is_ok() && message.data(record).len() <= bytes.len());
                }
                let limit = draw.usize(12..2_000);
                let said = Reply::to(&message).rcode(Rcode::REFUSED).finish(limit);
                assert!(Message::parse(&said).is_ok(), "{said:x?}");
                if let Some(question) = &message.question {
                    let (again, end) = Name::read(question.name.wire(), 0).unwrap();
                    assert_eq!((&again, end), (&question.name, question.name.wire().len()));
                    assert_eq!(again.to_string().parse::<Name>().unwrap(), again);
                }
            }
            Err(_) => refused += 1,
        }
    }
    assert!(read > 10_000 && refused > 10_000, "{read} read, {refused} refused: both must be tried");
}
