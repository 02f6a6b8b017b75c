//! Bytes in both directions at once, until both have ended.
//!
//! **The problem.** A relay does not know where a message ends, and need not. The naive one reads from the client, writes to
//! the server, reads from the server, writes to the client: it hangs as soon as one side says two things in a row. Asking
//! "was this chunk shorter than my buffer?" to find the end of a message is worse: it works until a packet is late.
//!
//! **The idea.** Two *ways*, each with a buffer of its own: what has come on one connection goes out on the other, whenever
//! it comes. One thread serves both, because it waits for both sockets at once (`poll`). When one side ends its half (FIN),
//! that end is passed on behind the last byte, and the other way goes on: a client may end its question and still wait for
//! the answer. When a side is reset, the other is reset, so that nobody takes a broken answer for a whole one.
//!
//! **Back pressure.** A way reads only when it has nothing left to write. So a slow reader slows its writer down, through
//! the kernel's buffers, and memory does not grow.
//!
//! **Large flows.** A read that fills the buffer says that more is coming. From then on that way *splices*: the kernel moves
//! its pages from one socket through a pipe into the other, and the bytes never enter the process
//! (`protocol::wire::carry` has the theory). Small messages stay with the buffer, where they cost fewer calls.
//!
//! Sources: Stevens, *UNIX Network Programming* I, §6.6 (half-close), §16.2 (both directions in one process); `splice(2)`.

use super::way::Way;
use protocol::deadline::Deadline;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use std::{
    io,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    time::Duration,
};

/// Bytes that were passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// From the client to the server.
    pub up: u64,
    /// From the server to the client.
    pub down: u64,
}

/// How a connection came to its end.
#[derive(Debug)]
pub enum Over {
    /// Both sides have ended their half, and everything was passed on.
    Done,
    /// The client's connection broke.
    Client(io::Error),
    /// The server's connection broke.
    Server(io::Error),
    /// Nothing was said for too long.
    Idle,
}

/// Passes bytes on in both directions until both have ended, one side breaks, or nothing is said for `idle`. Whatever the
/// reason, both connections are over when this returns; a side that broke is passed on as a reset.
pub fn pump(client: &TcpStream, server: &TcpStream, idle: Duration) -> (Flow, Over) {
    let (mut up, mut down) = (Way::default(), Way::default());
    let over = match both_waiting_never(client, server) {
        Ok(()) => run(client, server, &mut up, &mut down, idle),
        Err(error) => Over::Client(error),
    };
    match &over {
        Over::Done => {}
        Over::Client(_) => reset(server),
        Over::Server(_) => reset(client),
        Over::Idle => [client, server].into_iter().for_each(end),
    }
    (Flow { up: up.passed(), down: down.passed() }, over)
}

fn both_waiting_never(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    client.set_nonblocking(true)?;
    server.set_nonblocking(true)
}

fn run(client: &TcpStream, server: &TcpStream, up: &mut Way, down: &mut Way, idle: Duration) -> Over {
    let mut deadline = Deadline::after(idle);
    while !(up.is_over() && down.is_over()) {
        let ready = match wait(client, server, up, down, deadline) {
            Ok(Some(ready)) => ready,
            Ok(None) => return Over::Idle,
            Err(error) => return Over::Client(error),
        };
        let before = up.passed() + down.passed();
        if (ready.client || ready.server)
            && let Err(over) = advance(client, server, up, down, ready)
        {
            return over;
        }
        if up.passed() + down.passed() > before {
            deadline = Deadline::after(idle);
        }
    }
    Over::Done
}

/// Lets each way go on as far as it can without waiting.
fn advance(client: &TcpStream, server: &TcpStream, up: &mut Way, down: &mut Way, ready: Ready) -> Result<(), Over> {
    if ready.client {
        up.read(client).map_err(Over::Client)?;
    }
    if ready.server {
        down.read(server).map_err(Over::Server)?;
    }
    up.write(server).map_err(Over::Server)?;
    down.write(client).map_err(Over::Client)
}

/// Which side can be read from, or written to.
#[derive(Clone, Copy)]
struct Ready {
    client: bool,
    server: bool,
}

/// Waits until one side can be read from or written to, as far as there is anything to do with it; `None`: the deadline
/// has passed.
fn wait(client: &TcpStream, server: &TcpStream, up: &Way, down: &Way, deadline: Deadline) -> io::Result<Option<Ready>> {
    let wish = |reads: &Way, writes: &Way| {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, reads.wants_more());
        flags.set(PollFlags::OUT, writes.has_something());
        flags
    };
    let (wishes, sockets) = ([wish(up, down), wish(down, up)], [client.as_fd(), server.as_fd()]);
    // A side from which nothing is wanted is not listened to: its end would wake us again and again.
    let mut watched = Vec::with_capacity(2);
    for (flags, socket) in wishes.iter().zip(sockets) {
        if !flags.is_empty() {
            watched.push(PollFd::from_borrowed_fd(socket, *flags));
        }
    }
    loop {
        let Ok(timeout) = Timespec::try_from(deadline.remaining()) else { return Ok(None) };
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) if deadline.has_passed() => return Ok(None),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let mut told = watched.iter().map(|fd| !fd.revents().is_empty());
    let mut ready = |flags: &PollFlags| !flags.is_empty() && told.next().unwrap_or(false);
    Ok(Some(Ready { client: ready(&wishes[0]), server: ready(&wishes[1]) }))
}

/// Ends a connection so that the other side sees that it broke.
fn reset(stream: &TcpStream) {
    let _gone_already = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn end(stream: &TcpStream) {
    let _gone_already = stream.shutdown(Shutdown::Both);
}
