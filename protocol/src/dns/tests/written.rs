//! What is written here is read by others, and by us.

use super::*;

fn ask(text: &str, edns: Option<Edns<'_>>) -> Vec<u8> {
    query(7, &Question::new(text.parse().unwrap(), record_type::A), edns)
}

const PLAIN: Edns<'static> = Edns { datagram: 4096, rcode: 0, version: 0, flags: 0, options: Options::NONE };

#[test]
fn a_query_is_as_the_rfc_has_it() {
    assert_eq!(ask("www.example", None), bytes(&format!("0007 0100 0001 0000 0000 0000 {WWW}")));
    let with = ask("www.example", Some(PLAIN));
    assert_eq!(with, bytes(&format!("0007 0100 0001 0000 0000 0001 {WWW} 00 0029 1000 00 00 0000 0000")));
    assert_eq!(Message::parse(&with).unwrap().datagram(), LARGEST_DATAGRAM);
}

#[test]
fn an_answer_has_the_question_and_the_tables_spelling() {
    let query = ask("google.com", None);
    let asked = Message::parse(&query).unwrap();
    let mut reply = Reply::to(&asked).flags(Flags::authoritative);
    reply.answer(&"GOOGLE.com".parse().unwrap(), record_type::A, 60, &[46, 1, 3, 7]);
    let said = reply.finish(512);
    let read = Message::parse(&said).unwrap();
    assert_eq!((read.id, &read.question), (7, &asked.question));
    assert!(read.flags.is_response() && read.flags.is_authoritative() && !read.flags.is_truncated());
    let [record] = &read.records[..] else { panic!("{read:?}") };
    assert_eq!(
        (read.name(record).unwrap().to_string().as_str(), read.data(record)),
        ("GOOGLE.com", &[46, 1, 3, 7][..])
    );
    assert!(read.edns.is_none(), "who speaks no EDNS hears none");
}

#[test]
fn a_name_of_the_same_spelling_is_a_pointer() {
    let query = ask("google.com", None);
    let asked = Message::parse(&query).unwrap();
    let mut reply = Reply::to(&asked);
    reply.answer(&"google.com".parse().unwrap(), record_type::A, 60, &[46, 1, 3, 7]);
    assert_eq!(reply.finish(512).len(), query.len() + 16);
}

#[test]
fn what_does_not_fit_is_left_out_as_a_whole() {
    let query = ask("a.example", Some(PLAIN));
    let asked = Message::parse(&query).unwrap();
    let mut reply = Reply::to(&asked).rcode(Rcode::NO_ERROR).option(option::COOKIE, &[7; 16]);
    (0..40).for_each(|n| reply.answer(&"a.example".parse().unwrap(), record_type::A, 60, &[10, 0, 0, n]));
    let whole = reply.clone().finish(MAX_MESSAGE);
    assert_eq!(Message::parse(&whole).unwrap().records.len(), 40);
    let cut = reply.finish(512);
    let read = Message::parse(&cut).unwrap();
    assert!(read.flags.is_truncated() && read.records.is_empty() && cut.len() <= 512, "{read:?}");
    assert_eq!(read.edns.unwrap().options.get(option::COOKIE), Some(&[7; 16][..]));
}

#[test]
fn an_rcode_above_15_stands_in_two_places() {
    let query = ask("a.example", Some(Edns { version: 1, ..PLAIN }));
    let said = Reply::to(&Message::parse(&query).unwrap()).rcode(Rcode::BAD_VERSION).finish(512);
    assert_eq!(Message::parse(&said).unwrap().rcode(), Rcode::BAD_VERSION);
}

#[test]
fn who_cannot_be_understood_is_told_so_in_twelve_bytes() {
    let said = Reply::to_unreadable(0x1a2b, Flags(0x0100), Rcode::FORMAT_ERROR);
    assert_eq!(said, bytes("1a2b 8101 0000 0000 0000 0000"));
}

#[test]
fn the_end_of_a_name_that_was_asked_for_is_a_pointer_if_it_begins_at_a_label() {
    let query = ask("a.www.Example", None);
    let asked = Message::parse(&query).unwrap();
    let reply = Reply::to(&asked);
    let written = |name: &str| reply.compressed(&name.parse().unwrap());
    assert_eq!((written("a.www.Example"), written("www.Example")), (bytes("c00c"), bytes("c00e")));
    assert_eq!(written("ns.Example"), bytes(r#""ns" c012"#));
    assert_eq!((written("ns.example"), written(".")), (bytes(r#""ns" "example" 00"#), bytes("00")));
    // The last bytes are those of the question, from the middle of a label on: 3, "www" is no label of "x\003www".
    let query = ask(r"x\003www.Example", None);
    let asked = Message::parse(&query).unwrap();
    let reply = Reply::to(&asked);
    assert_eq!(reply.compressed(&"www.Example".parse().unwrap()), bytes(r#""www" c012"#));
}

#[test]
fn records_of_all_sections_are_counted_and_what_does_not_fit_is_as_if_it_had_not_been_tried() {
    let query = ask("www.example", Some(PLAIN));
    let asked = Message::parse(&query).unwrap();
    let mut reply = Reply::to(&asked);
    let name = "www.example".parse().unwrap();
    let limit = query.len() + 3 * 16;
    assert!(reply.is_empty());
    let tried = [Section::Answer, Section::Authority, Section::Additional, Section::Additional]
        .map(|section| reply.record_if_it_fits(limit, section, &name, (record_type::A, 5, &[192, 0, 2, 1])));
    assert_eq!(tried, [true, true, true, false]);
    let said = reply.finish(limit);
    let read = Message::parse(&said).unwrap();
    let sections: Vec<_> = read.records.iter().map(|record| record.section).collect();
    assert_eq!(sections, [Section::Answer, Section::Authority, Section::Additional]);
    assert!(said.len() == limit && read.edns.is_some() && !read.flags.is_truncated());
}
