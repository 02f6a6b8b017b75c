//! Datagrams, many at a time.
//!
//! **The problem.** A system call costs more than what a small datagram asks for. Whoever takes a thousand of them one at a time
//! spends most of his time at the door of the kernel, and while he does that, the kernel has room for a few hundred only
//! and drops the rest without a word.
//!
//! **The idea.** Take all that have come in one call ([`Inbox`]), send all that is to go in one call ([`Outbox`]), give the kernel more room
//! ([`make_room`]), and look up what it has dropped all the same ([`dropped()`]). The busier it is, the more there is in a batch,
//! and the less each costs; with one datagram at a time it is as with `recv_from`.
//!
//! Datagrams that are alike and may overtake each other cost still less together (`alike.rs`).
//!
//! **On Linux** this is `recvmmsg`, `sendmmsg` and `UDP_SEGMENT`; elsewhere one datagram a call, with the same interface.
//!
//! **When it is wrong.** One inbox is one thread's: two threads with inboxes on one socket take different batches, and the order
//! between them is lost. Nothing here waits for a batch to fill up: that would trade everybody's time for throughput.
//!
//! Sources: recvmmsg(2), sendmmsg(2), udp(7), socket(7).

#[cfg(target_os = "linux")]
mod alike;
mod dropped;
mod inbox;
mod outbox;
mod room;

pub use self::{
    dropped::dropped,
    inbox::Inbox,
    outbox::{Outbox, Sent},
    room::make_room,
};

/// Most datagrams in one system call, in bytes of headers some kilobytes. Larger batches save little more: at 64 a call is
/// a few per cent of what its datagrams cost.
pub const BATCH: usize = 64;

/// Bytes in the longest datagram there is over IPv4: 65,535 less the headers of IP and UDP. What is longer over IPv6 (20
/// bytes) is left out.
pub const LONGEST: usize = 65_507;

#[cfg(test)]
mod tests;
