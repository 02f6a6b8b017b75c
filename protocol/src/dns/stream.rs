//! Messages over TCP: each behind its length in two bytes (RFC 1035 §4.2.2, RFC 7766).

use super::MAX_MESSAGE;
use crate::{
    deadline::{Deadline, Phase},
    wire::{Connection, WireError},
};
use std::time::Duration;

/// Receives the next message. Waits for its first byte until `first` (for ever if there is no deadline), then gives it this
/// much time to arrive. `None` if the peer has ended the connection before it.
///
/// # Errors
/// A deadline, or an end in the middle. Then the connection is of no further use.
pub fn receive(
    connection: &mut Connection,
    first: Option<Deadline>,
    rest: Duration,
) -> Result<Option<Vec<u8>>, WireError> {
    let mut length = [0; 2];
    if connection.read_some(&mut length[..1], Phase::Idle, first)? == 0 {
        return Ok(None);
    }
    let deadline = Some(Deadline::after(rest));
    let mut read_all = |into: &mut [u8]| {
        let mut got = 0;
        while got < into.len() {
            match connection.read_some(&mut into[got..], Phase::Body, deadline)? {
                0 => return Err(WireError::closed(connection.peer(), Phase::Body)),
                n => got += n,
            }
        }
        Ok(())
    };
    read_all(&mut length[1..])?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    read_all(&mut message)?;
    Ok(Some(message))
}

/// Sends a message, in one write with its length.
///
/// # Errors
/// If the peer is gone or takes nothing. A message over 65,535 bytes is cut off here; nobody makes one.
pub fn send(connection: &mut Connection, message: &[u8]) -> Result<(), WireError> {
    let message = &message[..message.len().min(MAX_MESSAGE)];
    connection.send_parts(&[&(message.len() as u16).to_be_bytes(), message])
}
