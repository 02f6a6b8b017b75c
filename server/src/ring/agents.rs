//! Whom a UDP service tells that it goes and comes: the agents that it has heard from.
//!
//! One byte, as in the original: `d` for down, `u` for up. Nobody confirms it, so it is said again: `d` as long as the
//! outage lasts, `u` several times after it. Whoever misses them all finds out by himself: the control port is silent during
//! the outage and answers after it.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// How many agents are told at most. More addresses than that are clients that ask without an agent; then the latest
/// count.
const MOST: usize = 256;

/// What agents are told of a server that goes down, or away.
pub(crate) const DOWN: &[u8] = b"d";
/// What they are told of one that is up again.
const UP: &[u8] = b"u";

/// Who has asked nothing for so long is not told.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// How often a byte is repeated, and how often `u` is said.
const REPEAT: Duration = Duration::from_millis(500);
const SAY_UP: u32 = 6;

/// The agents of a server.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    /// Held for a look or an insertion.
    known: Mutex<HashMap<SocketAddr, Instant>>,
}

impl Agents {
    /// Has been heard of just now.
    pub(crate) fn heard(&self, agent: SocketAddr) {
        let mut known = self.known.lock();
        if known.len() >= MOST
            && !known.contains_key(&agent)
            && let Some(oldest) = known.iter().min_by_key(|(_, at)| **at).map(|(agent, _)| *agent)
        {
            known.remove(&oldest);
        }
        known.insert(agent, Instant::now());
    }

    /// Says this byte to all of them, once.
    pub(crate) fn tell(&self, socket: &UdpSocket, byte: &[u8]) {
        for agent in self.present() {
            let _lost = socket.send_to(byte, agent);
        }
    }

    /// Those to be told.
    fn present(&self) -> Vec<SocketAddr> {
        let mut known = self.known.lock();
        known.retain(|_, at| at.elapsed() < FORGOTTEN);
        known.keys().copied().collect()
    }
}

/// Says `d` and `u` from the service's own socket, because agents believe known servers only.
#[derive(Debug)]
pub(crate) struct Announcer {
    agents: std::sync::Arc<Agents>,
    socket: UdpSocket,
    was_down: bool,
    left: u32,
    next: Instant,
}

impl Announcer {
    pub(crate) fn new(agents: std::sync::Arc<Agents>, socket: UdpSocket) -> Self {
        Self { agents, socket, was_down: false, left: 0, next: Instant::now() }
    }

    /// Says what is due; called at least every beat.
    pub(crate) fn tell(&mut self, is_down: bool) {
        if is_down != self.was_down {
            (self.was_down, self.left, self.next) = (is_down, SAY_UP, Instant::now());
        }
        if (self.left > 0 || is_down) && Instant::now() >= self.next {
            (self.left, self.next) = (self.left.saturating_sub(1), Instant::now() + REPEAT);
            self.agents.tell(&self.socket, if is_down { DOWN } else { UP });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn agents_hear_d_and_then_u_one_byte_each_from_the_service() {
        let (service, agent) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        agent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let agents = Arc::new(Agents::default());
        agents.heard(agent.local_addr().unwrap());
        let mut announcer = Announcer::new(agents, service.try_clone().unwrap());
        let mut hear = |is_down| {
            announcer.tell(is_down);
            let mut bytes = [0; 8];
            let (len, from) = agent.recv_from(&mut bytes).unwrap();
            assert_eq!(from, service.local_addr().unwrap());
            bytes[..len].to_vec()
        };
        assert_eq!((hear(true), hear(false)), (b"d".to_vec(), b"u".to_vec()));
    }

    #[test]
    fn strangers_without_number_push_out_the_oldest_only() {
        let agents = Agents::default();
        for port in 1..=2_000 {
            agents.heard(([127, 0, 0, 1], port).into());
        }
        let present = agents.present();
        assert_eq!(present.len(), MOST);
        assert!(present.iter().all(|agent| usize::from(agent.port()) > 2_000 - MOST));
    }
}
