//! Requests that are damaged at random: whatever the frontend makes of them, an origin makes the same of what it gets.

use super::kit::{Front, Origin, hello};
use loadbalancer::event::Event;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

/// What is damaged: two requests in a row, in whose bodies a third one is hidden.
const WHOLE: [&str; 3] = [
    "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\nX: 12\r\n",
    "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n25\r\nGET /hidden HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n0\r\nX: 2\r\n\r\n",
    "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// What is put in.
const PIECES: [&str; 18] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "0",
    "1",
    "a",
    "\r\n\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "0\r\n\r\n",
];

fn damage(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..bytes.len());
        let piece = PIECES[random.usize(..PIECES.len())].bytes();
        match random.u8(..4) {
            0 => drop(bytes.splice(at..at, piece)),
            1 => drop(bytes.splice(at..(at + random.usize(1..5)).min(bytes.len()), [])),
            2 => bytes[at] = random.u8(..),
            _ => drop(bytes.splice(at..=at, piece)),
        }
    }
}

#[test]
fn an_origin_hears_as_many_requests_as_were_answered() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &[]);
    let (mut before, mut refused) = (0, 0);
    for _ in 0..600 {
        let mut bytes = WHOLE.concat().into_bytes();
        damage(&mut bytes, &mut random);
        let mut stream = TcpStream::connect(front.address).unwrap();
        let _refused = stream.write_all(&bytes);
        let _refused = stream.shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        let _reset = stream.read_to_end(&mut answers);
        let answers = String::from_utf8_lossy(&answers).into_owned();
        let answered = answers.matches("\r\n\r\nhello").count();
        // A client that has ended its half counts as gone when its answer takes long.
        let gone =
            front.events.try_iter().filter(|record| matches!(record.event, Event::RequestAbandoned { .. })).count();
        refused += usize::from(answers.contains("HTTP/1.1 4"));
        let heard = origin.heard();
        let (text, heard) = (String::from_utf8_lossy(&bytes), &heard[before..]);
        // A head with `Expect` goes to the origin before its body is read; when that is refused, the origin hears no end of it.
        let whole = heard.iter().filter(|heard| heard.whole).count();
        assert!(
            (answered..=answered + gone).contains(&whole),
            "SEED={seed}: {answered} answers, {heard:?}\n{text:?}\n{answers:?}"
        );
        assert!(heard.len() <= 4, "SEED={seed}: {text:?}");
        before += heard.len();
    }
    assert!(
        before > 100 && refused > 100,
        "SEED={seed}: {before} were heard, {refused} refused: too few to say anything"
    );
}
