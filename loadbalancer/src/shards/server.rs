//! A server of shards: its process, and asking it.
//!
//! **Whose answer it is.** The port of a process that has ended is free, and another server may have it a moment later: what that one says must not count as
//! said by the dead one. So an answer is believed only if the process has not ended when it is there. (Between the moment in which a system
//! closes a process' sockets and that in which it calls the process ended there is a gap, which is shorter than a start.)

use super::{
    answers::id_of,
    patience::{ANSWER_TIME, InHand, Patience},
};
use crate::{
    policy::UNLIMITED,
    pool::{self, Pool},
    replicas::Program,
};
use crossbeam_channel::bounded;
use parking_lot::Mutex;
use protocol::{
    deadline::Deadline,
    http::{
        HttpError, Method, Status,
        client::{Ask, Client, Reply},
    },
    id::RequestId,
    lifeline::LifelineAddress,
    message::Identity,
    registry::Entry,
    wire::WireError,
};
use std::{
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::Child,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How long a server may take to say where it is. A predecessor that was killed may still have its file, for a moment.
const START_TIME: Duration = Duration::from_secs(15);
/// The longest line with which a server may announce itself, in bytes.
const LONGEST_LINE: u64 = 4 * 1024;
/// Connections that are kept while nobody uses them.
const KEPT: usize = 64;
/// The longest answer that is taken, in bytes.
const LONGEST_ANSWER: u64 = 1024 * 1024 * 1024;

/// A server that was started.
#[derive(Debug)]
pub struct Server {
    /// Its name, as the map has it.
    pub name: String,
    /// Where it is.
    address: SocketAddr,
    /// Its process; none for one that lives in this process (tests). Held for a signal, a look, or the wait for a process that has been killed.
    child: Mutex<Option<Child>>,
    /// Connections that nobody uses. Held for a push or a pop.
    kept: Mutex<Vec<Client>>,
    /// How long it is waited for.
    patience: Patience,
    /// The changes that it has in hand.
    in_hand: InHand,
    /// Where it stands in the pool, once it is there.
    place: OnceLock<Arc<pool::Server>>,
    /// Whether its process has ended.
    ended: AtomicBool,
}

impl Server {
    /// Starts a process with this file, and returns when it says where it is. `lost` is called when it has ended.
    ///
    /// # Errors
    /// If it does not come.
    pub fn start(
        name: &str,
        program: &Program,
        file: &Path,
        lifeline: &LifelineAddress,
        lost: impl FnOnce(Arc<Self>) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let mut command = program.command(id_of(name), 0.0, lifeline, &["--shard-file".as_ref(), file.as_os_str()]);
        let ((born, birth), (tell, heard), (hand_over, own)) = (bounded(1), bounded(1), bounded::<Arc<Self>>(1));
        // The thread that starts the process is the one that lives as long as it: on Linux a child may die with the thread that started it
        // (PR_SET_PDEATHSIG).
        let watch = move || {
            let started = command.spawn().and_then(|mut child| {
                let pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
                Ok((child, pipe))
            });
            let (child, pipe) = match started {
                Ok(both) => both,
                Err(error) => return drop(born.send(Err(error))),
            };
            let _it_waits = born.send(Ok(child));
            let mut pipe = BufReader::new(pipe);
            let _given_up = tell.send(announced(&mut pipe));
            if let Ok(own) = own.recv() {
                let _until_it_ends = io::copy(&mut pipe, &mut io::sink());
                own.kill();
                own.ended.store(true, Ordering::SeqCst);
                lost(own);
            }
        };
        let late = || io::Error::other("it does not say where it is in time");
        thread::Builder::new().name(format!("shards-{name}")).spawn(watch)?;
        let mut child = birth.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        match heard.recv_timeout(START_TIME).unwrap_or_else(|_| Err(late())) {
            Ok(address) => {
                let server = Arc::new(Self::new(name, address, Some(child)));
                let _it_waits = hand_over.send(Arc::clone(&server));
                Ok(server)
            }
            Err(error) => {
                let _ended = child.kill().and_then(|()| child.wait());
                Err(error)
            }
        }
    }

    pub(super) fn new(name: &str, address: SocketAddr, child: Option<Child>) -> Self {
        Self {
            name: name.to_owned(),
            address,
            child: Mutex::new(child),
            kept: Mutex::default(),
            patience: Patience::default(),
            in_hand: InHand::default(),
            place: OnceLock::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// The same, which is waited for so long.
    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// How long it is waited for.
    #[must_use]
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Whether its process has ended, as far as that was noticed.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Gives it a place in the pool: from now on it can be chosen.
    pub fn join(&self, pool: &Pool) {
        let identity = Identity {
            nonce: String::new(),
            id: self.name.clone(),
            incarnation: fastrand::u64(..),
            service: super::SERVICE.to_owned(),
            address: self.address,
            processing_time: 0.0,
            capacity: UNLIMITED,
            database: None,
            min_version: 0,
            max_version: 0,
            pid: self.pid(),
        };
        // Whether it lives is asked by the pulse, not by the pool.
        self.place.get_or_init(|| pool.join(&identity, 0, bounded(1).0));
    }

    /// Where it stands in the pool.
    #[must_use]
    pub fn place(&self) -> Option<&pool::Server> {
        self.place.get().map(|place| &**place)
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether its process runs, as the system says. One that has been killed and does not end is not waited for longer than for an answer.
    #[must_use]
    pub fn runs(&self) -> bool {
        let child = self.child.try_lock_for(ANSWER_TIME);
        child.is_some_and(|mut child| child.as_mut().is_none_or(|child| matches!(child.try_wait(), Ok(None))))
    }

    /// The number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.lock().as_ref().map_or(0, Child::id)
    }

    /// Ends it at once, if it has not ended.
    pub fn kill(&self) {
        if let Some(child) = self.child.lock().as_mut() {
            let _ended = child.kill().and_then(|()| child.wait());
        }
    }

    /// Asks it something that changes nothing.
    ///
    /// # Errors
    /// If its answer does not begin within [`Patience::answer`], or stands still for so long, or it has ended.
    pub fn ask(&self, method: Method, path: &str, body: &[u8]) -> Result<Reply, HttpError> {
        self.exchange_soon(&question(method, path, body))
    }

    /// Asks it for rows, on behalf of this call.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn read(&self, call: RequestId, body: &[u8]) -> Result<Reply, HttpError> {
        self.exchange_soon(&on_behalf(call, question(Method::Post, "/read", body))?)
    }

    fn exchange_soon(&self, ask: &Ask) -> Result<Reply, HttpError> {
        let until = Deadline::after(self.patience.answer);
        self.exchange(ask, &|| until)
    }

    /// Lets it carry out a change, on behalf of this call.
    ///
    /// # Errors
    /// If it does not answer within the time that it has for all changes that it has in hand, or has ended.
    pub fn change(&self, call: RequestId, method: Method, path: &str, body: &[u8]) -> Result<Reply, HttpError> {
        let ask = on_behalf(call, question(method, path, body))?;
        let work = self.in_hand.begin(body.len(), &self.patience);
        self.exchange(&ask, &|| work.until())
    }

    /// Asks it. A kept connection may have been closed meanwhile; then it is asked again on a new one, which does no harm,
    /// because a change has its number. Who has had its time is not asked again.
    fn exchange(&self, ask: &Ask, until: &dyn Fn() -> Deadline) -> Result<Reply, HttpError> {
        let pause = self.patience.answer;
        let kept = self.kept.lock().pop();
        let first = kept.map(|mut client| (client.ask_patiently(ask, until, pause), client));
        let (reply, client) = match first {
            Some((Ok(reply), client)) => (reply, client),
            Some((Err(error @ HttpError::Wire(WireError::Timeout { .. })), _)) => return Err(error),
            Some((Err(_), _)) | None => {
                let client = Client::connect(self.address, pause.min(until().remaining()))?;
                let mut client = client.with_send_patience(pause);
                (client.ask_patiently(ask, until, pause)?, client)
            }
        };
        if !self.runs() {
            return Err(HttpError::answer(Status::BAD_GATEWAY, "its process has ended"));
        }
        let mut kept = self.kept.lock();
        if kept.len() < KEPT && client.is_kept() {
            kept.push(client);
        }
        Ok(reply)
    }
}

fn question(method: Method, path: &str, body: &[u8]) -> Ask {
    Ask::new(method, path).body(body).limit(LONGEST_ANSWER)
}

/// The server is told the name of the call, so that what it logs can be found by it.
fn on_behalf(call: RequestId, ask: Ask) -> Result<Ask, HttpError> {
    Ok(ask.header("X-Request-Id", call.to_string())?)
}

/// Where it says that it is.
fn announced(pipe: &mut impl BufRead) -> io::Result<SocketAddr> {
    let mut line = String::new();
    pipe.take(LONGEST_LINE).read_line(&mut line)?;
    let entry: Result<Entry, _> = serde_json::from_str(&line);
    entry.map(|entry| entry.address).map_err(|_| io::Error::other("it does not say where it is"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A stopped process still accepts. Who would ask it once more would wait twice, with the shard's lock in hand.
    #[test]
    fn who_has_had_its_time_is_not_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Patience { answer: Duration::from_millis(50), ..Patience::default() };
        let server = Server::new("Server0", address, None).with_patience(patience);
        server.kept.lock().push(Client::connect(address, Duration::from_secs(20)).unwrap());
        assert!(server.ask(Method::Get, "/heartbeat", b"").is_err());
        listener.set_nonblocking(true).unwrap();
        let connections = std::iter::from_fn(|| listener.accept().ok()).count();
        assert_eq!(connections, 1, "one for the question, and no second one");
    }
}
