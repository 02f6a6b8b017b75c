//! A child that ends with its parent, however the parent ends.
//!
//! **The problem.** A program that starts others must not leave them behind, not even when it is killed with
//! `kill -9` and can clean up nothing.
//!
//! **The idea.** The operating system closes the connections of every process that ends. So the parent listens on a
//! port of this machine, each child connects to it and blocks in a read, and nothing is ever sent. When the read
//! returns, the parent is gone.
//!
//! ```text
//! parent  listens on 127.0.0.1:41234, starts   server … --lifeline 127.0.0.1:41234/3f…a9
//! child   connects, sends "3f…a9\n", gets "\n", blocks in read
//! parent  ✝ kill -9; the kernel closes its end
//! child   read returns: ends in order
//! ```
//!
//! The *token* behind the address is drawn at random for each parent. It keeps out what connects by mistake: a port
//! scanner, or a child of an earlier parent whose port was given out again. It is no secret (`ps` shows it).
//!
//! **Simplified.** A pipe does the same and is simpler where a child inherits file descriptors; a port also works
//! where it does not, and without code that differs between systems. Linux has `PR_SET_PDEATHSIG`, which speaks of
//! the parent's *thread*, is lost by set-user-id programs, and needs unsafe code.

use parking_lot::Mutex;
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    str::FromStr,
    sync::Arc,
    thread,
    time::Duration,
};

/// Children that one parent keeps at once. More are refused: that many were never started, so something else
/// connects.
pub const MAX_CHILDREN: usize = 256;

/// How long a child may take to send its token after connecting. It does both in one breath; whoever takes longer
/// is none and is cut off.
pub const TOKEN_TIME: Duration = Duration::from_secs(2);

/// How long a child waits for its parent's welcome. Others may be before it, each for [`TOKEN_TIME`] at worst.
pub const WELCOME_TIME: Duration = Duration::from_secs(10);

const TOKEN_DIGITS: usize = 32;

/// Where a child finds its parent: `IP:PORT/TOKEN`, the token being 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifelineAddress {
    address: SocketAddr,
    token: String,
}

impl fmt::Display for LifelineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.token)
    }
}

/// Why a text is not the address of a lifeline.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("A lifeline is IP:PORT/TOKEN with a token of 32 hexadecimal digits, as the parent process gives it.")]
pub struct NotALifeline;

impl FromStr for LifelineAddress {
    type Err = NotALifeline;

    fn from_str(text: &str) -> Result<Self, NotALifeline> {
        let (address, token) = text.split_once('/').ok_or(NotALifeline)?;
        let digits = token.len() == TOKEN_DIGITS && token.bytes().all(|b| b.is_ascii_hexdigit());
        let address = address.parse().map_err(|_| NotALifeline)?;
        if digits { Ok(Self { address, token: token.to_owned() }) } else { Err(NotALifeline) }
    }
}

/// The parent's side. While it lives, its children live; dropping it ends them.
#[derive(Debug)]
pub struct Lifeline {
    address: LifelineAddress,
    /// `None` once dropped. Guards the children's connections; held for their bookkeeping, never for waiting.
    children: Arc<Mutex<Option<Vec<TcpStream>>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Lifeline {
    /// Listens on a free port of this machine, in a thread named "lifeline".
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = LifelineAddress { address: listener.local_addr()?, token: random_token() };
        let children = Arc::new(Mutex::new(Some(Vec::new())));
        let thread = {
            let (children, token) = (Arc::clone(&children), address.token.clone());
            thread::Builder::new().name("lifeline".into()).spawn(move || accept(&listener, &token, &children))?
        };
        Ok(Self { address, children, thread: Some(thread) })
    }

    /// What to give a child: `--lifeline` and this.
    #[must_use]
    pub fn address(&self) -> &LifelineAddress {
        &self.address
    }

    /// How many children hold on right now.
    #[must_use]
    pub fn children(&self) -> usize {
        self.children.lock().as_mut().map_or(0, |children| {
            children.retain(holds_on);
            children.len()
        })
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        for child in self.children.lock().take().into_iter().flatten() {
            // Already gone is as good.
            let _gone = child.shutdown(Shutdown::Both);
        }
        // The thread blocks in `accept`; a connection wakes it, and it finds that it is no longer needed. Without
        // one (no descriptors left) it stays until the process ends.
        if TcpStream::connect(self.address.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _panicked = thread.join();
        }
    }
}

/// The thread "lifeline": blocks in `accept` and in the read of a token (with a deadline), takes the children's
/// lock, and ends when that holds nothing any more.
fn accept(listener: &TcpListener, token: &str, children: &Mutex<Option<Vec<TcpStream>>>) {
    loop {
        let accepted = listener.accept();
        if children.lock().is_none() {
            return;
        }
        match accepted {
            Ok((stream, _)) => {
                let Ok(stream) = welcome(stream, token) else { continue };
                let mut guard = children.lock();
                let Some(children) = guard.as_mut() else { return };
                children.retain(holds_on);
                // One too many is dropped and so ends; see MAX_CHILDREN.
                if children.len() < MAX_CHILDREN && (&stream).write_all(b"\n").is_ok() {
                    children.push(stream);
                }
            }
            // Out of descriptors, for instance: not a reason to spin, nor to end.
            Err(_) => thread::park_timeout(Duration::from_millis(100)),
        }
    }
}

/// Reads the token, all of it within [`TOKEN_TIME`].
fn welcome(mut stream: TcpStream, token: &str) -> io::Result<TcpStream> {
    let deadline = crate::deadline::Deadline::after(TOKEN_TIME);
    let mut line = [0; TOKEN_DIGITS + 1];
    let mut length = 0;
    while length < line.len() {
        let left = deadline.remaining().max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut line[length..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
        if deadline.has_passed() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    if line.strip_suffix(b"\n") != Some(token.as_bytes()) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(stream)
}

/// Whether the child at the other end is still there. It sends nothing, so whatever can be read is its end.
fn holds_on(child: &TcpStream) -> bool {
    let looked = child.set_nonblocking(true).and_then(|()| child.peek(&mut [0]));
    matches!(looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// 128 bits that nobody can guess: the standard library keys its hashers from the system's random source.
fn random_token() -> String {
    let keyed = RandomState::new();
    format!("{:016x}{:016x}", keyed.hash_one(1), keyed.hash_one(2))
}

/// Why a child could not take hold of its lifeline.
#[derive(Debug, thiserror::Error)]
pub enum LifelineError {
    /// Nobody listens there, or it does not answer.
    #[error(
        "Cannot reach the process that started this one, at {address}: {source}. It has ended already, so this one ends too."
    )]
    Unreachable {
        /// The parent's address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody listens there and closes the connection, because the token is another one.
    #[error("The process at {address} refuses the token of --lifeline: it did not start this one, or is just ending.")]
    Stranger {
        /// The parent's address.
        address: SocketAddr,
    },
    /// No thread to wait in.
    #[error("Cannot start the thread that watches the lifeline: {0}.")]
    Thread(io::Error),
}

/// The child's side: connects, and calls `on_end` in a thread named "lifeline" when the parent is gone.
///
/// # Errors
/// When the parent cannot be reached; then `on_end` is never called, and the child had better end.
pub fn hold(lifeline: &LifelineAddress, on_end: impl FnOnce() + Send + 'static) -> Result<(), LifelineError> {
    let address = lifeline.address;
    let unreachable = |source| LifelineError::Unreachable { address, source };
    let mut stream = TcpStream::connect_timeout(&address, WELCOME_TIME).map_err(unreachable)?;
    stream.set_read_timeout(Some(WELCOME_TIME)).map_err(unreachable)?;
    stream.write_all(format!("{}\n", lifeline.token).as_bytes()).map_err(unreachable)?;
    let mut welcome = [0];
    match stream.read_exact(&mut welcome) {
        Ok(()) if welcome == *b"\n" => {}
        Ok(()) => return Err(LifelineError::Stranger { address }),
        Err(error) if is_timeout(&error) => return Err(unreachable(error)),
        Err(_) => return Err(LifelineError::Stranger { address }),
    }
    stream.set_read_timeout(None).map_err(unreachable)?;
    let wait = move || {
        while !matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_)) {}
        on_end();
    };
    thread::Builder::new().name("lifeline".into()).spawn(wait).map_err(LifelineError::Thread)?;
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, bounded};
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    const SOON: Duration = Duration::from_secs(20);

    fn held(address: &LifelineAddress) -> Receiver<()> {
        let (ended, end) = bounded(1);
        hold(address, move || ended.send(()).unwrap()).unwrap();
        end
    }

    #[test]
    fn children_live_as_long_as_their_parent() {
        let parent = Lifeline::open().unwrap();
        let address: LifelineAddress = parent.address().to_string().parse().unwrap();
        let children: Vec<_> = (0..20).map(|_| held(&address)).collect();
        assert_eq!(parent.children(), 20);
        assert!(children.iter().all(|end| end.is_empty()));
        drop(parent);
        for end in children {
            end.recv_timeout(SOON).unwrap();
        }
        let error = hold(&address, || ()).unwrap_err();
        assert!(matches!(error, LifelineError::Unreachable { .. }), "{error}");
    }

    #[test]
    fn a_child_that_ends_is_not_counted() {
        let parent = Lifeline::open().unwrap();
        let mut child = TcpStream::connect(parent.address.address).unwrap();
        child.write_all(format!("{}\n", parent.address.token).as_bytes()).unwrap();
        child.read_exact(&mut [0]).unwrap();
        assert_eq!(parent.children(), 1);
        drop(child);
        let deadline = crate::deadline::Deadline::after(SOON);
        while parent.children() != 0 {
            assert!(!deadline.has_passed(), "the child that ended is still counted");
            thread::yield_now();
        }
    }

    #[test]
    fn strangers_are_sent_away() {
        let parent = Lifeline::open().unwrap();
        let mut wrong = parent.address().clone();
        wrong.token = random_token();
        let error = hold(&wrong, || ()).unwrap_err();
        assert!(matches!(error, LifelineError::Stranger { .. }), "{error}");
        let gone = TcpStream::connect(parent.address.address).unwrap();
        drop(gone);
        let mut talker = TcpStream::connect(parent.address.address).unwrap();
        talker.write_all(&[b'x'; 500]).unwrap();
        assert!(matches!(talker.read(&mut [0]), Ok(0) | Err(_)));
        let child = held(parent.address());
        assert_eq!((parent.children(), child.is_empty()), (1, true));
    }

    #[test]
    fn other_texts_are_no_lifelines() {
        let token = "0".repeat(32);
        assert!(format!("127.0.0.1:1/{token}").parse::<LifelineAddress>().is_ok());
        for text in ["", "127.0.0.1:1", "127.0.0.1:1/", &format!("127.0.0.1/{token}"), &format!("127.0.0.1:1/{token}0")]
        {
            assert_eq!(text.parse::<LifelineAddress>(), Err(NotALifeline), "{text}");
        }
    }

    /// The parent is a process of its own: this test started once more.
    #[test]
    fn a_parent_that_is_killed_takes_its_children_along() {
        const PARENT: &str = "PROTOCOL_TEST_LIFELINE_PARENT";
        if std::env::var_os(PARENT).is_some() {
            let parent = Lifeline::open().unwrap();
            crate::show!("\n{}", parent.address());
            // Until it is killed, or the test is gone.
            return assert!(io::stdin().read_to_end(&mut Vec::new()).is_ok());
        }
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "lifeline::tests::a_parent_that_is_killed_takes_its_children_along"])
            .env(PARENT, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(parent.stdout.take().unwrap());
        let address = output.lines().map_while(Result::ok).find_map(|line| line.parse().ok()).unwrap();
        let child = held(&address);
        assert!(child.is_empty());
        parent.kill().unwrap();
        child.recv_timeout(SOON).unwrap();
        parent.wait().unwrap();
    }
}
