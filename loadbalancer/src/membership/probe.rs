//! How a server that has no control port is found to be alive.

use protocol::{
    datagrams::LONGEST,
    dns::{Message, Question, query, socket_to},
};
use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// How long the word that nobody listens at a port takes at the most, from a machine that can be reached.
const REFUSAL_TIME: Duration = Duration::from_millis(200);

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it accepts a connection. A process that was stopped still does, in the kernel.
    Connect,
    /// Whether it answers this question, whatever it says. It must be one that it surely answers: a name server that does not
    /// know a name may say nothing.
    Ask(Question),
    /// Whether it takes datagrams.
    Datagram(Knock),
}

/// A datagram that says whether a server lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knock {
    /// What it surely answers. Without it the datagram is empty, and only a refusal counts: nobody listens there. Then a server
    /// that is silent is not found out by this, but by what becomes of its requests.
    pub text: Option<Vec<u8>>,
    /// How many bytes that nobody foresees are appended, with which its answer must end.
    pub tag: usize,
}

impl Probe {
    /// Tries it.
    ///
    /// # Errors
    /// What went wrong, as a part of a sentence.
    pub fn try_it(&self, address: SocketAddr, timeout: Duration) -> Result<(), String> {
        match self {
            Self::Connect => match TcpStream::connect_timeout(&address, timeout) {
                Ok(_accepted) => Ok(()),
                Err(error) => Err(format!("it does not accept a connection ({error})")),
            },
            Self::Ask(question) => match ask(question, address, timeout) {
                Ok(()) => Ok(()),
                Err(error) => Err(format!("it does not answer the question for {} ({error})", question.name)),
            },
            Self::Datagram(knock) => knock.try_it(address, timeout).map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => "nobody listens at its port".to_owned(),
                _ => format!("it does not answer a datagram ({error})"),
            }),
        }
    }
}

impl Knock {
    fn try_it(&self, address: SocketAddr, timeout: Duration) -> io::Result<()> {
        let (socket, until) = (socket_to(address)?, Instant::now() + timeout);
        let mut tag = vec![0; self.tag];
        fastrand::fill(&mut tag);
        let Some(text) = &self.text else {
            socket.send(&[])?;
            socket.set_read_timeout(Some(timeout.min(REFUSAL_TIME)))?;
            return match socket.recv(&mut [0; 1]) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(error),
                _silent => Ok(()),
            };
        };
        socket.send(&[text.as_slice(), &tag].concat())?;
        let mut buffer = [0; LONGEST];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut buffer) {
                Ok(length) if buffer[..length].ends_with(&tag) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn ask(question: &Question, address: SocketAddr, timeout: Duration) -> io::Result<()> {
    let socket = socket_to(address)?;
    let id = fastrand::u16(..);
    socket.send(&query(id, question, None))?;
    let until = Instant::now() + timeout;
    let mut buffer = [0; protocol::dns::LEAST_DATAGRAM];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if Message::parse(&buffer[..length]).is_ok_and(|said| said.answers(id, question)) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::dns::{Reply, record_type};
    use std::{net::UdpSocket, thread};

    #[test]
    fn a_name_server_is_alive_if_it_answers_this_question() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let probe = Probe::Ask(Question::new("known.example".parse().unwrap(), record_type::A));
        let silent = probe.try_it(address, Duration::from_millis(30)).unwrap_err();
        assert!(silent.contains("does not answer the question for known.example"), "{silent}");
        let answers = thread::spawn(move || {
            let mut buffer = [0; 512];
            // The first one is of the probe that has given up.
            for _ in 0..2 {
                let (length, from) = server.recv_from(&mut buffer).unwrap();
                let asked = Message::parse(&buffer[..length]).unwrap();
                let mut wrong = Reply::to(&asked).finish(512);
                wrong[0] ^= 1;
                let _gone = server.send_to(&wrong, from);
                let _gone = server.send_to(&Reply::to(&asked).finish(512), from);
            }
        });
        assert_eq!(probe.try_it(address, Duration::from_secs(20)), Ok(()));
        answers.join().unwrap();
        assert!(probe.try_it(address, Duration::from_secs(20)).is_err(), "nobody listens there any more");
    }
}
