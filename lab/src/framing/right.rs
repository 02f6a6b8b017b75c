//! Two relays that do not guess.

use super::relay::connect;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
};

/// How a message begins: with the length of the rest, in four bytes, the highest first.
pub const PREFIX: usize = 4;
/// The longest message in bytes. A longer one is an error at once, and not after it was believed.
pub const LONGEST: u32 = 64 * 1024 * 1024;

/// Bytes in both directions at once, each until its end, which is passed on behind the last byte. No message is known here.
///
/// (The load balancer's own, `loadbalancer/src/frontend/tcp/pump.rs`, needs one thread for both directions, lets the
/// kernel move large flows, and passes a reset on as a reset.)
///
/// # Errors
/// If a connection breaks or cannot be made.
pub fn streams(client: &TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = &connect(server)?;
    thread::scope(|both| {
        let down = thread::Builder::new().name("down".into()).spawn_scoped(both, || pass(server, client))?;
        let up = pass(client, server);
        down.join().map_err(|_| io::Error::other("the way back has panicked"))?.and(up)
    })
}

/// Everything from one side to the other, and then its end. If that breaks, both are over: the other way must not wait.
fn pass(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let passed = io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write));
    passed.inspect_err(|_| {
        for side in [from, to] {
            let _over_already = side.shutdown(Shutdown::Both);
        }
    })
}

/// Message by message, each as long as it says: a request to the server, its answer back, until the client has no more.
///
/// # Errors
/// If a connection breaks or cannot be made, ends within a message, or a message is too long.
pub fn framed(client: &TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = connect(server)?;
    while message(client, &server)? {
        if !message(&server, client)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Passes one message on; false if the end came instead, between two messages.
fn message(mut from: impl Read, mut to: impl Write) -> io::Result<bool> {
    let mut prefix = [0; PREFIX];
    if from.read(&mut prefix[..1])? == 0 {
        return Ok(false);
    }
    from.read_exact(&mut prefix[1..])?;
    let length = u32::from_be_bytes(prefix);
    if length > LONGEST {
        return Err(io::Error::other(format!("a message of {length} bytes")));
    }
    to.write_all(&prefix)?;
    // Passed on as it comes: memory does not grow with what is claimed.
    let passed = io::copy(&mut from.take(u64::from(length)), &mut to)?;
    if passed < u64::from(length) { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a byte at a time, however much is asked for.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = into.len().min(1);
            self.0.read(&mut into[..length])
        }
    }

    #[test]
    fn a_message_is_as_long_as_it_says_however_it_comes() {
        let two = [&[0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0]].concat();
        let (mut from, mut to) = (Drops(&two), Vec::new());
        assert!(message(&mut from, &mut to).unwrap());
        assert_eq!(to, two[..7]);
        assert!(message(&mut from, &mut to).unwrap());
        assert_eq!(to, two);
        assert!(!message(&mut from, &mut to).unwrap(), "an end between two messages is an end in order");
    }

    #[test]
    fn a_message_that_ends_too_soon_or_claims_too_much_is_an_error() {
        let whole = [&[0, 0, 0, 3][..], b"abc"].concat();
        for length in 1..whole.len() {
            assert!(message(&whole[..length], io::sink()).is_err(), "{length} bytes of 7");
        }
        assert!(message(&[255; 100][..], io::sink()).is_err());
    }
}
