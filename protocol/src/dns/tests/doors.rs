//! What is answered, and what an answer to somebody else looks like.

use super::*;

const NOW: u32 = 1_795_257_912;

pub(super) fn peer() -> std::net::SocketAddr {
    "192.0.2.7:4000".parse().unwrap()
}

pub(super) fn cookies() -> Cookies {
    Cookies::new([7; 32])
}

fn came(bytes: &[u8], transport: Transport) -> Admitted {
    admit(bytes, peer(), transport, &cookies(), NOW)
}

fn asked(bytes: &[u8]) -> Inquiry {
    match came(bytes, Transport::Datagram) {
        Admitted::Asked(inquiry) => inquiry,
        other => panic!("{other:?}"),
    }
}

fn opt(options: &str) -> String {
    let length = bytes(options).len();
    format!("{WWW} 00 0029 04d0 00 00 8000 {length:04x} {options}")
}

const WITH_OPT: &str = "1a2b 0100 0001 0000 0000 0001";

#[test]
fn what_is_no_question_is_dropped_or_refused() {
    let refused = |text: &str| match came(&bytes(text), Transport::Datagram) {
        Admitted::Dropped(_) => None,
        Admitted::Refused(said, rcode) => {
            let read = Message::parse(&said).unwrap();
            assert_eq!((read.id, read.rcode(), read.flags.is_response()), (0x1a2b, rcode, true), "{text}");
            assert!(said.len() <= 2 * bytes(text).len(), "{text}");
            Some(rcode)
        }
        Admitted::Asked(inquiry) => panic!("{text}: {inquiry:?}"),
    };
    let table = [
        ("1a2b 0100".to_owned(), None),
        (format!("1a2b 8180 0001 0000 0000 0000 {WWW}"), None),
        ("1a2b 8100 0000 0000 0000 0000".to_owned(), None),
        ("1a2b 0100 0001 0000 0000 0000 c00c 0001 0001".to_owned(), Some(Rcode::FORMAT_ERROR)),
        ("1a2b 0100 0000 0000 0000 0000".to_owned(), Some(Rcode::FORMAT_ERROR)),
        (format!("1a2b 0100 0002 0000 0000 0000 {WWW} {WWW}"), Some(Rcode::FORMAT_ERROR)),
        (
            format!("1a2b 0100 0001 0001 0000 0000 {WWW} c00c 0001 0001 00000005 0004 c0000201"),
            Some(Rcode::FORMAT_ERROR),
        ),
        (format!("1a2b 2100 0001 0000 0000 0000 {WWW}"), Some(Rcode::NOT_IMPLEMENTED)),
        (format!("1a2b 2900 0001 0000 0000 0000 {WWW}"), Some(Rcode::NOT_IMPLEMENTED)),
        (format!(r#"{QUESTION} "www" 00 00fc 0001"#), Some(Rcode::REFUSED)),
        (format!(r#"{QUESTION} "www" 00 0001 0003"#), Some(Rcode::REFUSED)),
        (format!("{WITH_OPT} {WWW} 00 0029 04d0 00 01 0000 0000"), Some(Rcode::BAD_VERSION)),
        (format!("{WITH_OPT} {}", opt("000a 0007 01020304050607")), Some(Rcode::FORMAT_ERROR)),
    ];
    for (text, expected) in table {
        assert_eq!(refused(&text), expected, "{text}");
    }
    let nobody = admit(
        &bytes(&format!("{QUESTION}{WWW}")),
        "192.0.2.7:0".parse().unwrap(),
        Transport::Datagram,
        &cookies(),
        NOW,
    );
    assert!(matches!(nobody, Admitted::Dropped(_)));
}

#[test]
fn any_type_and_any_spelling_is_a_question() {
    let inquiry = asked(&bytes(&format!(r#"{QUESTION} "wWw" "Example" 00 1267 0001"#)));
    assert_eq!(
        (inquiry.question.to_string(), inquiry.edns, inquiry.cookie.clone()),
        ("wWw.Example TYPE4711".into(), false, None)
    );
    let onward = inquiry.onward(9);
    let message = Message::parse(&onward).unwrap();
    assert_eq!((message.id, message.flags, message.question.as_ref()), (9, Flags::QUERY, Some(&inquiry.question)));
    assert_eq!(message.edns.unwrap().flags, 0);
}

#[test]
fn a_stranger_gets_at_most_twice_what_it_sent() {
    let plain = bytes(&format!("{QUESTION}{WWW}"));
    assert_eq!(asked(&plain).limit, 2 * plain.len());
    let Admitted::Asked(over_tcp) = came(&plain, Transport::Stream) else { panic!("a question") };
    assert_eq!(over_tcp.limit, MAX_MESSAGE);
    let inquiry = asked(&plain);
    let mut reply = inquiry.reply();
    (0..20).for_each(|n| reply.answer(&"www.example".parse().unwrap(), record_type::A, 60, &[10, 0, 0, n]));
    let said = reply.finish(inquiry.limit);
    assert!(Message::parse(&said).unwrap().flags.is_truncated() && said.len() <= 2 * plain.len());
}

#[test]
fn who_brings_its_cookie_back_is_known() {
    let first = bytes(&format!("{WITH_OPT} {}", opt("000a 0008 0102030405060708")));
    let inquiry = asked(&first);
    let cookie = inquiry.cookie.clone().unwrap();
    assert_eq!((inquiry.limit, &cookie[..8]), (2 * first.len(), &[1, 2, 3, 4, 5, 6, 7, 8][..]));
    let hex: String = cookie.iter().map(|byte| format!("{byte:02x}")).collect();
    let second = bytes(&format!("{WITH_OPT} {}", opt(&format!("000a 0018 {hex}"))));
    assert_eq!(asked(&second).limit, LARGEST_DATAGRAM);
    let judge = |cookie: &[u8], address: &str, now: u32| {
        let options = [&[0, 10, 0, cookie.len() as u8][..], cookie].concat();
        let edns = Edns { datagram: 1232, rcode: 0, version: 0, flags: 0, options: Options::parse(&options).unwrap() };
        matches!(cookies().judge(Some(&edns), address.parse().unwrap(), now), Standing::Known(_))
    };
    assert!(judge(&cookie, "192.0.2.7", NOW + 3_600) && judge(&cookie, "192.0.2.7", NOW - 300));
    assert!(!judge(&cookie, "192.0.2.8", NOW), "another address");
    assert!(!judge(&cookie, "192.0.2.7", NOW + 3_601), "too old");
    assert!(!judge(&cookie, "192.0.2.7", NOW - 301), "of the future");
    for at in 0..24 {
        let mut forged = cookie.clone();
        forged[at] ^= 1;
        assert!(!judge(&forged, "192.0.2.7", NOW), "byte {at} changed");
    }
}

#[test]
fn an_answer_is_passed_on_with_the_askers_id_spelling_and_opt() {
    let inquiry = asked(&bytes(&format!("{WITH_OPT} {}", opt("000a 0008 0102030405060708"))));
    let theirs = bytes(
        r#"0009 8580 0001 0001 0000 0002 "WWW" "EXAMPLE" 00 0001 0001
           c00c 0001 0001 0000003c 0004 c0000201
           "ns" 00 0001 0001 0000003c 0004 c0000202
           00 0029 1000 00 00 0000 0004 00030000"#,
    );
    let said = inquiry.relayed(&Message::parse(&theirs).unwrap());
    let read = Message::parse(&said).unwrap();
    assert_eq!((read.id, read.question.as_ref().unwrap().to_string().as_str()), (0x1a2b, "www.example A"));
    assert_eq!(read.records.len(), 2);
    let edns = read.edns.unwrap();
    assert_eq!((edns.datagram, edns.options.get(3)), (1232, None), "what the server said of itself stays here");
    assert_eq!(edns.options.get(option::COOKIE).map(<[u8]>::len), Some(24));
    let plain = asked(&bytes(&format!("{QUESTION}{WWW}")));
    let said = plain.relayed(&Message::parse(&theirs).unwrap());
    let read = Message::parse(&said).unwrap();
    assert!(read.edns.is_none() && said.len() <= plain.limit);
}

#[test]
fn an_answer_that_is_too_long_is_cut_as_a_whole() {
    let inquiry = asked(&bytes(&format!("{QUESTION}{WWW}")));
    let record = "c00c 0001 0001 0000003c 0004 c0000201 ";
    let theirs = bytes(&format!("0009 8580 0001 0008 0000 0000 {WWW} {}", record.repeat(8)));
    let said = inquiry.relayed(&Message::parse(&theirs).unwrap());
    let read = Message::parse(&said).unwrap();
    assert!(read.flags.is_truncated() && read.flags.is_authoritative() && read.records.is_empty());
    assert_eq!((read.id, said.len()), (0x1a2b, HEADER + bytes(WWW).len()));
}
