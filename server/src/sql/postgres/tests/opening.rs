//! A database that says nothing while a connection is being opened.

use super::*;
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

/// How a server lets in whoever comes, and is ready for a statement.
pub(super) const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

#[test]
fn a_connection_that_nobody_waits_for_is_opened_no_further() {
    for (greeting, interrupt, code) in [
        (&b""[..], Interrupt::Gone, ErrorCode::Cancelled),
        (WELCOME, Interrupt::Gone, ErrorCode::Cancelled),
        (WELCOME, Interrupt::TimeLimit, ErrorCode::Unavailable),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let account = Account { host: "127.0.0.1".into(), port, tls: Tls::Disable, ..admin() };
        let db = Postgres::new("x".into(), Place { account, identity: "x".into(), key: "\\x".into() });
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(greeting).unwrap();
                let _until_it_is_closed = stream.read_to_end(&mut Vec::new());
            });
            let watch = after(100, interrupt);
            let error = db.run(&statement("SELECT 1"), &watch, &mut Sink::default()).unwrap_err();
            let failure = error.failure();
            assert_eq!((failure.code, failure.definite), (code, true), "{}", failure.message);
        });
        assert!(begun.elapsed() < LOGIN_TIME, "it was waited for longer than anybody wanted");
    }
}
