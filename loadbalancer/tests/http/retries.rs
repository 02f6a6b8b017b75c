//! What is lost is tried again where that does no harm, and nowhere else.

use super::kit::{Front, Origin, Said, Talk, hello};
use loadbalancer::event::Event;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reads the whole request and ends the connection without a word.
fn dies(talk: &mut Talk) -> bool {
    talk.body();
    false
}

/// A frontend with a server that dies of every request, and one that answers. Asked until the first has been.
fn beside_a_dying_one(flags: &[&str], ask: impl Fn(&Front) -> Said) -> (Said, Origin, Origin) {
    let (dying, well) = (Origin::start("1", dies), Origin::start("2", hello));
    let front = Front::new(flags);
    front.join(&dying);
    front.join(&well);
    loop {
        let said = ask(&front);
        if !dying.heard().is_empty() {
            return (said, dying, well);
        }
    }
}

fn ask(front: &Front, method: &str, fields: &str, body: &str) -> Said {
    let length = body.len();
    let text = format!("{method} /x HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    front.caller().say(text).hear()
}

#[test]
fn what_is_idempotent_goes_to_another_server_with_its_body() {
    for method in ["GET", "OPTIONS", "PUT", "DELETE"] {
        let (said, dying, well) = beside_a_dying_one(&[], |front| ask(front, method, "", "a body"));
        assert_eq!((said.code(), said.text().as_str()), (200, "hello"), "{method}");
        let last = well.heard().pop().unwrap();
        assert_eq!((dying.heard()[0].body.as_slice(), last.body.as_slice()), (&b"a body"[..], &b"a body"[..]));
        assert_eq!(dying.heard()[0].all("x-request-id"), last.all("x-request-id"));
    }
}

#[test]
fn what_may_have_been_done_is_not_done_twice() {
    for fields in ["", "Idempotency-Key: 7\r\n"] {
        let (said, _dying, well) = beside_a_dying_one(&[], |front| ask(front, "POST", fields, "pay 5"));
        assert_eq!(said.code(), 502);
        assert!(
            said.text().contains("unknown-outcome") && said.text().contains("\"definite\":false"),
            "{}",
            said.text()
        );
        assert!(well.heard().len() <= 1, "an answer of the other server before, at the most");
    }
}

#[test]
fn a_promise_of_idempotency_counts_by_flag() {
    let flags = &["--http-idempotency-key"];
    let keyed = |front: &Front| ask(front, "POST", "Idempotency-Key: 7\r\n", "pay 5");
    assert_eq!(beside_a_dying_one(flags, keyed).0.code(), 200);
    assert_eq!(beside_a_dying_one(flags, |front| ask(front, "POST", "", "pay 5")).0.code(), 502);
}

#[test]
fn what_was_never_sent_goes_to_another_server_whatever_it_is() {
    let (gone, well) = (Origin::start("1", hello), Origin::start("2", hello));
    let front = Front::new(&[]);
    front.join(&gone);
    front.join(&well);
    gone.kill();
    for _ in 0..6 {
        assert_eq!(ask(&front, "POST", "", "pay 5").code(), 200);
    }
    assert_eq!(well.heard().len(), 6);
}

#[test]
fn a_body_that_is_not_kept_is_not_sent_again() {
    let big = "x".repeat(2_000_000);
    let (said, ..) = beside_a_dying_one(&[], |front| ask(front, "PUT", "", &big));
    assert_eq!(said.code(), 502);
}

#[test]
fn a_kept_connection_that_the_server_ends_costs_a_get_nothing_and_a_post_its_certainty() {
    for (method, code) in [("GET", 200), ("POST", 502)] {
        let served = AtomicUsize::new(0);
        let origin = Origin::start("1", move |talk| {
            talk.body();
            // The second request on the first connection finds it ending.
            let ends = talk.heard.connection == 1 && served.fetch_add(1, Ordering::SeqCst) == 1;
            !ends && talk.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        });
        let front = Front::before(&origin, &[]);
        assert_eq!(ask(&front, "GET", "", "").code(), 200);
        assert_eq!(ask(&front, method, "", "").code(), code, "{method}");
        let failed = front.events.try_iter().any(|record| matches!(record.event, Event::AttemptFailed { .. }));
        assert_eq!(failed, code == 502, "an ended connection is no failure of its server");
    }
}

#[test]
fn a_server_that_is_busy_is_left_for_another_and_the_last_word_is_passed_on() {
    let busy = |talk: &mut Talk| {
        talk.body();
        talk.say("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
    };
    let (first, second) = (Origin::start("1", busy), Origin::start("2", hello));
    let front = Front::new(&[]);
    front.join(&first);
    front.join(&second);
    for _ in 0..4 {
        assert_eq!(ask(&front, "GET", "", "").text(), "hello");
    }
    assert!(!first.heard().is_empty());
    let front = Front::before(&first, &[]);
    let said = ask(&front, "GET", "", "");
    assert_eq!((said.code(), said.text().as_str()), (503, "busy"));
}

#[test]
fn a_server_lost_before_the_client_has_anything_costs_nothing() {
    // It dies in the middle of a small answer, which is held until it is whole.
    let dying = Origin::start("1", |talk| {
        talk.say("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf of an ans");
        false
    });
    let well = Origin::start("2", hello);
    let front = Front::new(&[]);
    front.join(&dying);
    front.join(&well);
    for _ in 0..4 {
        assert_eq!(front.caller().get("/").text(), "hello");
    }
    assert!(!dying.heard().is_empty());
}
