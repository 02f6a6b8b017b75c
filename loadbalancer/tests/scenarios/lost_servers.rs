//! Servers that are lost while they have a request: what the client is told, and who else gets the request. The rows
//! are those of the table in `dispatch/retry.rs`.

use crate::kit::{Answer, Ask, FakeServer, Lab, Plan, Script, echo};
use loadbalancer::{dispatch::retry::MAX_ATTEMPTS, event::Event};
use protocol::{
    frame::{Kind, Prefix},
    message::{ErrorCode, Failure},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

fn hangs_up() -> Script {
    Arc::new(|ask: &mut Ask<'_>| ask.hang_up())
}

fn refuses(code: ErrorCode) -> Script {
    Arc::new(move |ask: &mut Ask<'_>| ask.fail(&Failure::definite(code, "Not now.")))
}

/// A strong server that does what the script says, and a weaker one that answers.
fn strong_and_weak(script: Script) -> (Lab, FakeServer, FakeServer) {
    let lab = Lab::new(&[]);
    let strong = lab.server("strong", script);
    let weak = lab.weaker("weak", echo());
    (lab, strong, weak)
}

fn answered_by_the_weaker(answer: &Answer) {
    assert!(answer.text().ends_with("from weak"), "{}", answer.text());
}

/// Before the request was sent: another server has it, whatever it is.
#[test]
fn lost_before_the_request_was_sent() {
    for sql in [false, true] {
        let (lab, mut strong, _weak) = strong_and_weak(echo());
        strong.close_service();
        let mut client = lab.client();
        answered_by_the_weaker(&if sql { client.ask("INSERT") } else { client.fetch("file") });
        client.assert_usable();
    }
}

/// A connection that was kept, and whose server has closed it since, is not taken for a loss.
#[test]
fn lost_while_nothing_was_asked() {
    let lab = Lab::new(&[]);
    let server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.echo();
            ask.hang_up();
        }),
    );
    let mut client = lab.client();
    for n in 0..20 {
        assert!(client.ask(&format!("INSERT {n}.")).text().contains(&format!("INSERT {n}.")));
        crate::kit::eventually("the server has hung up", || server.connections() == 1);
    }
}

/// After the request, before the answer: a file from another server, a statement from none.
#[test]
fn lost_before_the_first_byte_of_the_answer() {
    let (lab, strong, weak) = strong_and_weak(hangs_up());
    let mut client = lab.client();
    answered_by_the_weaker(&client.fetch("file"));
    weak.so_far();
    lab.until_state("strong", "idle");
    let answer = client.ask("INSERT");
    assert_eq!(answer.verdict(), (ErrorCode::UnknownOutcome, false));
    let failure = answer.failure();
    assert_eq!((failure.attempts, failure.server.as_deref()), (1, Some("strong")));
    assert_eq!(weak.so_far(), [], "a statement must not be done twice");
    lab.until_state("strong", "idle");
    let id = client.read_only_sql("SELECT");
    answered_by_the_weaker(&client.answer(id));
    strong.follow(echo());
    client.assert_usable();
}

/// The server had begun, but nothing had reached the client yet: as if it had not begun.
#[test]
fn lost_before_the_client_got_anything() {
    let half = |ask: &mut Ask<'_>| {
        ask.begin(0);
        ask.piece(b"half");
        // A frame that is cut in its middle.
        let whole = Prefix::new(Kind::Data, ask.prefix.id, 2, 1_000).encode();
        ask.raw(&whole);
        ask.raw(b"{}half");
        ask.hang_up();
    };
    let (lab, _strong, weak) = strong_and_weak(Arc::new(half));
    let mut client = lab.client();
    let answer = client.fetch("file");
    answered_by_the_weaker(&answer);
    assert_eq!(answer.kinds(), "hde");
    weak.so_far();
    lab.until_state("strong", "idle");
    assert_eq!(client.ask("SELECT").verdict(), (ErrorCode::UnknownOutcome, false));
    assert_eq!(weak.so_far(), []);
}

/// A server that is lost between two chunks of a file or in the middle of one, and does not come back to it.
fn breaks_off(cut: usize) -> Script {
    Arc::new(move |ask: &mut Ask<'_>| {
        if ask.resume.0 == 0 {
            ask.begin(4_000_000);
            ask.chunk("a", &vec![b'x'; 1_000_000]);
            let mut chunk = Prefix::new(Kind::Data, ask.prefix.id, 14, 1_000_000).encode().to_vec();
            chunk.extend_from_slice(b"{\"sha256\":\"b\"}");
            chunk.extend_from_slice(&vec![b'y'; 1_000_000]);
            ask.raw(&chunk[..cut]);
        }
        ask.hang_up();
    })
}

const CUTS: [usize; 7] = [0, 1, 31, 32, 40, 100_000, 500_000];

/// Part of a file has been delivered, and the server is lost: another one with the same file goes on at the byte, and
/// the client sees one whole answer.
#[test]
fn a_file_goes_on_from_another_server() {
    for cut in CUTS {
        let (lab, strong, weak) = strong_and_weak(breaks_off(cut));
        weak.follow(Arc::new(|ask: &mut Ask<'_>| {
            assert_eq!(ask.resume, (1_000_000, Some("a".to_owned())), "what the client has whole");
            ask.begin(4_000_000);
            for (digest, byte) in [("b", b'y'), ("c", b'z'), ("d", b'!')] {
                ask.chunk(digest, &vec![byte; 1_000_000]);
            }
            ask.end();
        }));
        let mut client = lab.client();
        let file = client.fetch("file");
        assert_eq!(file.kinds(), "hdddde", "cut at {cut}");
        let bytes: Vec<u8> =
            file.frames.iter().filter(|frame| frame.0 == Kind::Data).flat_map(|frame| frame.2.clone()).collect();
        let expected: Vec<u8> = [b'x', b'y', b'z', b'!'].into_iter().flat_map(|byte| vec![byte; 1_000_000]).collect();
        assert!(bytes == expected, "cut at {cut}");
        strong.follow(echo());
        client.assert_usable();
    }
}

/// The other servers have another file under that name: the frame is completed with zeros, an error makes it void, and
/// the connection is as good as before. Two files are never joined.
#[test]
fn a_file_that_differs_elsewhere_is_void() {
    let other_size = |ask: &mut Ask<'_>| ask.answer(b"short");
    let other_digest = |ask: &mut Ask<'_>| {
        ask.begin(4_000_000);
        ask.chunk("B", &vec![b'Y'; 1_000_000]);
        ask.end();
    };
    let says_so = |ask: &mut Ask<'_>| ask.fail(&Failure::definite(ErrorCode::Damaged, "It differs."));
    let others: [Script; 3] = [Arc::new(other_size), Arc::new(other_digest), Arc::new(says_so)];
    for (n, other) in others.into_iter().enumerate() {
        let (lab, strong, weak) = strong_and_weak(breaks_off(500_000));
        weak.follow(other);
        let mut client = lab.client();
        let file = client.fetch("file");
        assert!(file.failure().definite, "{n}");
        assert_eq!(file.kinds(), "hddx", "{n}");
        assert_eq!(file.frames[2].2.len(), 1_000_000, "a frame is never cut");
        strong.follow(echo());
        weak.follow(echo());
        client.assert_usable();
    }
}

/// Part of the rows has been delivered: nobody else is asked, two results are never joined.
#[test]
fn rows_are_never_joined() {
    let rows = |ask: &mut Ask<'_>| {
        ask.begin(0);
        ask.piece(&vec![b'x'; 1_000_000]);
        ask.hang_up();
    };
    let (lab, strong, weak) = strong_and_weak(Arc::new(rows));
    let mut client = lab.client();
    assert_eq!(client.ask("SELECT").verdict(), (ErrorCode::UnknownOutcome, false));
    assert_eq!(weak.so_far(), []);
    strong.follow(echo());
    client.assert_usable();
}

/// Where outcomes are recorded, a statement is repeated at another server of the same database, under its own id and
/// marked as a repeat. A server of another database is not even admitted, whoever comes first.
#[test]
fn a_statement_is_repeated_in_its_own_database() {
    let lab = Lab::new(&[]);
    let plan = |id: &str, time, database: &str| Plan { time, database: Some(database.to_owned()), ..Plan::new(id) };
    let _lost = lab.planned(plan("lost", 0.0, "ours"), hangs_up());
    lab.until_state("lost", "idle");
    let repeats: Script = Arc::new(|ask: &mut Ask<'_>| {
        let body = format!("{} {} repeated={}", ask.text, ask.request, ask.prefix.repeated());
        ask.answer(body.as_bytes());
    });
    let _same = lab.planned(plan("same", 0.2, "ours"), repeats);
    lab.until_state("same", "idle");
    let other = FakeServer::start(plan("other", 0.1, "theirs"), echo());
    lab.registry.register(other.entry()).unwrap();
    lab.until_event(
        "the stranger",
        |event| matches!(event, Event::ServerNotBelieved { server, .. } if server == "other"),
    );
    let mut client = lab.client();
    let id = client.sql("INSERT");
    let text = client.answer(id).text().to_string();
    assert!(text.contains("INSERT") && text.ends_with("repeated=true"), "{text}");
    assert_eq!(other.so_far(), []);
}

/// After a doubt, only what a server says of the statement itself is certain.
#[test]
fn after_a_doubt_failures_are_indefinite() {
    for (code, expected) in [
        (ErrorCode::SqlError, (ErrorCode::SqlError, true)),
        (ErrorCode::Timeout, (ErrorCode::UnknownOutcome, false)),
        (ErrorCode::Internal, (ErrorCode::UnknownOutcome, false)),
    ] {
        let lab = Lab::new(&[]);
        let plan = |id: &str, time| Plan { time, database: Some("ours".to_owned()), ..Plan::new(id) };
        let _lost = lab.planned(plan("lost", 0.0), hangs_up());
        let _same = lab.planned(plan("same", 0.1), refuses(code));
        lab.until_state("lost", "idle");
        lab.until_state("same", "idle");
        assert_eq!(lab.client().ask("INSERT").verdict(), expected);
    }
}

/// Full or ending: another server has it, whatever it is.
#[test]
fn refused_because_the_server_is_busy_or_ending() {
    for code in [ErrorCode::Busy, ErrorCode::Draining] {
        let (lab, strong, _weak) = strong_and_weak(refuses(code));
        let mut client = lab.client();
        answered_by_the_weaker(&client.ask("INSERT"));
        lab.until_state("strong", "idle");
        answered_by_the_weaker(&client.fetch("file"));
        assert_eq!(strong.so_far().len(), 2);
    }
}

/// The only server is busy with something else for a moment: it is asked how it is doing, not hammered.
#[test]
fn refused_by_the_only_server() {
    let lab = Lab::new(&[]);
    let times = AtomicU32::new(0);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            if times.fetch_add(1, SeqCst) < 3 {
                ask.fail(&Failure::definite(ErrorCode::Busy, "Not now."));
            } else {
                ask.echo();
            }
        }),
    );
    assert!(lab.client().ask("INSERT").text().contains("INSERT"));
    assert_eq!(server.so_far().len(), 4);
}

/// An answer that is an error of the request's own is passed on, and never retried.
#[test]
fn errors_of_the_request_are_passed_on() {
    let (lab, strong, weak) = strong_and_weak(echo());
    let mut client = lab.client();
    for code in [ErrorCode::NotFound, ErrorCode::SqlError, ErrorCode::Forbidden, ErrorCode::TooLarge] {
        strong.follow(refuses(code));
        assert_eq!(client.fetch("file").verdict(), (code, true));
        assert_eq!(client.ask("SELECT").verdict(), (code, true));
        assert_eq!(weak.so_far(), []);
        assert_eq!(lab.status("strong").unwrap().state, "idle");
    }
}

/// A request that every server is lost with stops after a handful, each of another server.
#[test]
fn attempts_are_limited_and_each_is_at_another_server() {
    let lab = Lab::new(&[]);
    let servers: Vec<_> = (1..=MAX_ATTEMPTS + 2).map(|n| lab.server(&n.to_string(), hangs_up())).collect();
    let mut client = lab.client();
    let failure = client.fetch("file").failure();
    assert_eq!((failure.code, failure.definite, failure.attempts), (ErrorCode::Unavailable, true, MAX_ATTEMPTS));
    let asked: Vec<usize> = servers.iter().map(|server| server.so_far().len()).collect();
    assert_eq!(asked.iter().sum::<usize>(), MAX_ATTEMPTS as usize, "{asked:?}");
    assert!(asked.iter().all(|times| *times <= 1), "{asked:?}");
}

/// The only server is lost with each request, but comes back: it gets the request again, and again in the end not.
#[test]
fn attempts_at_the_only_server() {
    let lab = Lab::new(&[]);
    let server = lab.planned(Plan::new("1"), hangs_up());
    let mut client = lab.client();
    assert_eq!(client.fetch("file").failure().attempts, MAX_ATTEMPTS);
    assert_eq!(server.so_far().len(), MAX_ATTEMPTS as usize);
    server.follow(echo());
    client.assert_usable();
}
