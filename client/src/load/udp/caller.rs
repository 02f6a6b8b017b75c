//! One client's sockets: a request, its answer, and what comes too late.

use super::payload::Question;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// How many given-up sockets a client keeps open. As long as a port is open the system gives it to nobody else, who would
/// take the late answer for its own. A socket is kept for as many time-outs.
pub const RESTING: usize = 3;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right answer came.
    Answered,
    /// Nothing came in time.
    TimedOut,
    /// Something came that is not the answer.
    Wrong,
}

/// A client's way to the load balancer, or to a server.
#[derive(Debug)]
pub struct Caller {
    target: SocketAddr,
    patience: Duration,
    socket: UdpSocket,
    /// Sockets that an answer may still come to, the oldest first.
    resting: VecDeque<UdpSocket>,
    question: Question,
    answer: Vec<u8>,
    /// Answers that came after their request was given up.
    pub late: u64,
}

impl Caller {
    /// A client that waits so long for an answer; not zero.
    ///
    /// # Errors
    /// If there is no socket.
    pub fn new(target: SocketAddr, patience: Duration, question: Question) -> io::Result<Self> {
        let socket = connect(target, patience)?;
        let answer = vec![0; question.room()];
        Ok(Self { target, patience, socket, resting: VecDeque::new(), question, answer, late: 0 })
    }

    /// Sends the next request and waits for its answer. It begins now, says the caller, who has just looked.
    ///
    /// # Errors
    /// If a fresh socket was needed and there was none.
    pub fn ask(&mut self, begin: Instant) -> io::Result<Outcome> {
        let question = self.question.draw();
        if let Err(error) = self.socket.send(question)
            && error.kind() == ErrorKind::ConnectionRefused
        {
            // That was the news of an earlier datagram, and this one was not sent for it.
            let _lost = self.socket.send(question);
        }
        let outcome = match self.receive(begin)? {
            Some(len) if self.question.is_answered_by(&self.answer[..len]) => return Ok(Outcome::Answered),
            Some(_) => Outcome::Wrong,
            None => Outcome::TimedOut,
        };
        self.renew()?;
        Ok(outcome)
    }

    /// Waits for a datagram. That nobody listens at the target (the system may say so) is no answer: it counts as silence, and
    /// takes as long, as it would for the original's clients. Otherwise a dead load balancer would be asked 100,000 times a second.
    fn receive(&mut self, begin: Instant) -> io::Result<Option<usize>> {
        let mut shortened = false;
        let received = loop {
            match self.socket.recv(&mut self.answer) {
                Ok(len) => break Some(len),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break None,
                Err(_) => {
                    let left = self.patience.saturating_sub(begin.elapsed());
                    if left.is_zero() {
                        break None;
                    }
                    self.socket.set_read_timeout(Some(left))?;
                    shortened = true;
                }
            }
        };
        if shortened && received.is_some() {
            self.socket.set_read_timeout(Some(self.patience))?;
        }
        Ok(received)
    }

    /// Goes on with a fresh socket. The new one is there before the oldest one goes, so they have different ports.
    fn renew(&mut self) -> io::Result<()> {
        let fresh = connect(self.target, self.patience)?;
        self.resting.push_back(std::mem::replace(&mut self.socket, fresh));
        if self.resting.len() > RESTING {
            let oldest = self.resting.pop_front();
            self.late += oldest.map_or(0, |socket| waiting(&socket));
        }
        Ok(())
    }

    /// How many answers came too late in all, when there are no further requests.
    #[must_use]
    pub fn end(self) -> u64 {
        self.late + self.resting.iter().map(waiting).sum::<u64>()
    }
}

/// A socket that takes datagrams from there only.
fn connect(target: SocketAddr, patience: Duration) -> io::Result<UdpSocket> {
    let any = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(patience))?;
    Ok(socket)
}

/// How many datagrams wait in a socket.
fn waiting(socket: &UdpSocket) -> u64 {
    let mut byte = [0];
    if socket.set_nonblocking(true).is_err() {
        return 0;
    }
    std::iter::from_fn(|| socket.recv(&mut byte).ok()).map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use super::{super::payload::Payload, *};

    const LONG: Duration = Duration::from_secs(30);

    fn server() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket
    }

    fn caller(server: &UdpSocket, patience: Duration) -> Caller {
        let question = Question::new(&Payload::default(), 1, false);
        Caller::new(server.local_addr().unwrap(), patience, question).unwrap()
    }

    /// Takes a request; says from where.
    fn asked(server: &UdpSocket) -> SocketAddr {
        let mut bytes = [0; 16];
        let (len, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(bytes[..len], [1, 2, 3]);
        from
    }

    #[test]
    fn a_right_answer_leaves_the_socket_and_a_wrong_one_does_not() {
        let server = server();
        let mut caller = caller(&server, LONG);
        let answers: [(&[u8], Outcome); 4] = [
            (&[3, 2, 1], Outcome::Answered),
            (&[3, 2, 1], Outcome::Answered),
            (&[3, 2], Outcome::Wrong),
            (&[3, 2, 1], Outcome::Answered),
        ];
        let client = std::thread::spawn(move || answers.map(|_| caller.ask(Instant::now()).unwrap()));
        let ports = answers.map(|(answer, _)| {
            let from = asked(&server);
            server.send_to(answer, from).unwrap();
            from
        });
        assert_eq!(client.join().unwrap(), answers.map(|(_, outcome)| outcome));
        assert!(ports[0] == ports[1] && ports[1] == ports[2] && ports[2] != ports[3], "{ports:?}");
    }

    /// The answer to the first request comes when that was given up, before the answer to the second. On one socket it would be
    /// taken for it.
    #[test]
    fn a_late_answer_is_counted_and_not_taken_for_the_next_one() {
        let server = server();
        let mut caller = caller(&server, Duration::from_millis(1));
        assert_eq!(caller.ask(Instant::now()).unwrap(), Outcome::TimedOut);
        server.send_to(&[3, 2, 1], asked(&server)).unwrap();
        caller.socket.set_read_timeout(Some(LONG)).unwrap();
        caller.patience = LONG;
        let client = std::thread::spawn(move || (caller.ask(Instant::now()).unwrap(), caller));
        let second = asked(&server);
        server.send_to(&[9, 9, 9], second).unwrap();
        let (outcome, caller) = client.join().unwrap();
        assert_eq!((outcome, caller.end()), (Outcome::Wrong, 1), "what the second socket got is its own");
    }

    #[test]
    fn late_answers_are_counted_also_when_their_socket_goes() {
        let server = server();
        let mut caller = caller(&server, Duration::from_millis(1));
        let all = RESTING as u64 + 2;
        for n in 0..all {
            assert_eq!(caller.ask(Instant::now()).unwrap(), Outcome::TimedOut);
            server.send_to(&[3, 2, 1], asked(&server)).unwrap();
            assert_eq!(caller.resting.len(), RESTING.min(n as usize + 1));
        }
        assert_eq!(caller.end(), all);
    }

    #[test]
    fn nobody_there_takes_as_long_as_silence() {
        let server = server();
        let patience = Duration::from_millis(50);
        let mut caller = caller(&server, patience);
        drop(server);
        for _ in 0..2 {
            let begin = Instant::now();
            assert_eq!(caller.ask(begin).unwrap(), Outcome::TimedOut);
            assert!(begin.elapsed() >= patience * 9 / 10);
        }
    }
}
