//! A chunked body, in pieces of the size that the first byte says, and of one byte: the same body, the same end, the same
//! refusal, and never a byte that was not there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::http::{Decoder, Framing, Headers, Refused, encode::around_chunk};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, usize::MAX);
    for size in [1, usize::from(*first).max(1)] {
        assert_eq!(decode(bytes, size), whole, "in pieces of {size}");
    }
    let Ok((body, used, true, trailer)) = whole else { return };
    assert!(body.len() < used && used <= bytes.len());
    let (mut written, behind) = around_chunk(body.len(), Some(&trailer));
    written.extend_from_slice(&body);
    written.extend_from_slice(&behind);
    let length = written.len();
    written.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(decode(&written, usize::MAX), Ok((body, length, true, trailer)), "written anew");
});

/// The body, how many bytes were used, whether it has come to its end, and what stands behind it.
fn decode(bytes: &[u8], size: usize) -> Result<(Vec<u8>, usize, bool, Headers), Refused> {
    let (mut decoder, mut body, mut used) = (Decoder::new(Framing::Chunked), Vec::new(), 0);
    while used < bytes.len() && !decoder.is_done() {
        let mut piece = &bytes[used..used.saturating_add(size).min(bytes.len())];
        while !piece.is_empty() && !decoder.is_done() {
            let coding = decoder.coding(piece)?;
            let certain = usize::try_from(decoder.certain()).unwrap_or(usize::MAX);
            let data = certain.min(piece.len() - coding);
            assert!(coding + data > 0, "no progress");
            body.extend_from_slice(&piece[coding..coding + data]);
            decoder.passed(data);
            piece = &piece[coding + data..];
            used += coding + data;
        }
    }
    Ok((body, used, decoder.is_done(), decoder.trailer().clone()))
}
