//! What comes to whoever answers questions: an answer is never answered, a stranger's datagram never at more than twice its
//! length, and what is asked further is what was asked. The first byte says how it comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::dns::{Admitted, Cookies, MAX_MESSAGE, Message, Transport, admit, record_type};

fuzz_target!(|bytes: &[u8]| {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let transport = if how & 1 == 0 { Transport::Datagram } else { Transport::Stream };
    let (cookies, peer) = (Cookies::new([7; 32]), std::net::SocketAddr::from(([192, 0, 2, 7], 4_000)));
    let is_answer = bytes.get(2).is_some_and(|flags| flags & 0x80 != 0);
    // Nobody finds a cookie of ours by drawing bytes.
    let most = if transport == Transport::Datagram { 2 * bytes.len() } else { MAX_MESSAGE };
    match admit(bytes, peer, transport, &cookies, 1_795_257_912) {
        Admitted::Dropped(_) => {}
        Admitted::Refused(said, rcode) => {
            let read = Message::parse(&said).expect("what we write we accept");
            assert!(!is_answer && read.flags.is_response() && said.len() <= most);
            assert_eq!((read.rcode(), &said[..2]), (rcode, &bytes[..2]));
        }
        Admitted::Asked(inquiry) => {
            assert!(!is_answer && inquiry.limit <= most);
            let onward = inquiry.onward(9);
            let asked = Message::parse(&onward).expect("what we write we accept");
            assert_eq!((asked.id, asked.question.as_ref()), (9, Some(&inquiry.question)));
            let mut reply = inquiry.reply();
            (0..*how).for_each(|n| reply.answer(&inquiry.question.name, record_type::A, 5, &[10, 0, 0, n]));
            let said = reply.finish(inquiry.limit);
            assert!(said.len() <= most && Message::parse(&said).is_ok_and(|said| said.flags.is_response()));
        }
    }
});
