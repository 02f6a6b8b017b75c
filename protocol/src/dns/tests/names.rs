//! Names as texts and in messages.

use super::*;
use std::collections::HashSet;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn texts_are_read_and_written() {
    let table = [
        ("www.Example.com", "www.Example.com", "03777777074578616d706c6503636f6d00"),
        ("example.", "example", "076578616d706c6500"),
        (".", ".", "00"),
        (r"a\.b.c", r"a\.b.c", "03612e62016300"),
        (r"a\032b\\.c", r"a\032b\\.c", "0461 20 625c 016300"),
        (r"end\.", r"end\.", "04656e642e00"),
    ];
    for (text, shown, wire) in table {
        assert_eq!((name(text).to_string().as_str(), name(text).wire()), (shown, &bytes(wire)[..]), "{text}");
    }
}

#[test]
fn texts_that_are_no_names() {
    let long = "x".repeat(64);
    let deep = "abc.".repeat(64);
    for (text, why) in [
        ("", "empty"),
        ("..", "empty"),
        ("a..b", "empty"),
        (".a", "empty"),
        (&long, "63"),
        (&deep, "253"),
        (r"a\", "escapes"),
        (r"a\25", "escapes"),
        (r"a\256", "escapes"),
    ] {
        let error = text.parse::<Name>().unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!(format!("{}abc", "abc.".repeat(62)).parse::<Name>().is_ok(), "251 characters are no more than 253");
}

#[test]
fn case_makes_no_difference_and_is_kept() {
    assert_eq!(name("GOOGLE.com"), name("google.COM"));
    assert_ne!(name("google.com"), name("google.co"));
    assert_ne!(name("ab.c"), name("a.bc"));
    let set: HashSet<Name> = [name("A.b"), name("a.B")].into();
    assert_eq!(set.len(), 1);
    assert_eq!(name("GOOGLE.com").to_string(), "GOOGLE.com");
}

#[test]
fn a_name_is_below_another_by_whole_labels_and_whatever_the_case() {
    let name = |text: &str| text.parse::<Name>().unwrap();
    let (below, zone) = (name("a.B.Lab.example"), name("lab.Example"));
    assert_eq!(below.below(&zone), Some(vec![&b"a"[..], b"B"]));
    assert_eq!((zone.below(&zone), below.below(&Name::root()).map(|labels| labels.len())), (Some(Vec::new()), Some(4)));
    for outside in ["xlab.example", "example", "lab.example.org", "."] {
        assert_eq!(name(outside).below(&zone), None, "{outside}");
    }
    assert_eq!(zone.child(b"b").and_then(|name| name.child(b"a")).as_ref(), Some(&below));
    assert_eq!((zone.child(b""), zone.child(&[b'x'; 64])), (None, None));
    assert_eq!((below.above(2).to_string(), below.above(9)), ("Lab.example".to_owned(), Name::root()));
    let long = (0..3).try_fold(zone.clone(), |name, _| name.child(&[b'x'; 63])).unwrap();
    assert_eq!((long.wire().len(), long.child(&[b'x'; 49]).map(|name| name.wire().len())), (205, Some(255)));
    assert_eq!(long.child(&[b'x'; 50]), None);
}
