//! A server's answer to a question for `a.b`, as it is passed on: no longer than it may be, with the asker's id and spelling. The
//! first two bytes say how long it may be; the first of an answer's own are made right, so that there is something to pass on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::dns::{Flags, Inquiry, Message, Question, option, record_type};

const QUESTION: &[u8] = &[1, b'A', 1, b'b', 0, 0, 1, 0, 1];

fuzz_target!(|bytes: &[u8]| {
    let Some((limit, rest)) = bytes.split_first_chunk::<2>() else { return };
    let Some((head, records)) = rest.split_first_chunk::<8>() else { return };
    let answer = [&[0, 9, head[0] | 0x80, head[1], 0, 1], &head[2..8], QUESTION, records].concat();
    let question = Question::new("a.B".parse().expect("a name"), record_type::A);
    // No asker may get less than its own question and an OPT record with a cookie: it has sent half as much itself.
    let (edns, limit) = (limit[0] & 1 == 1, usize::from(u16::from_be_bytes(*limit)).max(64));
    let cookie = edns.then(|| vec![7; 24]);
    let inquiry = Inquiry { id: 5, flags: Flags::QUERY, question, edns, dnssec: false, cookie, limit };
    let Ok(read) = Message::parse(&answer) else { return };
    assert!(read.answers(9, &inquiry.question));
    let said = inquiry.relayed(&read);
    assert!(said.len() <= limit, "{} of {limit}", said.len());
    let again = Message::parse(&said).expect("what we pass on can be read");
    assert!(again.answers(5, &inquiry.question));
    assert_eq!(again.question.as_ref().map(|question| question.name.wire()), Some(inquiry.question.name.wire()));
    assert_eq!(again.edns.is_some(), edns);
    assert_eq!(again.edns.and_then(|edns| edns.options.get(option::COOKIE)).is_some(), edns);
});
