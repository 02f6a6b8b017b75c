//! The head of an answer, to the method that the first byte chooses: bounded by its bytes, and the same when written anew.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::http::{
    Answer, Framing, Method,
    encode::push_answer,
    limits::{MAX_FIELDS, MAX_HEAD},
};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let method = [Method::Get, Method::Head, Method::Connect, Method::Post][usize::from(first % 4)].clone();
    let Ok(Some((answer, used))) = Answer::parse(&method, bytes) else { return };
    assert!(used <= bytes.len());
    assert_eq!(Answer::parse(&method, &bytes[..used - 1]), Ok(None), "it was there before its end");
    assert_eq!(Answer::parse(&method, &bytes[..used]), Ok(Some((answer.clone(), used))), "what follows it matters");
    // Of others, the framing says nothing about what would be written.
    if method != Method::Get || answer.status.never_has_a_body() || answer.framing == Framing::Empty {
        return;
    }
    let mut written = Vec::new();
    push_answer(&mut written, answer.status, &answer.headers, answer.framing, None);
    // What is added (the date) may be the field, or the byte, that is too many.
    let head = written.len();
    if answer.headers.len() >= MAX_FIELDS || head > MAX_HEAD {
        return;
    }
    written.extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
    let (again, end) = Answer::parse(&method, &written).expect("what we write we accept").expect("all of it");
    assert_eq!((end, again.status, again.framing), (head, answer.status, answer.framing));
});
