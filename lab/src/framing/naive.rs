//! The relay as everybody writes it first: it guesses where a message ends.
//!
//! What is wrong here is meant to be wrong; the right ways are in [`right`](super::right).

use super::relay::connect;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

/// What is read at once, in bytes.
pub const CHUNK: usize = 1_024;

/// Most bytes that are taken for one message. The classroom's relay has no limit; ours must not be a hole.
const MOST: usize = 64 * 1024 * 1024;

/// How it guesses that a message is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// When nothing comes any more: at the end of the other side's half of the connection.
    UntilNothing,
    /// At the first chunk that is shorter than it might be.
    UntilShort,
}

/// Reads "a message".
///
/// # Errors
/// If the connection breaks, or the message is too long.
pub fn receive(from: &mut impl Read, guess: Guess) -> io::Result<Vec<u8>> {
    let (mut message, mut chunk) = (Vec::new(), [0; CHUNK]);
    while message.len() <= MOST {
        let length = from.read(&mut chunk)?;
        message.extend_from_slice(&chunk[..length]);
        let is_over = match guess {
            Guess::UntilNothing => length == 0,
            Guess::UntilShort => length < CHUNK,
        };
        if is_over {
            return Ok(message);
        }
    }
    Err(io::Error::other("a message of more than 64 MiB"))
}

/// One request, one answer, and the connection is over.
///
/// # Errors
/// If a connection breaks or cannot be made. Nobody tells the client: it is left where it is.
pub fn relay(mut client: &TcpStream, server: SocketAddr, guess: Guess) -> io::Result<()> {
    let request = receive(&mut client, guess)?;
    let mut server = connect(server)?;
    server.write_all(&request)?;
    let answer = receive(&mut server, guess)?;
    client.write_all(&answer)
}

/// What becomes of a client whose request has failed: the classroom's thread ends with an error on its terminal, and nobody
/// closes the connection. So it stays until the client has had enough.
pub fn forget(mut client: &TcpStream) {
    let _until_it_goes = io::copy(&mut client, &mut io::sink());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chunks as `recv` would return them; when there are no more it would wait, which is an error here.
    struct Arriving(Vec<usize>);

    impl Read for Arriving {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let length = self.0.remove(0);
            into[..length].fill(b'x');
            Ok(length)
        }
    }

    fn got(guess: Guess, chunks: &[usize]) -> Option<usize> {
        receive(&mut Arriving(chunks.to_vec()), guess).ok().map(|message| message.len())
    }

    #[test]
    fn until_nothing_comes_waits_for_an_end_that_does_not_come() {
        assert_eq!(got(Guess::UntilNothing, &[100]), None);
        assert_eq!(got(Guess::UntilNothing, &[1_024, 7]), None);
        assert_eq!(got(Guess::UntilNothing, &[1_024, 7, 0]), Some(1_031));
    }

    #[test]
    fn until_a_short_chunk_fails_at_multiples_and_at_what_is_late() {
        for (chunks, wanted) in [(&[1][..], 1), (&[1_023], 1_023), (&[1_024, 1], 1_025)] {
            assert_eq!(got(Guess::UntilShort, chunks), Some(wanted));
        }
        assert_eq!(got(Guess::UntilShort, &[1_024]), None, "never answered");
        assert_eq!(got(Guess::UntilShort, &[1_024, 1_024]), None, "never answered");
        assert_eq!(got(Guess::UntilShort, &[100, 1_024]), Some(100), "the rest is lost");
    }
}
