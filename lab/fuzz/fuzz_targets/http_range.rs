//! `Range`, as the server reads it, for a file of the size that the first bytes say: a part of that file, or none. And
//! `Content-Range`, as the load balancer reads it when a download goes on: what it asks for next lies in what it was promised.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loadbalancer::frontend::http::resume::Resume;
use protocol::http::{Answer, Headers, Method};
use range::Part;

/// A room of the server's that nobody else may enter.
#[path = "../../../server/src/service/http/range.rs"]
mod range;

fuzz_target!(|bytes: &[u8]| {
    let Some((size, value)) = bytes.split_first_chunk::<8>() else { return };
    let mut headers = Headers::new();
    if headers.push("Range", value).is_ok() {
        let size = u64::from_le_bytes(*size);
        if let Part::Bytes(part) = range::part(&headers, size) {
            assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
        }
    }
    let Ok(text) = str::from_utf8(value) else { return };
    let head = format!("HTTP/1.1 206 Partial\r\nETag: \"v\"\r\nContent-Length: 9\r\nContent-Range: {text}\r\n\r\n");
    let Ok(Some((answer, _))) = Answer::parse(&Method::Get, head.as_bytes()) else { return };
    let Some(mut resume) = Resume::of(&Method::Get, &answer) else { return };
    let first = resume.position();
    resume.passed(5);
    assert_eq!(resume.position(), first + 5);
    assert_eq!(resume.range(), format!("bytes={}-{}", first + 5, first + 8));
});
