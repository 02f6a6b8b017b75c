//! Bytes in both directions at once, until both have ended.
//!
//! **The problem.** A relay does not know where a message ends, and need not. The naive one reads from the client, writes to
//! the server, reads from the server, writes to the client: it hangs as soon as one side says two things in a row. Asking
//! "was this chunk shorter than my buffer?" to find the end of a message is worse: it works until a packet is late.
//!
//! **The idea.** Two *ways*, each with a buffer of its own: what has come on one connection goes out on the other, whenever
//! it comes. One thread serves both, because it waits for both sockets at once (`poll`). When one side ends its half (FIN),
//! that end is passed on behind the last byte, and the other way goes on: a client may end its question and still wait for
//! the answer. When a side is reset, the other is reset, so that nobody takes a broken answer for a whole one. The same
//! if we have cut the server's connection ourselves, because the server was declared down: an end that we made ourselves
//! looks like one of the server's, so whoever calls is asked.
//!
//! **Early answers.** "Too many connections", or 413 in the middle of an upload: the server says it, and closes. What the
//! client is still sending finds a closed door, and that must not keep the answer from it. So what a server says is passed
//! on before what it hears; and when it hears nothing any more, the rest of what the client sends is thrown away until
//! the server's answer has ended.
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
/// reason, both connections are over when this returns; a side that broke is passed on as a reset. `was_cut` says whether
/// the server's connection was ended on our side, because the server is down: that counts as a server that broke.
pub fn pump(client: &TcpStream, server: &TcpStream, idle: Duration, was_cut: &dyn Fn() -> bool) -> (Flow, Over) {
    let (mut up, mut down) = (Way::default(), Way::default());
    let over = match both_waiting_never(client, server) {
        Ok(()) => Both { client, server, up: &mut up, down: &mut down, deaf: None, was_cut }.run(idle),
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

/// Both ways of a connection, between its two sides.
struct Both<'a> {
    client: &'a TcpStream,
    server: &'a TcpStream,
    up: &'a mut Way,
    down: &'a mut Way,
    /// The server has broken while something was written to it; what it had said before is still passed on.
    deaf: Option<io::Error>,
    was_cut: &'a dyn Fn() -> bool,
}

impl Both<'_> {
    fn run(mut self, idle: Duration) -> Over {
        match self.pass_all(idle) {
            Over::Done | Over::Idle if (self.was_cut)() => Over::Server(cut()),
            over => over,
        }
    }

    fn pass_all(&mut self, idle: Duration) -> Over {
        let mut deadline = Deadline::after(idle);
        while !(self.up.is_over() && self.down.is_over()) {
            let ready = match wait(self.client, self.server, self.up, self.down, deadline) {
                Ok(Some(ready)) => ready,
                Ok(None) => return Over::Idle,
                Err(error) => return Over::Client(error),
            };
            let before = self.up.passed() + self.down.passed();
            if (ready.client || ready.server)
                && let Err(over) = self.advance(ready)
            {
                return over;
            }
            if self.up.passed() + self.down.passed() > before {
                deadline = Deadline::after(idle);
            }
        }
        self.deaf.take().map_or(Over::Done, Over::Server)
    }

    /// Lets each way go on as far as it can without waiting.
    fn advance(&mut self, ready: Ready) -> Result<(), Over> {
        if ready.client {
            self.up.read(self.client).map_err(Over::Client)?;
        }
        if ready.server && self.down.wants_more() {
            self.hear()?;
        }
        self.down.write(self.client).map_err(Over::Client)?;
        if let Err(error) = self.up.write(self.server) {
            self.up.discard();
            // A broken pipe is an end in order: the server had said that it ends. Anything else broke it.
            self.deaf = Some(error).filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        }
        Ok(())
    }

    /// Takes what the server says. Its end is not believed if it was none.
    fn hear(&mut self) -> Result<(), Over> {
        self.down.read(self.server).map_err(Over::Server)?;
        match self.deaf.take() {
            Some(error) if self.down.has_heard_the_end() => Err(Over::Server(error)),
            _ if self.down.has_heard_the_end() && (self.was_cut)() => Err(Over::Server(cut())),
            deaf => {
                self.deaf = deaf;
                Ok(())
            }
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "it was declared down")
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
