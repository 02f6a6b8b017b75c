//! Bodies: where they end, whatever they claim and however they are split.

use crate::http::{
    Decoder, Framing, Headers, Refused,
    encode::around_chunk,
    limits::{MAX_EXTENSION, MAX_EXTENSIONS, MAX_TRAILER},
};

/// Shows the bytes to a decoder in pieces of these sizes (the last one again and again). Returns the body, how many bytes
/// were used, and the decoder.
pub(super) fn decode(framing: Framing, bytes: &[u8], sizes: &[usize]) -> Result<(Vec<u8>, usize, Decoder), Refused> {
    let mut decoder = Decoder::new(framing);
    let (mut body, mut used) = (Vec::new(), 0);
    let mut sizes = sizes.iter().copied().chain(std::iter::repeat(sizes.last().copied().unwrap_or(1).max(1)));
    while used < bytes.len() && !decoder.is_done() {
        let size = sizes.next().unwrap_or(1).max(1).min(bytes.len() - used);
        let mut piece = &bytes[used..used + size];
        used += size;
        while !piece.is_empty() && !decoder.is_done() {
            let coding = decoder.coding(piece)?;
            piece = &piece[coding..];
            let data = usize::try_from(decoder.certain()).unwrap_or(usize::MAX).min(piece.len());
            assert!(coding + data > 0, "no progress");
            body.extend_from_slice(&piece[..data]);
            decoder.passed(data);
            piece = &piece[data..];
        }
        used -= piece.len();
    }
    Ok((body, used, decoder))
}

const CHUNKED: &str =
    "5\r\nhello\r\n00A;a=b;c=\"d\\\"\"\r\n, chunked \r\n1\r\n!\r\n0;z\r\nDigest: x\r\nX-Y: z \r\n\r\n";

#[test]
fn a_chunked_body_is_the_same_however_it_is_split() {
    let followed = CHUNKED.to_owned() + "GET / HTTP/1.1\r\n";
    for size in 1..=followed.len() {
        let (body, used, decoder) = decode(Framing::Chunked, followed.as_bytes(), &[size]).unwrap();
        assert_eq!((body.as_slice(), used), (&b"hello, chunked !"[..], CHUNKED.len()), "pieces of {size}");
        assert_eq!(decoder.trailer().get("digest"), Some("x"));
        assert_eq!(decoder.trailer().len(), 2);
    }
}

#[test]
fn a_body_that_is_cut_anywhere_is_not_whole() {
    for cut in 0..CHUNKED.len() {
        let (_, used, mut decoder) = decode(Framing::Chunked, &CHUNKED.as_bytes()[..cut], &[7]).unwrap();
        assert_eq!((used, decoder.is_done(), decoder.end()), (cut, false, Err(Refused::Cut)), "cut at {cut}");
    }
    let (body, used, mut decoder) = decode(Framing::Length(5), b"hell", &[3]).unwrap();
    assert_eq!((body.as_slice(), used, decoder.left(), decoder.end()), (&b"hell"[..], 4, Some(1), Err(Refused::Cut)));
    let (_, _, mut decoder) = decode(Framing::UntilClose, b"hell", &[3]).unwrap();
    assert_eq!((decoder.is_done(), decoder.end(), decoder.is_done()), (false, Ok(()), true));
}

#[test]
fn a_length_takes_its_bytes_and_no_more() {
    let (body, used, decoder) = decode(Framing::Length(5), b"helloGET", &[2]).unwrap();
    assert_eq!((body.as_slice(), used, decoder.is_done()), (&b"hello"[..], 5, true));
    assert!(Decoder::new(Framing::Length(0)).is_done() && Decoder::new(Framing::Empty).is_done());
    let (_, used, decoder) = decode(Framing::Length(u64::MAX), b"hello", &[2]).unwrap();
    assert_eq!((used, decoder.left()), (5, Some(u64::MAX - 5)));
}

#[test]
fn chunks_that_can_be_read_in_two_ways_are_refused() {
    let long = |count: usize| "x".repeat(count);
    let cases = [
        ("\r\n".to_owned(), Refused::ChunkSize),
        ("5".to_owned() + "\nhello", Refused::ChunkSize),
        ("5 \r\nhello".into(), Refused::ChunkSize),
        (" 5\r\nhello".into(), Refused::ChunkSize),
        ("5\t;x\r\nhello".into(), Refused::ChunkSize),
        ("0x5\r\nhello".into(), Refused::ChunkSize),
        ("+5\r\nhello".into(), Refused::ChunkSize),
        ("-5\r\nhello".into(), Refused::ChunkSize),
        ("g\r\n".into(), Refused::ChunkSize),
        (";x\r\n".into(), Refused::ChunkSize),
        ("10000000000000000\r\n".into(), Refused::ChunkSize),
        ("00000000000000005\r\nhello".into(), Refused::ChunkSize),
        ("5\r\r\nhello".into(), Refused::ChunkEnd),
        ("5\rhello".into(), Refused::ChunkEnd),
        ("5\r\nhello!\r\n".into(), Refused::ChunkEnd),
        ("5\r\nhello\n0\r\n".into(), Refused::ChunkEnd),
        ("5\r\nhello\r0\r\n".into(), Refused::ChunkEnd),
        ("5\r\nhello0\r\n\r\n".into(), Refused::ChunkEnd),
        ("5;a\nb\r\nhello".into(), Refused::ChunkExtension),
        ("5;a\0\r\nhello".into(), Refused::ChunkExtension),
        ("5;a\rb\r\nhello".into(), Refused::ChunkEnd),
        (format!("5;{}\r\nhello\r\n", long(MAX_EXTENSION + 1)), Refused::ChunkExtension),
        (
            format!("1;{}\r\nx\r\n", long(MAX_EXTENSION)).repeat(MAX_EXTENSIONS / MAX_EXTENSION + 1),
            Refused::ChunkExtension,
        ),
        ("0\r\nX: y\n\r\n".into(), Refused::BareLineFeed),
        ("0\r\nX: y\r\n\n".into(), Refused::BareLineFeed),
        ("0\r\nX: a\rb\r\n\r\n".into(), Refused::BareCarriageReturn),
        ("0\r\n X: y\r\n\r\n".into(), Refused::FoldedLine),
        ("0\r\nX : y\r\n\r\n".into(), Refused::FieldName),
        ("0\r\nX: a\0\r\n\r\n".into(), Refused::FieldValue),
        (format!("0\r\n{}\r\n", "X: y\r\n".repeat(101)), Refused::TooManyFields),
        (format!("0\r\nX: {}", long(MAX_TRAILER)), Refused::TrailerTooLarge),
        ("0\r\nGET / HTTP/1.1\r\n\r\n".into(), Refused::FieldName),
    ];
    for (text, why) in cases {
        let shown: String = text.chars().take(60).collect();
        for sizes in [&[1][..], &[2], &[7], &[100_000]] {
            let result = decode(Framing::Chunked, text.as_bytes(), sizes).map(|(body, ..)| body);
            assert_eq!(result, Err(why.clone()), "{shown:?} in pieces of {sizes:?}");
        }
    }
}

#[test]
fn extensions_are_allowed_up_to_their_limit() {
    let chunk = format!("1;{}\r\nx\r\n", "x".repeat(MAX_EXTENSION));
    let most = chunk.repeat(MAX_EXTENSIONS / MAX_EXTENSION) + "0\r\n\r\n";
    let (body, ..) = decode(Framing::Chunked, most.as_bytes(), &[100]).unwrap();
    assert_eq!(body.len(), MAX_EXTENSIONS / MAX_EXTENSION);
}

#[test]
fn a_trailer_cannot_change_what_was_decided() {
    let trailer =
        "Content-Length: 5\r\nHOST: b\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\nServer-Timing: y\r\n";
    let text = format!("0\r\n{trailer}\r\n");
    let (_, used, decoder) = decode(Framing::Chunked, text.as_bytes(), &[3]).unwrap();
    assert_eq!(used, text.len());
    assert_eq!(decoder.trailer().iter().collect::<Vec<_>>(), [("Server-Timing", &b"y"[..])]);
}

#[test]
fn chunks_are_written_as_they_are_read() {
    let mut trailer = Headers::new();
    trailer.push("Digest", "x").unwrap();
    assert_eq!(around_chunk(0, None), (vec![], vec![]), "an empty piece must not end the body");
    assert_eq!(around_chunk(26, None), (b"1a\r\n".to_vec(), b"\r\n".to_vec()));
    assert_eq!(around_chunk(0, Some(&Headers::new())), (vec![], b"0\r\n\r\n".to_vec()));
    assert_eq!(around_chunk(1, Some(&trailer)), (b"1\r\n".to_vec(), b"\r\n0\r\nDigest: x\r\n\r\n".to_vec()));
}

#[test]
fn fields_that_would_end_their_line_are_not_sent() {
    let mut headers = Headers::new();
    for (name, value) in [("X", "a\rb"), ("X", "a\nb"), ("X", "a\0b"), ("X", "a\x7f"), ("X", " a"), ("X", "a\t")] {
        assert!(headers.push(name, value).is_err(), "{value:?}");
    }
    for name in ["", "X:", "X ", "X\r\nY", "\u{e4}"] {
        assert!(headers.push(name, "a").is_err() && headers.set(name, "a").is_err(), "{name:?}");
    }
    assert!(headers.is_empty());
    headers.push("A", "1").unwrap();
    headers.push("B", "").unwrap();
    headers.push("a", "2, 3 ,,").unwrap();
    assert_eq!(headers.list("A").collect::<Vec<_>>(), [&b"1"[..], b"2", b"3"]);
    headers.set("A", "\u{e4}").unwrap();
    assert_eq!((headers.len(), headers.get("a"), headers.get("b")), (2, Some("\u{e4}"), Some("")));
    assert!(headers.remove("b") && !headers.remove("b") && !headers.contains("B"));
}
