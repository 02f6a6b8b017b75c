//! A read whose statements are all reported done, and whose end does not come.

use super::{opening::WELCOME, *};
use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

/// What ends a batch of statements of our own, and a read.
const SYNC: &[u8] = b"S\0\0\0\x04";
const CALL: &[u8] = b"F\0\0\0\x0e\0\0\x0b\x4c\0\0\0\0\0\0";

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, body].concat()
}

fn done(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

/// The answer to a question for one text.
fn answer(value: &str) -> Vec<u8> {
    let column = b"\0\x01x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    let row = [&[0, 1][..], &length, value.as_bytes()].concat();
    [message(b'T', column), message(b'D', &row), done("SELECT 1")].concat()
}

fn read_up_to(stream: &mut TcpStream, end: &[u8]) -> io::Result<()> {
    let mut come = Vec::new();
    while !come.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        come.extend(byte);
    }
    Ok(())
}

/// A wish to cancel was noticed while the database noted that the last statement of the batch is done. It skips the call behind it, up to a
/// Sync; or it was the call that failed, and the end comes after all.
#[test]
fn a_read_is_answered_though_the_end_of_its_batch_does_not_come() {
    for (end, then) in [(vec![], "silence"), (message(b'Z', b"I"), "the end")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let account = Account { host: "127.0.0.1".into(), port, tls: Tls::Disable, ..admin() };
        let place = Place { account, identity: "x".into(), key: "\\x".into() };
        let (is_closed, closed) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(WELCOME).unwrap();
                // Who it is, and whether locks may be released.
                for said in ["x", "1"] {
                    read_up_to(&mut stream, SYNC).unwrap();
                    stream.write_all(&[answer(said), message(b'Z', b"I")].concat()).unwrap();
                }
                read_up_to(&mut stream, CALL).unwrap();
                let refused = message(b'E', b"SERROR\0C57014\0Mcanceling statement due to user request\0\0");
                let all = [done("BEGIN"), answer("42"), done("ROLLBACK"), done("DEALLOCATE ALL"), refused, end];
                stream.write_all(&all.concat()).unwrap();
                let _until_it_is_closed = stream.read_to_end(&mut Vec::new());
                is_closed.send(()).unwrap();
            });
            let in_time = ByTime::after(LONG);
            let mut connection = Connection::open(&place, &in_time).unwrap();
            let mut sink = Sink::default();
            let read = connection.read("SELECT 42", &in_time, &mut sink);
            assert!(matches!(read, Ok(Read::Done(Outcome::Rows { rows: 1 }))), "{then}: {:?}", read.err());
            assert_eq!(sink.rows, [[text("42")]], "{then}");
            assert!(!connection.is_fit(), "{then}: nobody knows what comes next");
            // Locks are held as long as the session is there, and one that is not fit may lie in the pool for long.
            closed.recv_timeout(LONG).unwrap();
        });
    }
}

#[test]
fn a_database_in_which_locks_cannot_be_released_is_refused_with_what_to_do() {
    let Some(fixture) = fixture() else { return };
    let unlock = "EXECUTE ON FUNCTION pg_catalog.pg_advisory_unlock_all()";
    fixture.inside(&format!("REVOKE {unlock} FROM PUBLIC"));
    let error = Postgres::open(&fixture.account).err().expect("each read would cost a connection").to_string();
    assert!(error.contains(&format!("GRANT {unlock} TO PUBLIC")), "{error}");
    // A server that is there already finds it out at its next connection, and it is no outcome of a statement.
    let user = &fixture.account.user;
    fixture.inside(&format!("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '{user}'"));
    let failure = ask(&fixture.db, &again("SELECT 1", id(client(), 1))).unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::Unavailable, false), "{failure:?}");
    assert!(failure.message.contains(unlock), "{failure:?}");
    fixture.inside(&format!("GRANT {unlock} TO PUBLIC"));
    assert_eq!(fixture.number("SELECT 1"), 1);
}
