//! A DNS message: read within its bytes, whatever its names point at; and what is taken out of it and written anew is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::dns::{Message, Name, Question, Rcode, Reply, query};

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::parse(bytes) else { return };
    assert_eq!(Message::head(bytes), Some((message.id, message.flags)));
    assert!(message.records.len() * 11 <= bytes.len(), "records that take no bytes");
    for record in &message.records {
        let name = message.name(record).expect("a name that was walked over");
        same_again(&name);
        assert!(message.data(record).len() + 11 <= bytes.len());
    }
    let rest = message.without_opt();
    let again = Message::parse(&rest).expect("without its OPT record it is a message");
    assert!(again.edns.is_none() && again.question == message.question && rest.len() <= bytes.len());
    assert!((512..=1_232).contains(&message.datagram()));
    if let Some(question) = &message.question {
        asked_again(&message, question);
    }
});

/// A name is the same in a message of its own, and as a text.
fn same_again(name: &Name) {
    let (again, end) = Name::read(name.wire(), 0).expect("what we write we accept");
    assert_eq!((again.wire(), end), (name.wire(), name.wire().len()));
    assert_eq!(name.to_string().parse::<Name>().expect("what we write we accept").wire(), name.wire());
}

fn asked_again(message: &Message<'_>, question: &Question) {
    same_again(&question.name);
    let asked = query(message.id, question, message.edns);
    let again = Message::parse(&asked).expect("what we write we accept");
    assert_eq!((again.id, again.question.as_ref(), again.edns), (message.id, Some(question), message.edns));
    let said = Reply::to(message).rcode(Rcode::SERVER_FAILURE).finish(512);
    let said = Message::parse(&said).expect("what we write we accept");
    assert!(said.answers(message.id, question));
}
