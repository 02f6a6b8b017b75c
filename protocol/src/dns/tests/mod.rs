//! DNS messages, held against RFCs by hand, and against another hand's reader and writer.

mod classes;
mod doors;
mod drawn;
mod hostile;
mod mutated;
mod names;
mod written;

use super::*;

/// A message of these bytes, written as words of hexadecimal digits and `"labels"`.
fn bytes(text: &str) -> Vec<u8> {
    text.split_whitespace().flat_map(word).collect()
}

fn word(word: &str) -> Vec<u8> {
    match word.strip_prefix('"') {
        Some(label) => {
            let label = label.trim_end_matches('"').as_bytes();
            [&[label.len() as u8], label].concat()
        }
        None => (0..word.len()).step_by(2).map(|at| u8::from_str_radix(&word[at..at + 2], 16).unwrap()).collect(),
    }
}

const QUESTION: &str = "1a2b 0100 0001 0000 0000 0000";
const WWW: &str = r#" "www" "example" 00 0001 0001"#;

#[test]
fn a_question_is_read() {
    let bytes = bytes(&format!("{QUESTION}{WWW}"));
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.id, message.flags.is_response(), message.flags.opcode()), (0x1a2b, false, Opcode::QUERY));
    assert_eq!(message.question.as_ref().unwrap().to_string(), "www.example A");
    assert_eq!(message.datagram(), 512);
    assert!(message.edns.is_none() && message.records.is_empty());
}

#[test]
fn an_answer_with_pointers_is_read() {
    let text = r#"1a2b 8180 0001 0002 0000 0001 "WWW" "Example" 00 0001 0001
        c00c 0005 0001 0000003c 0004 "a" c010
        c029 0001 0001 00000005 0004 c0000201
        00 0029 04d0 01 00 8000 000c 000a 0008 0102030405060708"#;
    let bytes = bytes(text);
    let message = Message::parse(&bytes).unwrap();
    let [alias, address] = &message.records[..] else { panic!("{:?}", message.records) };
    assert_eq!((alias.record_type.to_string(), alias.ttl), ("CNAME".into(), 60));
    assert_eq!(message.name(address).unwrap(), "A.EXAMPLE".parse().unwrap());
    assert_eq!((message.data(address), message.rcode()), (&[192, 0, 2, 1][..], Rcode::BAD_VERSION));
    let edns = message.edns.unwrap();
    assert_eq!((edns.datagram, edns.version, edns.flags), (1232, 0, Edns::DNSSEC_OK));
    assert_eq!(edns.options.get(option::COOKIE), Some(&[1, 2, 3, 4, 5, 6, 7, 8][..]));
    assert_eq!(edns.options.get(3), None);
}

#[test]
fn types_have_names_and_numbers() {
    for (text, number) in [("A", 1), ("aaaa", 28), ("HTTPS", 65), ("TYPE4711", 4711), ("type1", 1)] {
        assert_eq!(text.parse(), Ok(RecordType(number)));
    }
    assert_eq!((RecordType(4711).to_string(), record_type::TXT.to_string()), ("TYPE4711".into(), "TXT".into()));
    for wrong in ["", "B", "TYPE", "TYPE65536", "é"] {
        assert!(wrong.parse::<RecordType>().is_err(), "{wrong}");
    }
}
