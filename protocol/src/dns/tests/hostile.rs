//! What strangers send. Each is refused for its own reason, and costs no memory to speak of.

use super::*;

fn refused(text: &str) -> Malformed {
    Message::parse(&bytes(text)).unwrap_err()
}

#[test]
fn every_beginning_of_a_message_is_refused() {
    let whole = bytes(
        r#"1a2b 8180 0001 0001 0000 0001 "www" "example" 00 0001 0001 c00c 0001 0001 00000005 0004 c0000201
           00 0029 04d0 00 00 0000 000c 000a 0008 0102030405060708"#,
    );
    assert!(Message::parse(&whole).is_ok());
    for end in 0..whole.len() {
        let error = Message::parse(&whole[..end]).unwrap_err();
        let expected = if end < HEADER { [Malformed::Short; 2] } else { [Malformed::Cut, Malformed::Opt] };
        assert!(expected.contains(&error), "{end}: {error}");
    }
}

#[test]
fn pointers_that_lead_in_a_circle_or_forward() {
    for (name, why) in [
        ("c00c", "itself"),
        ("c00d", "its own second byte"),
        ("c00e 00", "forward"),
        ("c000", "the header"),
        ("c00b", "the header's last byte"),
        ("ffff", "nowhere"),
        (r#""a" c00c"#, "its own beginning"),
        (r#""a" c00e"#, "itself behind a label"),
    ] {
        assert_eq!(refused(&format!("{QUESTION} {name} 0001 0001")), Malformed::Pointer, "{why}");
    }
    // Two that point at each other: the first one forward.
    assert_eq!(
        refused(&format!("1a2b 0100 0001 0001 0000 0000 {WWW} c01f 0001 0001 00000000 0000 c00c")),
        Malformed::Pointer
    );
}

#[test]
fn labels_and_names_that_are_too_much() {
    for length in ["40", "7f", "80", "bf"] {
        assert_eq!(refused(&format!("{QUESTION} {length} 0001 0001")), Malformed::Label, "{length}");
    }
    let giant = format!(r#""{}" "#, "x".repeat(63)).repeat(4);
    assert_eq!(refused(&format!("{QUESTION} {giant} 00 0001 0001")), Malformed::NameTooLong);
    // As long as that by pointers only: 130 labels of one byte, each name the label before the last one.
    let mut chain = bytes("1a2b 8000 0001 0082 0000 0000 00 0001 0001");
    let mut last = 0xc00c_u16;
    for _ in 0..130 {
        let here = chain.len() as u16;
        chain.extend_from_slice(&[1, b'x']);
        chain.extend_from_slice(&last.to_be_bytes());
        chain.extend_from_slice(&bytes("0001 0001 00000000 0000"));
        last = 0xc000 | here;
    }
    assert_eq!(Message::parse(&chain).unwrap_err(), Malformed::NameTooLong);
}

#[test]
fn counts_that_lie() {
    assert_eq!(refused(&format!("1a2b 0100 0001 ffff ffff ffff {WWW}")), Malformed::Cut);
    assert_eq!(refused(&format!("1a2b 0100 0000 0000 0000 0000 {WWW}")), Malformed::Trailing);
    assert_eq!(refused(&format!("1a2b 0100 0002 0000 0000 0000 {WWW} {WWW}")), Malformed::Questions);
    assert_eq!(refused(&format!("{QUESTION} {WWW} 00")), Malformed::Trailing);
    assert!(Message::parse(&bytes("1a2b 0100 0000 0000 0000 0000")).unwrap().question.is_none());
}

#[test]
fn opt_records_that_are_none() {
    let opt = "00 0029 04d0 00 00 0000 0000";
    let message =
        |counts: &str, records: &str| Message::parse(&bytes(&format!("1a2b 0100 {counts} {WWW} {records}"))).err();
    assert_eq!(message("0001 0000 0000 0001", opt), None);
    assert_eq!(message("0001 0000 0000 0002", &format!("{opt} {opt}")), Some(Malformed::Opt));
    assert_eq!(message("0001 0001 0000 0000", opt), Some(Malformed::Opt));
    assert_eq!(message("0001 0000 0001 0000", opt), Some(Malformed::Opt));
    assert_eq!(message("0001 0000 0000 0001", r#""a" 00 0029 04d0 00 00 0000 0000"#), Some(Malformed::Opt));
    for options in ["0003 000a00", "0004 000a0001", "0006 000a 0008 0102"] {
        let opt = format!("00 0029 04d0 00 00 0000 {options}");
        assert_eq!(message("0001 0000 0000 0001", &opt), Some(Malformed::Opt), "{options}");
    }
}
