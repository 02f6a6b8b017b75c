//! What is said about each name of a zone, read as an asker reads it.

use super::*;
use protocol::dns::{MAX_MESSAGE, Message, Question};

const SERVICES: [Service; 3] = [("http", &["tcp"]), ("names", &["udp", "tcp"]), ("ns", &["tcp"])];

fn zone() -> Zone {
    let own = Some("127.0.0.1".parse().unwrap());
    Zone { origin: "lab.example".parse().unwrap(), ttl: 5, most: 3, own, serial: 7 }
}

fn inquiry(name: &str, record_type: RecordType, limit: usize) -> Inquiry {
    let question = Question::new(name.parse().unwrap(), record_type);
    Inquiry { id: 9, flags: Flags::QUERY, question, edns: true, dnssec: false, cookie: None, limit }
}

fn member(id: &str, address: &str, weight: u32) -> Member {
    Member { id: id.to_owned(), address: address.parse().unwrap(), weight }
}

fn three() -> Vec<Member> {
    vec![member("2", "192.0.2.2:82", 64), member("1", "192.0.2.1:81", 256), member("6", "[2001:db8::6]:86", 128)]
}

/// How it went, and the records: section, name, type and TTL; data.
type Read = (Rcode, Vec<(String, Vec<u8>)>);

fn ask(name: &str, record_type: RecordType, members: &[Member], limit: usize) -> (Read, Vec<String>) {
    let (zone, inquiry) = (zone(), inquiry(name, record_type, limit));
    let node = zone.find(&inquiry.question.name, &SERVICES).expect("a name of the zone");
    let said = zone.answer(&inquiry, &node, members);
    let read = Message::parse(&said.bytes).unwrap();
    assert!(read.flags.is_authoritative() && read.flags.is_response() && said.bytes.len() <= limit);
    assert_eq!(read.question.as_ref().unwrap().name.wire(), inquiry.question.name.wire(), "as it was spelled");
    let record = |record: &protocol::dns::Record| {
        let protocol::dns::Record { section, record_type, ttl, .. } = record;
        (format!("{section:?} {} {record_type} {ttl}", read.name(record).unwrap()), read.data(record).to_vec())
    };
    ((read.rcode(), read.records.iter().map(record).collect()), said.named)
}

fn heads(read: &Read) -> Vec<&str> {
    read.1.iter().map(|(head, _)| head.as_str()).collect()
}

#[test]
fn each_name_stands_for_what_it_should() {
    let zone = zone();
    let table = [
        ("lab.example", Some(Node::Apex)),
        ("LAB.EXAMPLE", Some(Node::Apex)),
        ("example", None),
        ("xlab.example", None),
        ("ns.lab.example", Some(Node::Own)),
        ("HTTP.lab.example", Some(Node::Service("http"))),
        ("mail.lab.example", Some(Node::Nothing)),
        ("1.http.lab.example", Some(Node::Server("http", b"1".to_vec()))),
        ("x.1.http.lab.example", Some(Node::Nothing)),
        ("_tcp.lab.example", Some(Node::Between)),
        ("_udp.lab.example", Some(Node::Between)),
        ("_sctp.lab.example", Some(Node::Nothing)),
        ("_http._tcp.lab.example", Some(Node::Locations("http"))),
        ("_HTTP._TCP.lab.example", Some(Node::Locations("http"))),
        ("_http._udp.lab.example", Some(Node::Nothing)),
        ("_names._udp.lab.example", Some(Node::Locations("names"))),
        ("http._tcp.lab.example", Some(Node::Nothing)),
        ("x._http._tcp.lab.example", Some(Node::Nothing)),
    ];
    for (name, expected) in table {
        assert_eq!(zone.find(&name.parse().unwrap(), &SERVICES), expected, "{name}");
    }
}

#[test]
fn a_service_is_its_servers_the_chosen_one_first() {
    let (read, named) = ask("Http.lab.example", record_type::A, &three(), MAX_MESSAGE);
    assert_eq!(heads(&read), ["Answer Http.lab.example A 5"; 2]);
    assert_eq!((&read.1[0].1[..], &read.1[1].1[..]), (&[192, 0, 2, 2][..], &[192, 0, 2, 1][..]));
    assert_eq!(named, ["2", "1"]);
    let (read, named) = ask("http.lab.example", record_type::AAAA, &three(), MAX_MESSAGE);
    assert_eq!((heads(&read), named), (vec!["Answer http.lab.example AAAA 5"], vec!["6".to_owned()]));
    let (read, _) = ask("http.lab.example", record_type::ANY, &three(), MAX_MESSAGE);
    assert_eq!(read.1.len(), 3);
}

#[test]
fn an_address_of_several_servers_is_said_once_and_only_so_many_are_named() {
    let alike: Vec<_> = (1..=5).map(|n| member(&n.to_string(), &format!("127.0.0.1:80{n}"), 256)).collect();
    let (read, named) = ask("http.lab.example", record_type::A, &alike, MAX_MESSAGE);
    assert_eq!((read.1.len(), named.len()), (1, 3));
}

#[test]
fn what_does_not_fit_is_left_out_and_nothing_is_cut_off() {
    // Header, question, one record with a pointer, and an OPT record.
    let one = 12 + 22 + 16 + 11;
    let (read, named) = ask("http.lab.example", record_type::A, &three(), one);
    assert_eq!((read.1.len(), named.len()), (1, 1));
    let (zone, inquiry) = (zone(), inquiry("http.lab.example", record_type::A, one - 1));
    let said = zone.answer(&inquiry, &Node::Service("http"), &three());
    let read = Message::parse(&said.bytes).unwrap();
    assert!(read.flags.is_truncated() && read.records.is_empty(), "not even one: over TCP there is room");
}

#[test]
fn locations_have_ports_weights_and_targets_with_addresses() {
    let (read, named) = ask("_http._tcp.lab.example", record_type::SRV, &three(), MAX_MESSAGE);
    let answer = "Answer _http._tcp.lab.example SRV 5";
    let expected = ["2", "1", "6"].map(|id| format!("Additional {id}.http.lab.example"));
    assert_eq!(heads(&read)[..3], [answer; 3]);
    assert!(heads(&read)[3..].iter().zip(&expected).all(|(head, expected)| head.starts_with(expected)), "{read:?}");
    let target = "2.http.lab.example".parse::<Name>().unwrap();
    assert_eq!(read.1[0].1, [&[0, 0, 0, 64, 0, 82][..], target.wire()].concat(), "priority, weight, port, target");
    assert_eq!(read.1[1].1[..6], [0, 1, 1, 0, 0, 81]);
    assert_eq!(named, ["2", "1", "6"]);
    let (read, _) = ask("_http._tcp.lab.example", record_type::SRV, &three(), 100);
    assert_eq!(heads(&read), [answer], "the rest does not fit");
    let odd = [member(&"x".repeat(64), "127.0.0.1:1", 1), member("127.0.0.1:80", "127.0.0.1:80", 1)];
    assert_eq!(ask("_http._tcp.lab.example", record_type::SRV, &odd, MAX_MESSAGE).1, ["127.0.0.1:80"]);
}

#[test]
fn what_is_not_there_is_told_with_how_long_that_may_be_kept() {
    let soa = ["Authority lab.example SOA 5"];
    for (name, record_type, rcode) in [
        ("mail.lab.example", record_type::A, Rcode::NO_SUCH_NAME),
        ("9.http.lab.example", record_type::A, Rcode::NO_SUCH_NAME),
        ("http.lab.example", record_type::TXT, Rcode::NO_ERROR),
        ("_tcp.lab.example", record_type::ANY, Rcode::NO_ERROR),
        ("_http._tcp.lab.example", record_type::A, Rcode::NO_ERROR),
        ("lab.example", record_type::A, Rcode::NO_ERROR),
        ("ns.lab.example", record_type::AAAA, Rcode::NO_ERROR),
    ] {
        let (read, named) = ask(name, record_type, &[], MAX_MESSAGE);
        assert_eq!((read.0, heads(&read), named), (rcode, soa.to_vec(), Vec::new()), "{name}");
    }
    let (read, _) = ask("http.lab.example", record_type::AAAA, &three()[..2], MAX_MESSAGE);
    assert_eq!((read.0, heads(&read)), (Rcode::NO_ERROR, soa.to_vec()), "they have addresses of the other kind only");
    let data = &read.1[0].1;
    assert_eq!(data.last_chunk(), Some(&5_u32.to_be_bytes()));
}

#[test]
fn if_nobody_takes_requests_that_is_a_failure_and_not_an_answer() {
    for (name, record_type) in [("http.lab.example", record_type::A), ("_http._tcp.lab.example", record_type::SRV)] {
        let (read, named) = ask(name, record_type, &[], MAX_MESSAGE);
        assert_eq!((read, named), ((Rcode::SERVER_FAILURE, Vec::new()), Vec::new()), "{name}");
    }
}

#[test]
fn the_zone_has_a_beginning_and_a_name_server() {
    let (read, _) = ask("Lab.Example", record_type::ANY, &[], MAX_MESSAGE);
    let heads = heads(&read);
    assert_eq!(heads[..2], ["Answer Lab.Example SOA 5", "Answer Lab.Example NS 5"]);
    assert_eq!(heads[2..], ["Additional ns.Lab.Example A 5"]);
    let (read, _) = ask("ns.lab.example", record_type::A, &[], MAX_MESSAGE);
    assert_eq!(read.1, [("Answer ns.lab.example A 5".to_owned(), vec![127, 0, 0, 1])]);
}
