//! A load balancer that is broken, wrong or malicious: the client says so, never panics, and never leaves a file
//! under its final name that is not the whole and right one.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod fake;

use client::{session::Flow, status::Status};
use fake::{After, Asked, Balancer, LONG, client, client_with, error, file, frame, honest, names, rows};
use protocol::{frame::Kind, id::RequestId, wire::Connection};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

const CONTENT: &[u8] = b"Name,HEX\nWhite,#FFFFFF\n";

/// What a client makes of this answer to a request: status, stdout, stderr, and the names in its folder.
fn heard(
    request: &str,
    answer: impl Fn(RequestId) -> Vec<u8> + Send + Sync + 'static,
) -> (Status, String, String, Vec<String>) {
    let balancer = Balancer::start(move |connection, asked| {
        let _ = connection.send_raw(&answer(asked.id));
        After::Close
    });
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(balancer.address, &folder.path().join("received"));
    client.session.handle(request);
    (client.session.status(), client.out.text(), client.err.text(), names(&folder.path().join("received")))
}

#[test]
fn rows_cut_at_each_byte_are_an_unknown_outcome() {
    let whole = rows(RequestId::NONE).len();
    let cut = std::sync::Arc::new(AtomicUsize::new(0));
    let at = std::sync::Arc::clone(&cut);
    let balancer = Balancer::start(move |connection, asked| {
        let answer = rows(asked.id);
        let _ = connection.send_raw(&answer[..at.load(Ordering::SeqCst)]);
        After::Close
    });
    let folder = tempfile::tempdir().unwrap();
    for length in 0..whole {
        cut.store(length, Ordering::SeqCst);
        let mut client = client(balancer.address, folder.path());
        client.session.handle("SELECT * FROM COLORS");
        assert_eq!(client.session.status(), Status::Unknown, "cut at {length}");
        assert!(client.err.text().contains("outcome is unknown"), "cut at {length}: {}", client.err.text());
    }
    assert_eq!(balancer.requests(), whole, "SQL is never sent twice");
    cut.store(whole, Ordering::SeqCst);
    let mut client = client(balancer.address, folder.path());
    client.session.handle("SELECT * FROM COLORS");
    assert_eq!(client.session.status(), Status::Done);
    assert!(client.out.text().contains("Name: White\nHEX: #FFFFFF\n\nName: Silver\n"), "{}", client.out.text());
}

#[test]
fn a_file_cut_at_each_byte_leaves_nothing() {
    let whole = file(RequestId::NONE, CONTENT, 7).len();
    let cut = std::sync::Arc::new(AtomicUsize::new(0));
    let at = std::sync::Arc::clone(&cut);
    let balancer = Balancer::start(move |connection, asked| {
        let answer = file(asked.id, CONTENT, 7);
        let _ = connection.send_raw(&answer[..at.load(Ordering::SeqCst)]);
        After::Close
    });
    let folder = tempfile::tempdir().unwrap();
    for length in 0..whole {
        cut.store(length, Ordering::SeqCst);
        let mut client = client(balancer.address, folder.path());
        client.session.handle("file colors.csv");
        assert_eq!(client.session.status(), Status::Failed, "cut at {length}: a file that did not come is certain");
        assert_eq!(names(folder.path()), [""; 0], "cut at {length}");
    }
    cut.store(whole, Ordering::SeqCst);
    let mut client = client(balancer.address, folder.path());
    client.session.handle("file colors.csv");
    assert_eq!((client.session.status(), names(folder.path())), (Status::Done, vec!["colors.csv".to_owned()]));
    let told = client.out.text();
    for line in [
        "Sending request from client 2\n",
        "Preparing to receive the file: colors.csv\n",
        "File colors.csv received successfully!\n",
        "Answered by server 1\n",
        "Time taken: 0.",
    ] {
        assert!(told.contains(line), "{line:?} in {told}");
    }
}

#[test]
fn a_file_that_is_not_what_was_promised_is_removed() {
    let end = |id, size: usize, digest: &str| {
        frame(Kind::End, id, &format!(r#"{{"server":"1","sha256":"{digest}","size":{size}}}"#), b"")
    };
    let head = |id, size: u64| frame(Kind::Head, id, &format!(r#"{{"type":"file","name":"x","size":{size}}}"#), b"");
    let data = |id, bytes: &[u8]| frame(Kind::Data, id, &format!(r#"{{"sha256":"{}"}}"#, fake::sha256(bytes)), bytes);
    type Answer = Box<dyn Fn(RequestId) -> Vec<u8> + Send + Sync>;
    let answers: Vec<(&str, Answer)> = vec![
        ("SHA-256", Box::new(move |id| [head(id, 3), data(id, b"abc"), end(id, 3, &fake::sha256(b"abd"))].concat())),
        (
            "SHA-256",
            Box::new(move |id| {
                [head(id, 3), data(id, b"abc"), frame(Kind::End, id, r#"{"server":"1"}"#, b"")].concat()
            }),
        ),
        (
            "announced with 2 bytes",
            Box::new(move |id| [head(id, 2), data(id, b"abc"), end(id, 3, &fake::sha256(b"abc"))].concat()),
        ),
        (
            "announced with 9 bytes",
            Box::new(move |id| [head(id, 9), data(id, b"abc"), end(id, 3, &fake::sha256(b"abc"))].concat()),
        ),
        (
            "announced with 18446744073709551615",
            Box::new(move |id| [head(id, u64::MAX), data(id, b"a"), end(id, 1, &fake::sha256(b"a"))].concat()),
        ),
        (
            // Told at the chunk: the end never comes.
            "of its first 3 bytes",
            Box::new(move |id| {
                let wrong = format!(r#"{{"sha256":"{}"}}"#, fake::sha256(b"abd"));
                [head(id, 9), frame(Kind::Data, id, &wrong, b"abc")].concat()
            }),
        ),
        ("cannot be read", Box::new(move |id| [head(id, 3), frame(Kind::Data, id, "", b"abc")].concat())),
        ("no sense", Box::new(move |id| data(id, b"abc"))),
        ("no sense", Box::new(move |id| [head(id, 3), head(id, 3)].concat())),
        ("no sense", Box::new(rows)),
        (
            "file shrank",
            Box::new(move |id| [head(id, 3), data(id, b"ab"), error(id, "damaged", "The file shrank.", true)].concat()),
        ),
    ];
    for (expected, answer) in answers {
        let (status, _, err, names) = heard("file colors.csv", answer);
        assert_eq!((status, names), (Status::Failed, vec![]), "{expected}");
        assert!(err.contains(expected) || err.contains("The file shrank"), "{expected}: {err}");
    }
}

#[test]
fn answers_that_make_no_sense_are_named_and_nothing_of_them_is_believed() {
    let head = |columns: usize| {
        let titles = vec!["\"c\""; columns].join(",");
        move |id| frame(Kind::Head, id, &format!(r#"{{"type":"rows","columns":[{titles}]}}"#), b"")
    };
    let lying = |at: usize, byte: u8| {
        move |id| {
            let mut bytes = rows(id);
            bytes[at] = byte;
            bytes
        }
    };
    type Answer = Box<dyn Fn(RequestId) -> Vec<u8> + Send + Sync>;
    let answers: Vec<(&str, Answer)> = vec![
        ("3000 columns", Box::new(head(3_000))),
        (
            "a row of 1 values",
            Box::new(move |id| [head(2)(id), frame(Kind::Data, id, r#"{"rows":1}"#, b"[1]\n")].concat()),
        ),
        (
            "1 rows were announced",
            Box::new(move |id| [head(1)(id), frame(Kind::Data, id, r#"{"rows":1}"#, b"[1]\n[2]\n")].concat()),
        ),
        (
            "cannot be read",
            Box::new(move |id| [head(1)(id), frame(Kind::Data, id, r#"{"rows":1}"#, b"\xff\xfe\n")].concat()),
        ),
        ("cannot be read", Box::new(|id| frame(Kind::Head, id, r#"{"type":"moon"}"#, b""))),
        ("where none may be", Box::new(|id| frame(Kind::Pong, id, "", &[0; 68]))),
        ("does not speak the lab protocol", Box::new(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())),
        ("version 9", Box::new(lying(4, 9))),
        ("no frame of kind", Box::new(lying(5, b'?'))),
        ("a header of", Box::new(lying(24, 255))),
        ("a body of", Box::new(lying(28, 255))),
        ("does not speak the lab protocol", Box::new(lying(31, 7))),
    ];
    for (expected, answer) in answers {
        let (status, out, err, _) = heard("SELECT 1", answer);
        assert_eq!(status, Status::Unknown, "{expected}");
        assert!(err.contains(expected), "{expected}: {err}");
        assert!(!out.contains("Answered by"), "{out}");
    }
}

#[test]
fn random_bytes_never_bring_the_client_down() {
    let seed = fastrand::u64(..);
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    let balancer = Balancer::start(move |connection, asked| {
        let mut answer = if asked.kind == Kind::File { file(asked.id, CONTENT, 5) } else { rows(asked.id) };
        let mut random = random.lock().unwrap();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..answer.len());
            answer[at] = random.u8(..);
        }
        drop(random);
        let _ = connection.send_raw(&answer);
        After::Close
    });
    let folder = tempfile::tempdir().unwrap();
    for n in 0..300 {
        let mut client = client(balancer.address, folder.path());
        client.session.handle(if n % 2 == 0 { "file colors.csv" } else { "SELECT 1" });
    }
    for name in names(folder.path()) {
        assert_eq!(std::fs::read(folder.path().join(&name)).unwrap(), CONTENT, "{name}, seed {seed}");
    }
}

#[test]
fn an_answer_to_another_request_is_dropped() {
    let foreign = RequestId { client: 9, sequence: 9 };
    let (status, out, _, _) = heard("SELECT 1", move |id| {
        let late = frame(Kind::Head, foreign, r#"{"type":"rows","columns":["stolen"]}"#, b"");
        let other = error(foreign, "sql-error", "not yours", true);
        [late, other, rows(id)].concat()
    });
    assert_eq!(status, Status::Done);
    assert!(out.contains("Name: White") && !out.contains("stolen"), "{out}");
    let (status, out, _, _) = heard("SELECT 1", move |_| rows(foreign));
    assert_eq!(status, Status::Unknown);
    assert!(!out.contains("White"), "{out}");
}

#[test]
fn a_connection_that_is_refused_says_why_and_the_next_request_takes_a_new_one() {
    let first = AtomicUsize::new(0);
    let balancer = Balancer::start(move |connection, asked| {
        if first.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = connection.send_raw(&error(RequestId::NONE, "busy", "Too many connections.", true));
            return After::GoOn;
        }
        honest(connection, asked)
    });
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(balancer.address, folder.path());
    client.session.handle("INSERT");
    assert_eq!(client.session.status(), Status::Failed);
    assert!(client.err.text().contains("Too many connections."));
    client.session.handle("INSERT");
    assert!(client.out.text().contains("No output (1 row changed)\nAnswered by server 3\n"), "{}", client.out.text());
    assert_eq!(balancer.connections(), 2);
}

#[test]
fn the_connection_is_kept_and_replaced_when_it_was_lost_meanwhile() {
    let (gone, went) = mpsc::channel();
    let (closing, requests) = (AtomicUsize::new(0), Mutex::new(gone));
    let balancer = Balancer::start(move |connection, asked| {
        honest(connection, asked);
        if closing.fetch_add(1, Ordering::SeqCst) == 1 {
            let _ = connection.stream().shutdown(std::net::Shutdown::Both);
            requests.lock().unwrap().send(()).unwrap();
            return After::Close;
        }
        After::GoOn
    });
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(balancer.address, folder.path());
    client.session.handle("SELECT 1");
    client.session.handle("SELECT 2");
    assert_eq!(balancer.connections(), 1);
    went.recv_timeout(LONG).unwrap();
    client.session.handle("INSERT");
    assert_eq!((client.session.status(), balancer.connections(), balancer.requests()), (Status::Done, 2, 3));
}

#[test]
fn a_file_whose_answer_was_lost_before_it_began_is_asked_for_once_more() {
    let first = AtomicUsize::new(0);
    let balancer = Balancer::start(move |connection, asked| {
        if first.fetch_add(1, Ordering::SeqCst) == 0 { After::Close } else { honest(connection, asked) }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(balancer.address, folder.path());
    client.session.handle("file colors.csv");
    assert_eq!((client.session.status(), balancer.requests()), (Status::Done, 2));
    assert_eq!(names(folder.path()), ["colors.csv"]);
}

#[test]
fn silence_ends_at_the_deadline() {
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let balancer = Balancer::start(move |_, _| {
        let _ = held.lock().unwrap().recv_timeout(LONG);
        After::Close
    });
    let folder = tempfile::tempdir().unwrap();
    let mut client = client_with(balancer.address, folder.path(), Duration::from_millis(1), None);
    client.session.handle("SELECT 1");
    assert_eq!(client.session.status(), Status::Unknown);
    assert!(client.err.text().contains("did not answer within 2.001 s"), "{}", client.err.text());
    drop(hold);
}

/// Answers nothing until the request is taken back; then as the test wants.
fn until_cancelled(
    told: mpsc::Sender<RequestId>,
    answer: impl Fn(&mut Connection, &Asked) -> After + Send + Sync + 'static,
) -> Balancer {
    let told = Mutex::new(told);
    Balancer::start(move |connection, asked| {
        if asked.body == "SELECT 1" {
            return honest(connection, asked);
        }
        told.lock().unwrap().send(asked.id).unwrap();
        match fake::next_request(connection) {
            Some(cancel) if cancel.kind == Kind::Cancel && cancel.id == asked.id => answer(connection, asked),
            _ => After::Close,
        }
    })
}

#[test]
fn ctrl_c_takes_the_request_back_and_keeps_the_connection() {
    let (told, tells) = mpsc::channel();
    let balancer = until_cancelled(told, |connection, asked| {
        let _ = connection.send_raw(&error(asked.id, "cancelled", "Taken back.", true));
        After::GoOn
    });
    let (bell, mut rope) = client::interrupt::bell().unwrap();
    let ringer = std::thread::spawn(move || {
        tells.recv_timeout(LONG).unwrap();
        rope.ring()
    });
    let folder = tempfile::tempdir().unwrap();
    let mut client = client_with(balancer.address, folder.path(), LONG, Some(bell));
    assert_eq!(client.session.handle("SELECT slow"), Flow::Interrupted);
    assert!(ringer.join().unwrap());
    assert_eq!(client.session.status(), Status::Failed, "{}", client.err.text());
    assert!(client.err.text().contains("Taken back."));
    assert_eq!(client.session.handle("SELECT 1"), Flow::Asked);
    assert!(client.out.text().contains("White"));
    assert_eq!(balancer.connections(), 1);
}

#[test]
fn ctrl_c_that_nobody_confirms_leaves_the_outcome_open() {
    let (told, tells) = mpsc::channel();
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let balancer = until_cancelled(told, move |_, _| {
        let _ = held.lock().unwrap().recv_timeout(LONG);
        After::Close
    });
    let (bell, mut rope) = client::interrupt::bell().unwrap();
    let ringer = std::thread::spawn(move || {
        tells.recv_timeout(LONG).unwrap();
        rope.ring()
    });
    let folder = tempfile::tempdir().unwrap();
    let mut client = client_with(balancer.address, folder.path(), LONG, Some(bell));
    assert_eq!(client.session.handle("INSERT slow"), Flow::Interrupted);
    ringer.join().unwrap();
    assert_eq!(client.session.status(), Status::Unknown);
    assert!(client.err.text().contains("did not confirm it"), "{}", client.err.text());
    drop(hold);
}

#[test]
fn errors_cannot_drive_the_terminal() {
    let (_, out, err, _) = heard("SELECT 1", |id| error(id, "sql-error", r"\u001b]0;owned\u0007", true));
    assert!(!err.contains('\u{1b}') && !out.contains('\u{1b}') && err.contains("\\u{1b}"), "{err}");
}
