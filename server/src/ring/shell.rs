//! The ring's thread: a socket, a clock, and the rules.

use super::{
    agents::Announcer,
    core::Action,
    flags::RingConfig,
    member::Member,
    message::{MAX_MESSAGE, Message},
    outage::Outage,
    reach::{Side, Sides},
    story::Story,
    timing::Timing,
};
use protocol::{
    output::{say, warn},
    stop::Stop,
};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// Shortest wait: a socket's timeout must not be zero.
const MOMENT: Duration = Duration::from_millis(1);

/// A pause after the socket failed for a reason that is not the time.
const PAUSE: Duration = Duration::from_millis(10);

/// The running ring of a server. Dropping it ends its thread, and an outage with it.
#[derive(Debug)]
pub(crate) struct Ring {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Ring {
    /// Takes this place in the ring.
    ///
    /// # Errors
    /// If the address or the thread cannot be had.
    pub(crate) fn start(config: &RingConfig, outage: &Arc<Outage>, announcer: Option<Announcer>) -> io::Result<Self> {
        let socket = UdpSocket::bind(config.listen)?;
        let timing = Timing::of(config.drill_for);
        let neighbours = Sides { left: config.left, right: config.right };
        let rng = fastrand::Rng::with_seed(draw_seed());
        let member = Member::new(config.listen, neighbours, timing, config.drill_every, outage.now(), rng);
        say!(
            "Ring: {} between {} and {}; takes part in elections in {:.1} s.",
            config.listen,
            config.left,
            config.right,
            timing.quiet.as_secs_f64()
        );
        let (stop, outage) = (Stop::new(), Arc::clone(outage));
        let mut seat =
            Seat { socket, neighbours, member, outage, announcer, stop: stop.clone(), strange: 0, told: None };
        let thread = thread::Builder::new().name("ring".into()).spawn(move || seat.sit())?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.stop.drain();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// A seed that differs between processes that were started in the same moment, and between lives of the same server: the
/// original's servers all drew the same values.
fn draw_seed() -> u64 {
    fastrand::u64(..) ^ u64::from(std::process::id()).rotate_left(32)
}

/// What the thread works with.
struct Seat {
    socket: UdpSocket,
    neighbours: Sides<SocketAddr>,
    member: Member,
    outage: Arc<Outage>,
    announcer: Option<Announcer>,
    stop: Stop,
    /// Datagrams from others than the neighbours, or not understood.
    strange: u64,
    told: Option<Story>,
}

impl Seat {
    /// Blocks in the wait for the next datagram, a beat at most; takes the lock of the outage and of the agents, for a moment;
    /// ends with its [`Ring`].
    fn sit(&mut self) {
        while !self.stop.is_set() {
            let wait = self.member.wakes_at().saturating_sub(self.outage.now()).max(MOMENT);
            let came = self.receive(wait);
            let now = self.outage.now();
            // A flood of strange datagrams must not keep the clock from being looked at.
            if came.is_some() || now >= self.member.wakes_at() {
                for action in self.member.step(came, now) {
                    self.act(action);
                }
            }
            if let Some(announcer) = &mut self.announcer {
                announcer.tell(self.outage.is_down());
            }
        }
        self.outage.end();
    }

    fn receive(&mut self, wait: Duration) -> Option<(Side, Message)> {
        let mut bytes = [0; MAX_MESSAGE + 1];
        let received = self.socket.set_read_timeout(Some(wait)).and_then(|()| self.socket.recv_from(&mut bytes));
        let (len, from) = match received {
            Ok(received) => received,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
                    thread::park_timeout(PAUSE);
                }
                return None;
            }
        };
        let side = Side::BOTH.into_iter().find(|side| *self.neighbours.get(*side) == from);
        let text = std::str::from_utf8(&bytes[..len]).ok().filter(|_| len <= MAX_MESSAGE);
        let message = text.and_then(|text| text.parse().ok());
        let came = side.zip(message);
        if came.is_none() {
            self.strange += 1;
            if self.strange.is_power_of_two() {
                let what = if side.is_some() { "something that is no message of a ring" } else { "no neighbour" };
                warn!("Ring: a datagram from {from} is ignored: it is {what} ({} so far).", self.strange);
            }
        }
        came
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(side, message) => {
                // What is lost is said again with the next beat.
                let _lost = self.socket.send_to(message.to_string().as_bytes(), *self.neighbours.get(side));
            }
            Action::Down { until } => self.outage.begin(until),
            Action::Up => self.outage.end(),
            Action::Tell(story) => {
                // A neighbour that wants too much says so with every beat.
                if self.told.replace(story) != Some(story) {
                    say!("{story}");
                }
            }
        }
    }
}
