//! A client that asks for names at random times and notes what each answer took.
//!
//! `dnsperf` asks as soon as it is answered, so a server that says nothing slows down the question and not only the answer, and
//! what waited unasked is in no figure. Here queries are due at random times (Poisson), whatever has become of those before,
//! and each counts from when it was due. One thread asks, one listens; an answer is known by its id, of which there are more
//! than queries are ever under way.

use anyhow::Context;
use protocol::dns::{Flags, Message, Name, Question, Rcode, query, record_type, socket_to};
use std::{
    net::SocketAddr,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// Longer than any query is under way: then the load balancer has given up, and said so.
const GRACE: Duration = Duration::from_secs(2);
/// How long the listener waits for an answer before it looks whether all are there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is asked, and how fast.
#[derive(Debug)]
pub struct Asking<'a> {
    /// Whom.
    pub address: SocketAddr,
    /// The names, drawn at random for each query.
    pub names: &'a [Name],
    /// Queries a second, on average.
    pub rate: f64,
    /// For how long.
    pub duration: Duration,
    /// How long the load balancer takes to give up.
    pub patience: Duration,
    /// Where randomness comes from.
    pub seed: u64,
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// Which name, by its place in the list.
    pub name: usize,
    /// From when it was due until there was an answer or an error, in milliseconds.
    pub ms: f64,
    /// Whether it was an answer.
    pub found: bool,
}

/// A query that is under way.
#[derive(Clone, Copy, Debug)]
struct Open {
    name: usize,
    due: Instant,
}

impl Asking<'_> {
    /// Asks, and waits for what is still under way at the end. A query that got nothing at all counts as not found, for as
    /// long as it was waited for.
    ///
    /// # Errors
    /// If there is no socket, or no thread.
    pub fn go(&self) -> anyhow::Result<Vec<Asked>> {
        let socket = socket_to(self.address).context("No socket to ask through")?;
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let open: Mutex<Vec<Option<Open>>> = Mutex::new(vec![None; usize::from(u16::MAX) + 1]);
        let end = Instant::now() + self.duration;
        let over = end + self.patience + GRACE;
        let mut asked = thread::scope(|scope| {
            let listener = thread::Builder::new()
                .name("names-answers".into())
                .spawn_scoped(scope, || self.listen(&socket, &open, (end, over)))?;
            self.ask(&socket, &open, end);
            listener.join().map_err(|_| anyhow::anyhow!("The listener has panicked"))
        })?;
        let left = open.into_inner().unwrap_or_default();
        let lost =
            |open: Open| Asked { name: open.name, ms: (self.patience + GRACE).as_secs_f64() * 1e3, found: false };
        asked.extend(left.into_iter().flatten().map(lost));
        Ok(asked)
    }

    fn ask(&self, socket: &std::net::UdpSocket, open: &Mutex<Vec<Option<Open>>>, end: Instant) {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let (mut due, mut id) = (Instant::now(), 0_u16);
        loop {
            due += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / self.rate);
            if due >= end {
                return;
            }
            wait_until(due);
            let name = random.usize(..self.names.len());
            id = id.wrapping_add(1);
            if let Ok(mut open) = open.lock() {
                open[usize::from(id)] = Some(Open { name, due });
            }
            let question = Question::new(self.names[name].clone(), record_type::A);
            // What cannot be sent is lost, and is counted so.
            let _lost = socket.send(&query(id, &question, None));
        }
    }

    fn listen(
        &self,
        socket: &std::net::UdpSocket,
        open: &Mutex<Vec<Option<Open>>>,
        (end, over): (Instant, Instant),
    ) -> Vec<Asked> {
        let (mut bytes, mut asked) = (vec![0; 4_096], Vec::new());
        loop {
            let received = socket.recv(&mut bytes);
            let now = Instant::now();
            if let Ok(length) = received
                && let Some((id, found)) = read(&bytes[..length])
                && let Some(Open { name, due }) = open.lock().ok().and_then(|mut open| open[usize::from(id)].take())
            {
                asked.push(Asked { name, ms: now.saturating_duration_since(due).as_secs_f64() * 1e3, found });
            }
            let none_left = || open.lock().is_ok_and(|open| open.iter().all(Option::is_none));
            if now >= over || (now >= end && received.is_err() && none_left()) {
                return asked;
            }
        }
    }
}

/// The id of an answer, and whether there is an address in it.
fn read(bytes: &[u8]) -> Option<(u16, bool)> {
    let answer = Message::parse(bytes).ok().filter(|answer| Flags::is_response(answer.flags))?;
    Some((answer.id, answer.rcode() == Rcode::NO_ERROR && !answer.records.is_empty()))
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// A server that knows one name and says nothing about the other.
    #[test]
    fn every_query_is_accounted_for() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let address = server.local_addr().unwrap();
        let names: [Name; 2] = ["a.example", "b.example"].map(|name| name.parse().unwrap());
        let asking = Asking {
            address,
            names: &names,
            rate: 400.0,
            duration: Duration::from_millis(250),
            patience: Duration::ZERO,
            seed: 7,
        };
        let known = names[0].clone();
        let answering = thread::spawn(move || {
            let mut bytes = [0; 512];
            loop {
                let Ok((length, from)) = server.recv_from(&mut bytes) else { return };
                let Ok(asked) = Message::parse(&bytes[..length]) else { return };
                let question = asked.question.as_ref().unwrap();
                if question.name == known {
                    let mut reply = protocol::dns::Reply::to(&asked);
                    reply.answer(&known, record_type::A, 60, &[192, 0, 2, 1]);
                    server.send_to(&reply.finish(512), from).unwrap();
                }
            }
        });
        let asked = asking.go().unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"over", address).unwrap();
        answering.join().unwrap();
        assert!(asked.len() > 20, "{}", asked.len());
        assert!(asked.iter().all(|one| one.found == (one.name == 0)), "{asked:?}");
        assert!(asked.iter().filter(|one| !one.found).all(|one| one.ms == 2_000.0));
    }
}
