//! Requests that can be read in two ways, with nginx behind: whatever the frontend makes of them, nginx sees as many requests
//! as the client was answered, and never the one that was hidden in a body.

use crate::{
    front::Front,
    kit::{LONG, World, eventually},
    nginx::Nginx,
    programs::are_here,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

/// What is hidden.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// What stands behind `POST /method HTTP/1.1`, `Host: a` and `Connection: close`, up to the hidden request.
const CASES: [&str; 24] = [
    "Content-Length: 33\r\n\r\n",
    "Content-Length: 0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: CHUNKED\r\n\r\n00\r\n\r\n",
    "Transfer-Encoding:\tchunked\t\r\n\r\n0;a=\"b\"\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 33\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nX: 1\r\n\r\n",
    "Transfer_Encoding: chunked\r\n\r\n",
    "Content_Length: 34\r\n\r\n",
    "X-Content-Length: 33\r\n\r\n",
    "Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AA\r\n\r\n",
    "Connection: content-length\r\nContent-Length: 33\r\n\r\n",
    "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 33\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 33\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 33\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 33\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 33\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 33\r\nContent-Length: 0\r\n\r\n",
    "Content-Length: +33\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n",
    "X: \0\r\nContent-Length: 33\r\n\r\n",
];

#[test]
fn nginx_sees_no_more_requests_than_were_answered() {
    if !are_here(&["nginx"]) {
        return;
    }
    let nginx = Nginx::start();
    let front = Front::http(World::new(), &[nginx.address]);
    let seen = || nginx.seen().len();
    let (mut before, mut passed) = (seen(), 0);
    for case in CASES {
        let begin = "POST /method HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
        let heard = say(front.address, &format!("{begin}{case}{HIDDEN}"));
        assert!(heard.matches("HTTP/1.1 ").count() == 1 && heard.contains("Connection: close"), "{case:?}: {heard}");
        let answered = usize::from(heard.ends_with("\r\n\r\nPOST"));
        // What nginx has answered it writes down at once, but not before the answer.
        eventually("nginx has written it down", || seen() >= before + answered);
        passed += answered;
        before += answered;
    }
    // One more, so that whatever came before it has been written down, too.
    assert!(say(front.address, "GET /method HTTP/1.0\r\n\r\n").ends_with("GET"));
    eventually("nginx has written the last one down", || {
        nginx.seen().iter().any(|line| line.starts_with("GET /method"))
    });
    let lines = nginx.seen();
    assert_eq!(lines.len(), before + 1, "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains("hidden")), "{lines:#?}");
    assert!((8..CASES.len() - 8).contains(&passed), "{passed} were passed on: too few, or too many, to say anything");
}

fn say(front: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(front).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // Whoever is refused may find the connection closed already.
    let _refused = stream.write_all(text.as_bytes());
    let mut heard = Vec::new();
    let _reset = stream.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}
