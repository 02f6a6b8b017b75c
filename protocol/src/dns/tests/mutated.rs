//! Messages that were changed at random, through the whole way: the door, the question that goes on, and an answer to it that
//! was changed, too.

use super::{
    classes::{self, Due, classes},
    doors::{cookies, peer},
    *,
};
use crate::output::show;

const NOW: u32 = 1_795_257_912;

#[test]
fn each_class_of_odd_messages_gets_what_is_due() {
    let classes = classes();
    assert!(classes.len() >= 45, "{}", classes.len());
    for class in classes {
        let name = class.name;
        for transport in [Transport::Datagram, Transport::Stream] {
            let seen = match admit(&class.bytes, peer(), transport, &cookies(), NOW) {
                Admitted::Dropped(_) => Due::Nothing,
                Admitted::Asked(_) => Due::Answer,
                Admitted::Refused(said, rcode) => {
                    let read = Message::parse(&said).unwrap();
                    assert!(read.flags.is_response() && said.len() <= 2 * class.bytes.len(), "{name}");
                    assert_eq!((read.rcode(), &said[..2]), (rcode, &class.bytes[..2]), "{name}");
                    Due::Error(rcode.0)
                }
            };
            assert_eq!(seen, class.due, "{name}");
        }
    }
}

/// Changes some bytes: replaced, turned over, cut, put in, doubled.
fn change(bytes: &mut Vec<u8>, draw: &mut fastrand::Rng) {
    for _ in 0..draw.usize(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = draw.usize(..bytes.len());
        match draw.u8(..12) {
            0..3 => bytes[at] = draw.u8(..),
            3..8 => bytes[at] ^= 1 << draw.u8(..8),
            8 => bytes.truncate(at),
            9 => bytes.insert(at, draw.u8(..)),
            // A pointer to somewhere.
            10 => bytes[at] = 0xc0,
            _ if bytes.len() < 2_048 => bytes.extend_from_within(at..),
            _ => {}
        }
    }
}

/// What was seen: dropped, refused, asked, answers that were believed, and that were not.
#[derive(Debug, Default)]
struct Seen([u32; 5]);

/// Sends one through; whatever comes out must hold.
fn through(bytes: &[u8], cookies: &Cookies, draw: &mut fastrand::Rng, seen: &mut Seen) {
    let inquiry = match admit(bytes, peer(), Transport::Datagram, cookies, NOW) {
        Admitted::Dropped(_) => return seen.0[0] += 1,
        Admitted::Refused(said, _) => {
            assert!(bytes[2] & 0x80 == 0, "an answer was answered: {bytes:x?}");
            assert!(said.len() <= 2 * bytes.len(), "{} for {bytes:x?}", said.len());
            assert!(Message::parse(&said).unwrap().flags.is_response(), "{bytes:x?}");
            return seen.0[1] += 1;
        }
        Admitted::Asked(inquiry) => inquiry,
    };
    seen.0[2] += 1;
    assert!(bytes[2] & 0x80 == 0 && inquiry.limit <= 2 * bytes.len(), "{bytes:x?}");
    let onward = inquiry.onward(7);
    let asked = Message::parse(&onward).unwrap();
    assert_eq!(asked.question.as_ref(), Some(&inquiry.question));
    let mut reply = Reply::to(&asked);
    (0..draw.u8(..20)).for_each(|n| reply.answer(&inquiry.question.name, record_type::A, 5, &[10, 0, 0, n]));
    let mut answer = reply.finish(draw.usize(12..1_300));
    if draw.bool() {
        change(&mut answer, draw);
    }
    let believed = Message::parse(&answer).ok().filter(|answer| answer.answers(7, &inquiry.question));
    let Some(answer) = believed else { return seen.0[4] += 1 };
    let said = inquiry.relayed(&answer);
    assert!(said.len() <= inquiry.limit, "{} of {}", said.len(), inquiry.limit);
    let read = Message::parse(&said).unwrap();
    assert_eq!((read.id, read.flags.is_response()), (inquiry.id, true));
    assert_eq!(read.question.unwrap().name.wire(), inquiry.question.name.wire());
    seen.0[3] += 1;
}

fn many(count: u32) {
    let seed = fastrand::u64(..);
    show!("seed {seed}");
    let (mut draw, cookies, mut seen) = (fastrand::Rng::with_seed(seed), cookies(), Seen::default());
    let short = |class: &classes::Class| class.bytes.len() < 512;
    // Most of what is refused already is refused again, at the same place.
    let (sound, odd): (Vec<_>, Vec<_>) =
        classes().into_iter().filter(short).partition(|class| class.due == Due::Answer);
    for _ in 0..count {
        let beginnings = if draw.u8(..4) > 0 { &sound } else { &odd };
        let mut bytes = beginnings[draw.usize(..beginnings.len())].bytes.clone();
        change(&mut bytes, &mut draw);
        through(&bytes, &cookies, &mut draw, &mut seen);
    }
    show!("{seen:?}: dropped, refused, asked, believed, not believed");
    assert!(seen.0.iter().all(|count_of_kind| count_of_kind * 50 > count), "each must be tried: {seen:?}");
}

#[test]
fn a_hundred_thousand_changed_messages() {
    many(100_000);
}

#[test]
#[ignore = "takes half a minute unless it is optimized: .ci/long"]
fn a_million_changed_messages() {
    many(1_000_000);
}
