//! What anybody on the network may send.

use super::kit::{Asker, Lab, NameServer, rcode};
use protocol::{dns::Message, output::show};
use std::io::{Read, Write};

fn knowing() -> NameServer {
    NameServer::knowing(&[("a.b", [1, 2, 3, 4])])
}

/// A query for `a.b` with these bytes changed: header, question, additional.
fn bytes(header: [u8; 12], question: &[u8]) -> Vec<u8> {
    [&header, question].concat()
}

const QUESTION: &[u8] = &[1, b'a', 1, b'b', 0, 0, 1, 0, 1];

#[test]
fn what_is_no_query_is_dropped_or_told_so_and_no_server_hears_of_it() {
    let server = knowing();
    let lab = Lab::new(&[], &[&server]);
    let told = [
        ("FORMERR", bytes([0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[])),
        ("FORMERR", bytes([0, 7, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0], QUESTION)),
        ("FORMERR", bytes([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &[0xc0, 12, 0, 1, 0, 1])),
        ("FORMERR", bytes([0, 7, 1, 0, 0, 1, 255, 255, 0, 0, 0, 0], QUESTION)),
        ("FORMERR", bytes([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &[QUESTION, &[0]].concat())),
        ("NOTIMP", bytes([0, 7, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION)),
        ("NOTIMP", bytes([0, 7, 0x10, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION)),
        ("REFUSED", bytes([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &[1, b'a', 0, 0, 252, 0, 1])),
        (
            "BADVERS",
            bytes([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1], &[QUESTION, &[0, 0, 41, 4, 0, 0, 1, 0, 0, 0, 0]].concat()),
        ),
    ];
    let asker = Asker::new(lab.address);
    for (expected, sent) in told {
        let said = asker.say(&sent).hear();
        assert_eq!((rcode(&said).as_str(), &said[..2]), (expected, &[0, 7][..]));
        assert!(said.len() <= 2 * sent.len());
    }
    let answer = bytes([0, 7, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION);
    for dropped in [&b""[..], b"x", &answer[..11], &answer, &[0xff; 12]] {
        asker.say(dropped);
    }
    asker.assert_silent("a.b");
    assert_eq!(server.heard().len(), 1);
    assert_eq!(lab.pool.totals().client_errors.get(), 9 + 5);
}

#[test]
fn drawn_bytes_get_no_answer_longer_than_twice_their_length() {
    let seed = fastrand::u64(..);
    let _printed = show!("seed {seed}");
    let mut draw = fastrand::Rng::with_seed(seed);
    let server = NameServer::start(|asked| super::about(asked, &[("a.b", [1, 2, 3, 4])]).into_iter().collect());
    let lab = Lab::new(&["--dns-timeout", "50ms", "--dns-try", "20ms"], &[&server]);
    let asker = Asker::new(lab.address);
    for n in 0..3_000_u16 {
        let mut sent = bytes([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION);
        for _ in 0..draw.usize(1..6) {
            let at = draw.usize(2..sent.len());
            sent[at] = draw.u8(..);
        }
        sent.truncate(draw.usize(2..40).max(sent.len() / 2));
        sent[..2].copy_from_slice(&n.to_be_bytes());
        asker.say(&sent);
        if n % 100 == 99 {
            // All that was answered until this one, which surely is.
            let marker = 0xfff0;
            asker.send(marker, "a.b");
            loop {
                let said = asker.hear();
                if said[..2] == marker.to_be_bytes() {
                    break;
                }
                assert!(said.len() <= 2 * 40 && said[2] & 0x80 != 0, "{said:x?}");
            }
        }
    }
    assert!(Message::parse(&lab.ask("a.b")).is_ok());
}

#[test]
fn connections_that_send_nonsense_end_and_others_go_on() {
    let server = knowing();
    let lab = Lab::new(&[], &[&server]);
    let mut client = std::net::TcpStream::connect(lab.address).unwrap();
    client.set_read_timeout(Some(super::kit::LONG)).unwrap();
    client.write_all(&[0, 3, 1, 2, 3]).unwrap();
    assert_eq!(client.read(&mut [0; 16]).unwrap(), 0, "less than a header is nothing to answer");
    assert_eq!(super::addresses(&super::ask_over_tcp(lab.address, "a.b")), [[1, 2, 3, 4]]);
}
