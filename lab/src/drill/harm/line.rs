//! A line between the load balancer and a server, on which something can go wrong.
//!
//! **The problem.** A process can be killed or stopped with a signal. A cable that is pulled cannot: nothing is
//! closed, nothing is refused, and nobody is told. What was sent may still arrive when the cable is back.
//!
//! **The idea.** The server is in the load balancer's registry under the line's two addresses, service and control.
//! Whatever arrives at one end leaves at the other, unless the line is *cut*: then bytes stay in it, in both
//! directions, and go on when it is whole again, as TCP would send them again. A line can also be *slow*: what comes
//! from the server waits a while before it goes on. Or it *refuses*: its service port is closed, as that of a server
//! whose program has lost its socket but still says that it lives. The handshake compares addresses, so the line writes its own into
//! the one frame that names one, [`Kind::Identity`].
//!
//! **Simplified.** The kernel still accepts connections and acknowledges bytes on behalf of the line, so what is
//! tried is what the *programs* do when nothing comes: deadlines, heartbeats, retries. Timeouts inside TCP
//! (`TCP_USER_TIMEOUT`) need packets that really vanish: see [`network`](super::network).

use anyhow::Context;
use parking_lot::{Condvar, Mutex};
use protocol::{
    deadline::Phase,
    frame::{Kind, Prefix},
    limits::HEADER_TIME,
    message::Identity,
    registry::Entry,
    wire::{Connection, from_header, to_header},
};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// What passes at once, in bytes.
const BLOCK: usize = 64 * 1024;
/// Stack of a thread that passes bytes on, in bytes.
const STACK: usize = 256 * 1024;

/// A line to one server. Dropping it closes everything on it.
#[derive(Debug)]
pub struct Line {
    state: Arc<State>,
    service: SocketAddr,
    control: SocketAddr,
}

#[derive(Debug, Default)]
struct State {
    /// Guards what is wrong with the line and who is on it; held for a few instructions, never while waiting.
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Now {
    cut: bool,
    delay: Duration,
    /// The service port is to be closed.
    refusing: bool,
    closed: bool,
    /// Who is on it, by which end.
    streams: Vec<(Arc<TcpStream>, Port)>,
}

impl State {
    /// Waits until the line lets something pass; false when it is closed. `answers` are what a slow line delays.
    fn pass(&self, answers: bool) -> bool {
        let begin = Instant::now();
        let mut now = self.now.lock();
        while !now.closed {
            let delay = if answers { now.delay } else { Duration::ZERO };
            let left = delay.saturating_sub(begin.elapsed());
            match (now.cut, left.is_zero()) {
                (false, true) => return true,
                (true, _) => self.changed.wait(&mut now),
                (false, false) => drop(self.changed.wait_for(&mut now, left)),
            }
        }
        false
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.now.lock());
        self.changed.notify_all();
    }

    /// Notes a connection, so that it ends with the line.
    fn note(&self, stream: &Arc<TcpStream>, port: Port) {
        let mut now = self.now.lock();
        now.streams.retain(|(other, _)| Arc::strong_count(other) > 1);
        now.streams.push((Arc::clone(stream), port));
        if now.closed || (now.refusing && port == Port::Service) {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Line {
    /// A line to the server of this entry.
    ///
    /// # Errors
    /// If there is no port or no thread for it.
    pub fn to(server: &Entry) -> anyhow::Result<Self> {
        let state = Arc::new(State::default());
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("No port for a line");
        let (service, control) = (listen()?, listen()?);
        let line = Self { state: Arc::clone(&state), service: service.local_addr()?, control: control.local_addr()? };
        let advertised = line.service;
        spawn("line-service", accept(service, server.address, Arc::clone(&state), Port::Service, carry_bytes))?;
        let carry = move |from, to, state, answers| carry_frames(from, to, state, answers, advertised);
        spawn("line-control", accept(control, server.control, state, Port::Control, carry))?;
        Ok(line)
    }

    /// The server's entry, as the load balancer shall see it.
    #[must_use]
    pub fn entry(&self, server: &Entry) -> Entry {
        Entry { address: self.service, control: self.control, ..server.clone() }
    }

    /// From now on nothing passes.
    pub fn cut(&self) {
        self.state.change(|now| now.cut = true);
    }

    /// From now on everything passes, first what was on its way.
    pub fn heal(&self) {
        self.state.change(|now| (now.cut, now.delay, now.refusing) = (false, Duration::ZERO, false));
    }

    /// From now on the service port is closed: connections to it are refused, those that were are reset.
    pub fn refuse(&self) {
        self.state.change(|now| now.refusing = true);
        wake(self.service);
    }

    /// From now on each answer (or part of one) is this much later. Heartbeats are not delayed.
    pub fn slow(&self, delay: Duration) {
        self.state.change(|now| now.delay = delay);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.state.change(|now| {
            now.closed = true;
            now.streams.drain(..).for_each(|(stream, _)| drop(stream.shutdown(Shutdown::Both)));
        });
        // The two listeners block in `accept`; a connection wakes each, and it finds the line closed.
        wake(self.service);
        wake(self.control);
    }
}

/// Wakes whoever blocks in `accept` there.
fn wake(listener: SocketAddr) {
    let _nobody_listens = TcpStream::connect(listener);
}

/// Which end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Service,
    Control,
}

/// Accepts for one end of the line (threads "line-service" and "line-control"): blocks in `accept`, and starts two
/// threads for each connection, one a direction. Ends with the line. While a service port refuses, it is closed.
fn accept<C>(
    listener: TcpListener,
    server: SocketAddr,
    state: Arc<State>,
    port: Port,
    carry: C,
) -> impl FnOnce() + Send + 'static
where
    C: Fn(Arc<TcpStream>, Arc<TcpStream>, Arc<State>, bool) + Clone + Send + 'static,
{
    move || {
        let mut open = Some(listener);
        while let Some(listener) = open {
            let near = listener.accept();
            let refusing = port == Port::Service && state.now.lock().refusing;
            if state.now.lock().closed {
                return;
            }
            if refusing {
                drop(near);
                open = stay_closed(listener, &state);
                continue;
            }
            // Nobody at the other end: the connection ends at once, as a refused one does.
            if let Ok((near, _)) = near
                && let Ok(far) = TcpStream::connect(server)
            {
                join_ends(near, far, &state, port, &carry);
            }
            open = Some(listener);
        }
    }
}

/// Closes the port and what came through it, and opens it again when the line is whole; nothing when it ends before that,
/// or somebody else has the port now (then this server is gone for good, and the drill says so).
fn stay_closed(listener: TcpListener, state: &State) -> Option<TcpListener> {
    let address = listener.local_addr().ok()?;
    drop(listener);
    let mut now = state.now.lock();
    for (stream, _) in now.streams.iter().filter(|(_, port)| *port == Port::Service) {
        let _gone = stream.shutdown(Shutdown::Both);
    }
    while now.refusing && !now.closed {
        state.changed.wait(&mut now);
    }
    if now.closed { None } else { TcpListener::bind(address).ok() }
}

/// Passes on what comes from either end, in two threads.
fn join_ends<C>(near: TcpStream, far: TcpStream, state: &Arc<State>, port: Port, carry: &C)
where
    C: Fn(Arc<TcpStream>, Arc<TcpStream>, Arc<State>, bool) + Clone + Send + 'static,
{
    let (near, far) = (Arc::new(near), Arc::new(far));
    for (from, to, answers) in [(&near, &far, false), (&far, &near, true)] {
        // One that is answered byte by byte must not wait for more bytes to come.
        let _best_effort = from.set_nodelay(true);
        state.note(from, port);
        let (from, to) = (Arc::clone(from), Arc::clone(to));
        let (state, carry) = (Arc::clone(state), carry.clone());
        let passing = move || {
            carry(Arc::clone(&from), Arc::clone(&to), state, answers);
            let _gone = to.shutdown(Shutdown::Write);
        };
        if spawn("line", passing).is_err() {
            let _gone = (near.shutdown(Shutdown::Both), far.shutdown(Shutdown::Both));
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let spawned = thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work);
    spawned.map(drop).context("No thread for a line")
}

/// Passes bytes on in one direction, until one side or the line ends.
fn carry_bytes(from: Arc<TcpStream>, to: Arc<TcpStream>, state: Arc<State>, answers: bool) {
    let mut block = vec![0; BLOCK];
    loop {
        let Ok(length) = (&*from).read(&mut block) else { return };
        // The end of a connection waits for the line like everything else.
        if !state.pass(answers) || length == 0 || (&*to).write_all(&block[..length]).is_err() {
            return;
        }
    }
}

/// Passes frames on in one direction of the control connection, with the line's address for the server's. Only a cut
/// holds them up.
fn carry_frames(from: Arc<TcpStream>, to: Arc<TcpStream>, state: Arc<State>, answers: bool, address: SocketAddr) {
    let _ended = || -> anyhow::Result<()> {
        let (mut from, mut to) = (Connection::new(from)?, Connection::new(to)?);
        let (mut header, mut body) = (Vec::new(), Vec::new());
        while let Some(prefix) = from.next(&mut header, Phase::Idle, None, HEADER_TIME)? {
            body.clear();
            from.append_body(prefix.body_len as usize, &mut body)?;
            if answers && prefix.kind == Kind::Identity {
                let identity: Identity = from_header(from.peer(), &prefix, &header)?;
                header = to_header(&Identity { address, ..identity });
            }
            if !state.pass(false) {
                break;
            }
            let prefix =
                Prefix { flags: prefix.flags, ..Prefix::new(prefix.kind, prefix.id, header.len(), body.len()) };
            to.send(&prefix, &header, &body)?;
        }
        state.pass(false);
        Ok(())
    }();
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::registry::LAB;

    const LONG: Duration = Duration::from_secs(20);

    /// A line to an echo, and a connection over it.
    fn line_to_echo() -> (Line, TcpStream) {
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = echo.local_addr().unwrap();
        spawn("echo", move || {
            let (mut peer, _) = echo.accept().unwrap();
            let mut bytes = [0; 64];
            while let Ok(length @ 1..) = peer.read(&mut bytes) {
                peer.write_all(&bytes[..length]).unwrap();
            }
        })
        .unwrap();
        let entry = Entry {
            id: "1".into(),
            address,
            service: LAB.into(),
            processing_time: 0.0,
            capacity: 1,
            control: address,
            pid: None,
        };
        let line = Line::to(&entry).unwrap();
        let client = TcpStream::connect(line.entry(&entry).address).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        (line, client)
    }

    fn echoes(client: &mut TcpStream, text: &[u8]) {
        let mut bytes = vec![0; text.len()];
        client.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, text);
    }

    #[test]
    fn a_cut_line_passes_nothing_and_a_healed_one_what_was_on_its_way() {
        let (line, mut client) = line_to_echo();
        client.write_all(b"one").unwrap();
        echoes(&mut client, b"one");
        line.cut();
        client.write_all(b"two").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(client.read(&mut [0; 3]).is_err(), "something passed");
        client.set_read_timeout(Some(LONG)).unwrap();
        line.heal();
        echoes(&mut client, b"two");
    }

    #[test]
    fn a_slow_line_delays_answers() {
        let (line, mut client) = line_to_echo();
        let delay = Duration::from_millis(60);
        line.slow(delay);
        let begin = Instant::now();
        client.write_all(b"one").unwrap();
        echoes(&mut client, b"one");
        assert!(begin.elapsed() >= delay, "{:?}", begin.elapsed());
    }

    #[test]
    fn a_line_that_refuses_ends_its_connections_and_takes_new_ones_when_it_is_whole() {
        let (line, mut client) = line_to_echo();
        line.refuse();
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "its connection lives");
        let (service, deadline) = (line.service, Instant::now() + LONG);
        while TcpStream::connect(service).is_ok() {
            assert!(Instant::now() < deadline, "it still accepts");
        }
        line.heal();
        while TcpStream::connect(service).is_err() {
            assert!(Instant::now() < deadline, "it does not accept again");
        }
    }

    #[test]
    fn a_dropped_line_ends_its_connections() {
        let (line, mut client) = line_to_echo();
        line.cut();
        drop(line);
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    }
}
