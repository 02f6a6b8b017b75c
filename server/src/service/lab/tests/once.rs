//! The same request more than once, over sockets.

use super::*;
use protocol::frame::FLAG_REPEATED;
use std::sync::Barrier;

/// Another server on the database of the first.
fn beside(first: &Fixture) -> Fixture {
    start(|config| {
        config.id = "2".into();
        config.registry = first.folder.path().join("servers.json");
        config.database = Some(DatabaseConfig::Sqlite { path: first.folder.path().join("database.sqlite") });
    })
}

fn ask_as(client: &mut Client, request: RequestId, flags: u16, sql: &str) -> RequestId {
    client.ask(Kind::Query, flags, &query_header_of(request), sql.as_bytes())
}

/// The frames of an answer as they came, but for what names the attempt and the server.
fn frames(client: &mut Client, request: RequestId, flags: u16, sql: &str) -> Vec<(Kind, String, Vec<u8>)> {
    let id = ask_as(client, request, flags, sql);
    let mut frames = Vec::new();
    loop {
        let frame = client.frame().unwrap();
        assert_eq!(frame.id, id);
        let header = String::from_utf8(frame.header).unwrap().replace("\"server\":\"2\"", "\"server\":\"1\"");
        frames.push((frame.kind, header, frame.body));
        if frame.kind.ends_an_answer() {
            return frames;
        }
    }
}

#[test]
fn a_repeat_is_answered_to_the_byte_like_the_first_time_at_either_server() {
    let first = start(|_| ());
    let second = beside(&first);
    let (mut one, mut two) = (first.client(), second.client());
    one.sql("CREATE TABLE t (a UNIQUE, b)").end.unwrap();
    let much = "INSERT INTO t SELECT x, hex(randomblob(300)) FROM c LIMIT 900 RETURNING *, random()";
    for sql in [
        "CREATE TABLE u (a)",
        "INSERT INTO t VALUES (0, NULL), (-1, 0.5)",
        "INSERT INTO t VALUES (0, 'again')",
        "INSERT INTO t VALUES (-3, x'00ff') RETURNING b AS \"a title\", random()",
        "DELETE FROM t WHERE a = 'none' RETURNING a",
        &format!("{FOR_EVER} {much}"),
        "DROP TABLE u",
    ] {
        let request = fresh_id();
        let answer = frames(&mut one, request, 0, sql);
        for client in [&mut one, &mut two] {
            for flags in [FLAG_REPEATED, 0] {
                // Without the mark, what cannot be compiled any more is told so.
                if flags == FLAG_REPEATED || sql.contains(" t ") {
                    assert!(frames(client, request, flags, sql) == answer, "{sql}");
                }
            }
        }
        let returns = sql.contains("RETURNING");
        assert_eq!(answer[0].1.contains("\"recorded\":true"), returns, "{sql}: {}", answer[0].1);
    }
    assert_eq!(one.sql("SELECT count(*) FROM t").rows(), [[Value::Integer(903)]]);
    assert!(!frames(&mut one, fresh_id(), 0, "SELECT 1")[0].1.contains("recorded"));
}

#[test]
fn two_servers_that_get_the_same_requests_at_the_same_moment_carry_each_out_once() {
    const CLIENTS: u64 = 4;
    const EACH: u64 = 25;
    let first = start(|config| config.capacity = 100);
    let second = beside(&first);
    first.client().sql("CREATE TABLE t (a, place INTEGER PRIMARY KEY)").end.unwrap();
    let pair = || {
        let (requests, together) = ((0..EACH).map(|_| fresh_id()).collect::<Vec<_>>(), Barrier::new(2));
        let one = |server: &Fixture, flags| -> Vec<_> {
            let mut client = server.client();
            let ask = |request: &RequestId| {
                together.wait();
                frames(&mut client, *request, flags, "INSERT INTO t (a) VALUES (random()) RETURNING *")
            };
            requests.iter().map(ask).collect()
        };
        thread::scope(|scope| {
            let other = scope.spawn(|| one(&second, FLAG_REPEATED));
            // The second server takes one request at a time.
            let (here, mut there) = (one(&first, 0), other.join().unwrap());
            for (n, (here, there)) in here.iter().zip(&mut there).enumerate() {
                while there[0].1.contains("\"busy\"") {
                    *there = frames(
                        &mut second.client(),
                        requests[n],
                        FLAG_REPEATED,
                        "INSERT INTO t (a) VALUES (random()) RETURNING *",
                    );
                }
                assert!(here == there, "{here:?} {there:?}");
            }
        });
    };
    thread::scope(|scope| (0..CLIENTS).for_each(|_| drop(scope.spawn(pair))));
    let count = first.client().sql("SELECT count(*) FROM t").rows();
    assert_eq!(count, [[Value::Integer((CLIENTS * EACH) as i64)]]);
}

#[test]
fn a_writer_that_waits_for_the_lock_of_a_stopped_process_notices_time_cancellation_and_silence() {
    let server = start(|config| config.statement_time = Duration::from_millis(300));
    let stopped = rusqlite::Connection::open(server.folder.path().join("database.sqlite")).unwrap();
    stopped.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (mut client, sql) = (server.client(), "INSERT INTO COLORS VALUES (1, 2, 3)");
    let failure = client.sql(sql).end.unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::Timeout, true), "{failure:?}");
    let id = ask_as(&mut client, fresh_id(), FLAG_REPEATED, sql);
    let failure = client.answer(id).end.unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::Timeout, false), "{failure:?}");

    let patient = beside(&server);
    let mut client = patient.client();
    let id = client.query(sql);
    patient.until_active(1);
    client.cancel(id);
    let failure = client.answer(id).end.unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::Cancelled, true));
    client.query(sql);
    patient.until_active(1);
    drop(client);
    patient.until_active(0);
    // And when the process goes on, so does the next writer, and nothing of the others is left.
    let mut client = patient.client();
    let id = client.query(sql);
    patient.until_active(1);
    stopped.execute_batch("COMMIT").unwrap();
    assert!(client.answer(id).end.is_ok());
    assert_eq!(client.sql("SELECT count(*) FROM COLORS WHERE Name = 1").rows(), [[Value::Integer(1)]]);
}

#[test]
fn a_server_says_which_database_it_has() {
    let first = start(|_| ());
    let (second, other) = (beside(&first), start(|_| ()));
    let database = |server: &Fixture| {
        Control::connect(server.running.control(), LONG).unwrap().identify(LONG).unwrap().database.unwrap()
    };
    assert_eq!(database(&first), database(&second));
    assert_ne!(database(&first), database(&other));
    assert_eq!(database(&first).len(), 36);
}

#[test]
fn a_repeat_that_is_not_begun_is_not_called_definite() {
    let server = start(|config| config.processing_time = 60.0);
    let mut busy = server.client();
    let id = busy.query("SELECT 1");
    server.until_active(1);
    let mut client = server.client();
    for (flags, definite) in [(0, true), (FLAG_REPEATED, false), (FLAG_REPEATED | FLAG_READ_ONLY, true)] {
        let id = ask_as(&mut client, fresh_id(), flags, "DELETE FROM COLORS");
        let failure = client.answer(id).end.unwrap_err();
        assert_eq!((failure.code, failure.definite), (ErrorCode::Busy, definite));
    }
    let id_of_file = client.ask(Kind::File, FLAG_REPEATED, &to_header(&file_request("x")), &[]);
    assert!(client.answer(id_of_file).end.unwrap_err().definite, "a file that is not sent changes nothing");
    busy.cancel(id);
    assert_eq!(busy.answer(id).code(), ErrorCode::Cancelled);
}

#[test]
fn an_id_that_is_too_old_is_refused_and_its_statement_not_carried_out() {
    let server = start(|_| ());
    let mut client = server.client();
    for request in [RequestId { client: 9, sequence: 9 }, RequestId { client: u64::MAX, sequence: 1 }] {
        let id = ask_as(&mut client, request, 0, "DELETE FROM COLORS");
        let failure = client.answer(id).end.unwrap_err();
        assert_eq!((failure.code, failure.definite), (ErrorCode::Expired, false));
    }
    let header = QueryRequest { request: fresh_id(), client: String::new(), timeout_ms: None, low_water: u64::MAX };
    let id = client.ask(Kind::Query, 0, &to_header(&header), b"DELETE FROM COLORS");
    assert_eq!(client.answer(id).code(), ErrorCode::Expired);
    assert_eq!(client.sql("SELECT count(*) FROM COLORS").rows(), [[Value::Integer(139)]]);
}
