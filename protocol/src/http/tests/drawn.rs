//! Messages drawn at random: what is written is read again, and nothing that is accepted has a second reading.

use super::{bodies::decode, heads};
use crate::http::{
    Answer, Framing, Headers, Method, Request, Status, Version,
    encode::{around_chunk, push_answer, push_request},
};
use proptest::prelude::*;

/// What smugglers put where it does not belong.
const PIECES: [&[u8]; 26] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b":",
    b",",
    b";",
    b"+",
    b"0",
    b"_",
    b"\x85",
    b"\r\n\r\n",
    b"chunked",
    b"identity",
    b"Content-Length: 5",
    b"\r\nContent-Length: 7",
    b"\r\nContent-Length : 7",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\nTransfer-Encoding\x0b: chunked",
    b"\r\n Transfer-Encoding: chunked",
    b"\r\nHost: b",
    b" HTTP/1.0",
    b"HTTP/1.1",
];

/// Requests with a body, into which the pieces are put.
const SEEDS: [&str; 4] = [
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET http://a/ HTTP/1.1\r\nX-Y: z\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST /a HTTP/1.0\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
];

/// A reader as careless as any: lines end at any LF, names are what is left without odd characters, white space and
/// control characters around anything do not matter, a folded line is a line of its own.
fn carelessly(head: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(head).into_owned();
    let plain = |part: &str| part.chars().filter(|c| c.is_ascii_graphic()).collect::<String>().to_ascii_lowercase();
    let lines = text.split(['\n', '\r']).skip(1);
    lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (plain(name), plain(value))).collect()
}

/// Asserts that a careless reader finds the same end of this accepted request as we do.
fn assert_one_reading(head: &[u8], request: &Request) -> Result<(), TestCaseError> {
    let fields = carelessly(head);
    let values = |name: &str| fields.iter().filter(|f| f.0 == name).map(|f| f.1.clone()).collect::<Vec<_>>();
    let (lengths, codings, hosts) = (values("content-length"), values("transfer-encoding"), values("host"));
    match request.framing {
        Framing::Length(length) => prop_assert_eq!((lengths, codings), (vec![length.to_string()], vec![])),
        Framing::Chunked => prop_assert_eq!((lengths, codings), (vec![], vec!["chunked".to_owned()])),
        _ => prop_assert_eq!((lengths, codings), (vec![], vec![])),
    }
    prop_assert!(hosts.len() == 1 || (hosts.is_empty() && request.version == Version::Http10), "{:?}", hosts);
    prop_assert!(!head.contains(&0));
    let ends = head.windows(2).filter(|two| *two == b"\r\n").count();
    prop_assert_eq!(head.iter().filter(|&&b| b == b'\r' || b == b'\n').count(), 2 * ends);
    Ok(())
}

fn judge(bytes: &[u8]) -> Result<(), TestCaseError> {
    let whole = Request::parse(bytes);
    prop_assert_eq!(&heads::bytewise(bytes), &whole, "split differently");
    if let Ok(Some((request, used))) = whole {
        assert_one_reading(bytes[..used].trim_ascii_start(), &request)?;
        for sizes in [&[1][..], &[usize::MAX]] {
            let first = decode(request.framing, &bytes[used..], &[3]).map(|(body, used, _)| (body, used));
            let other = decode(request.framing, &bytes[used..], sizes).map(|(body, used, _)| (body, used));
            prop_assert_eq!(first, other, "the body, split differently");
        }
    }
    Ok(())
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}"
}

/// Fields that say nothing about framing.
fn fields() -> impl Strategy<Value = Headers> {
    let field = (token(), "([!-~\u{e4}]([ -~\t]{0,20}[!-~])?)?");
    proptest::collection::vec(field, 0..12).prop_map(|fields| {
        let mut headers = Headers::new();
        // The prefix keeps a drawn name from being one that means something.
        fields.iter().for_each(|(name, value)| headers.push(&format!("X-{name}"), value).unwrap());
        headers
    })
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![Just(Framing::Empty), Just(Framing::Chunked), any::<u64>().prop_map(Framing::Length)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_request_that_is_written_is_read_again(
        method in token(), path in "/[a-z/%2]{0,9}(\\?[a-z=&+|]{0,9})?", more in fields(), framing in framing(), keep: bool
    ) {
        let method = Method::parse(method.as_bytes()).unwrap();
        prop_assume!(method != Method::Connect);
        let mut headers = Headers::new();
        headers.push("Host", "a:81").unwrap();
        more.iter().for_each(|(name, value)| headers.push(name, value).unwrap());
        let mut bytes = Vec::new();
        let line = (&method, path.as_str(), Version::Http11);
        push_request(&mut bytes, line, &headers, framing, if keep { None } else { Some("close") });
        let (request, used) = Request::parse(&bytes).unwrap().unwrap();
        prop_assert_eq!((used, request.target.path_and_query()), (bytes.len(), path.as_str()));
        prop_assert_eq!((&request.method, request.framing, request.keep_alive), (&method, framing, keep));
        let mut read = request.headers;
        for ours in ["content-length", "transfer-encoding", "connection"] {
            read.remove(ours);
        }
        prop_assert_eq!(read, headers);
    }

    #[test]
    fn an_answer_that_is_written_is_read_again(code in 200_u16..600, headers in fields(), framing in framing()) {
        let status = Status::new(code).unwrap();
        prop_assume!(!status.never_has_a_body());
        let mut bytes = Vec::new();
        push_answer(&mut bytes, status, &headers, framing, None);
        let (answer, used) = Answer::parse(&Method::Get, &bytes).unwrap().unwrap();
        prop_assert_eq!((used, answer.status), (bytes.len(), status));
        let read = if framing == Framing::Empty { Framing::UntilClose } else { framing };
        prop_assert_eq!(answer.framing, read);
        prop_assert!(headers.iter().all(|(name, value)| answer.headers.all(name).any(|each| each == value)));
    }

    #[test]
    fn a_chunked_body_that_is_written_is_read_again(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6),
        sizes in proptest::collection::vec(1_usize..50, 1..20),
        trailer in fields(),
    ) {
        let mut bytes = Vec::new();
        for piece in &pieces {
            let (before, behind) = around_chunk(piece.len(), None);
            bytes.extend([&before, piece.as_slice(), &behind].concat());
        }
        bytes.extend(around_chunk(0, Some(&trailer)).1);
        let length = bytes.len();
        bytes.extend_from_slice(b"0\r\n\r\n");
        let (body, used, decoder) = decode(Framing::Chunked, &bytes, &sizes).unwrap();
        prop_assert_eq!((body, used), (pieces.concat(), length));
        prop_assert_eq!(decoder.trailer(), &trailer);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        judge(&bytes)?;
        let _ = Answer::parse(&Method::Get, &bytes);
        let _ = decode(Framing::Chunked, &bytes, &[5]);
    }

    #[test]
    fn nothing_that_is_accepted_has_a_second_reading(
        seed in 0..SEEDS.len(),
        places in proptest::collection::vec((any::<prop::sample::Index>(), 0..PIECES.len(), 0_usize..4), 1..4),
    ) {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (place, piece, removed) in places {
            let at = place.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, PIECES[piece].iter().copied());
        }
        judge(&bytes)?;
    }
}
