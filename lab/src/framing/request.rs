//! What a client sends, how it sends it, and what comes back.

use super::right::PREFIX;
use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

/// A request to an echo server: bytes, in pieces.
#[derive(Clone, Debug)]
pub struct Request {
    /// The length of each piece; each is written at once.
    pub pieces: Vec<usize>,
    /// How long the client waits between two pieces.
    pub pause: Duration,
    /// Whether the client ends its half of the connection behind the last piece.
    pub ends: bool,
    /// Whether it begins with its length. Then the first piece is longer by that.
    pub framed: bool,
}

/// What a client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every byte came back.
    Whole,
    /// Fewer came back, and then the end.
    Lost(usize),
    /// Nothing came back but the end: the client knows that something is wrong.
    Ended,
    /// Nothing came, not even an end.
    NoAnswer,
    /// So many came, and then nothing.
    Stuck(usize),
    /// Other bytes than were sent.
    Wrong,
}

impl Request {
    /// In one piece.
    #[must_use]
    pub fn of(length: usize) -> Self {
        Self::in_pieces(&[length], Duration::ZERO)
    }

    /// In several, with a pause between them.
    #[must_use]
    pub fn in_pieces(pieces: &[usize], pause: Duration) -> Self {
        Self { pieces: pieces.to_vec(), pause, ends: false, framed: false }
    }

    /// How many bytes are to come back.
    fn expected(&self) -> usize {
        self.pieces.iter().sum::<usize>() + if self.framed { PREFIX } else { 0 }
    }

    fn bytes(&self) -> Vec<u8> {
        let length: usize = self.pieces.iter().sum();
        // A period that is no multiple of any buffer, so that a gap is noticed.
        let body = (0..length).map(|at| (at % 251) as u8);
        let prefix = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        prefix.into_iter().filter(|_| self.framed).chain(body).collect()
    }

    /// Sends it there, and waits for what comes back as long as anything does within `patience`.
    ///
    /// # Errors
    /// If nobody accepts.
    pub fn ask(&self, at: SocketAddr, patience: Duration) -> io::Result<Outcome> {
        let stream = TcpStream::connect_timeout(&at, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let bytes = self.bytes();
        thread::scope(|client| {
            let reader = thread::Builder::new().name("client".into());
            let reader = reader.spawn_scoped(client, || answer(&stream, self.expected()))?;
            // Whoever has stopped listening is seen by the reader.
            let _not_taken = self.send(&stream, &bytes);
            let (came, end) = reader.join().map_err(|_| io::Error::other("the reader has panicked"))?;
            Ok(outcome(&bytes, &came, end))
        })
    }

    fn send(&self, mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        for (number, length) in self.pieces.iter().enumerate() {
            if number > 0 {
                thread::park_timeout(self.pause);
            }
            let length = length + if self.framed && number == 0 { PREFIX } else { 0 };
            let (piece, after) = rest.split_at(length.min(rest.len()));
            stream.write_all(piece)?;
            rest = after;
        }
        if self.ends { stream.shutdown(Shutdown::Write) } else { Ok(()) }
    }
}

/// How reading came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All that was expected was there.
    Enough,
    /// The other side has ended the connection, in order or not.
    Ended,
    /// Nothing came for too long.
    Silence,
}

fn answer(mut stream: &TcpStream, expected: usize) -> (Vec<u8>, End) {
    let (mut came, mut block) = (Vec::new(), vec![0; 64 * 1024]);
    while came.len() < expected {
        match stream.read(&mut block) {
            Ok(0) => return (came, End::Ended),
            Ok(length) => came.extend_from_slice(&block[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return (came, End::Silence);
            }
            Err(_) => return (came, End::Ended),
        }
    }
    (came, End::Enough)
}

fn outcome(sent: &[u8], came: &[u8], end: End) -> Outcome {
    match (end, came.len()) {
        _ if !sent.starts_with(came) => Outcome::Wrong,
        (End::Enough, _) => Outcome::Whole,
        (End::Ended, 0) => Outcome::Ended,
        (End::Ended, length) => Outcome::Lost(sent.len() - length),
        (End::Silence, 0) => Outcome::NoAnswer,
        (End::Silence, length) => Outcome::Stuck(length),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Lost(bytes) => write!(f, "LOST {}", grouped(*bytes)),
            Self::Ended => f.write_str("ended"),
            Self::NoAnswer => f.write_str("NO ANSWER"),
            Self::Stuck(bytes) => write!(f, "STUCK after {}", grouped(*bytes)),
            Self::Wrong => f.write_str("OTHER BYTES"),
        }
    }
}

/// A number with a comma before every three digits.
#[must_use]
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let comma = |at: usize| at > 0 && (digits.len() - at).is_multiple_of(3);
    digits.char_indices().flat_map(|(at, digit)| comma(at).then_some(',').into_iter().chain([digit])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_told_by_how_much_and_how_it_ended() {
        let sent = b"abcdef";
        for (came, end, wanted) in [
            (&b"abcdef"[..], End::Enough, Outcome::Whole),
            (b"ab", End::Ended, Outcome::Lost(4)),
            (b"", End::Ended, Outcome::Ended),
            (b"", End::Silence, Outcome::NoAnswer),
            (b"abc", End::Silence, Outcome::Stuck(3)),
            (b"abd", End::Ended, Outcome::Wrong),
        ] {
            assert_eq!(outcome(sent, came, end), wanted);
        }
    }

    #[test]
    fn a_framed_request_begins_with_its_length() {
        let request = Request { framed: true, ..Request::of(1_025) };
        let bytes = request.bytes();
        assert_eq!((bytes.len(), &bytes[..6]), (1_029, &[0, 0, 4, 1, 0, 1][..]));
        assert_eq!(request.expected(), 1_029);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_024, 10_000_000].map(grouped), ["0", "999", "1,024", "10,000,000"]);
    }
}
