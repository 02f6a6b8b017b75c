//! The head of a request. What is accepted is accepted for its own bytes alone; and written anew for a server it is the same
//! request again, with the body beginning exactly where its head ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::http::{
    Form, Request, Version,
    encode::push_request,
    limits::{MAX_FIELDS, MAX_HEAD},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some((request, used))) = Request::parse(bytes) else { return };
    assert!(used <= bytes.len());
    assert_eq!(Request::parse(&bytes[..used - 1]), Ok(None), "it was there before its end");
    assert_eq!(Request::parse(&bytes[..used]), Ok(Some((request.clone(), used))), "what follows it matters");
    if request.target.form() == Form::Authority {
        return;
    }
    let mut headers = request.headers.clone();
    if let Some(host) = &request.host {
        headers.set("Host", host.to_string()).expect("a host that was accepted");
    }
    let line = (&request.method, request.target.path_and_query(), request.version);
    let keep = match (request.version, request.keep_alive) {
        (Version::Http11, true) => None,
        (_, true) => Some("keep-alive"),
        (_, false) => Some("close"),
    };
    let mut written = Vec::new();
    push_request(&mut written, line, &headers, request.framing, keep);
    // What is added may be the field, or the byte, that is too many.
    let head = written.len();
    if headers.len() >= MAX_FIELDS || head > MAX_HEAD {
        return;
    }
    written.extend_from_slice(b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n");
    let (again, end) = Request::parse(&written).expect("what we write we accept").expect("all of it");
    assert_eq!(end, head, "the head ends elsewhere");
    assert_eq!((&again.method, &again.host), (&request.method, &request.host));
    assert_eq!(again.target.path_and_query(), request.target.path_and_query());
    assert_eq!((again.framing, again.keep_alive), (request.framing, request.keep_alive));
});
