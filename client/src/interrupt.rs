//! Ctrl-C: taking back one request, without ending the program for it.
//!
//! **The problem.** While a request runs, the client's only thread is blocked in waiting for its answer; the signal
//! arrives in another one. That other thread must not write to the connection (two writers could mix their bytes),
//! and the waiting one sees no flag.
//!
//! **The idea.** A *bell*: a connection of this process with itself. The signal's thread sends one byte over it,
//! and the waiting thread waits for both connections with one call. It is the classic self-pipe, made of TCP so
//! that the same code runs everywhere.
//!
//! What Ctrl-C does depends on where it finds the program:
//!
//! | it finds | and then |
//! |---|---|
//! | the prompt | no signal at all: the terminal gives the key to the prompt, which clears the line |
//! | a request, heard | the request is taken back; a second one gives up waiting for the confirmation |
//! | a request, not heard (blocked in printing) | a second one ends the program |
//! | nothing | the program ends, with status 130 |
//!
//! SIGTERM and SIGHUP always end the program; so does the end of the process that started it (`--lifeline`). Before
//! that, the terminal gets back the settings that it had at the start.
//!
//! Source: D. J. Bernstein, the self-pipe trick.

use protocol::wire::Connection;
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// How long the bell's two ends may take to meet, on this machine.
const MEETING_TIME: Duration = Duration::from_secs(2);

/// Signals of one request closer together than this are one wish: `timeout` signals its child and then the whole process group.
const SAME_PRESS: Duration = Duration::from_millis(100);

/// Status of a program that Ctrl-C ended: 128 and the number of the signal.
const ENDED_BY_CTRL_C: i32 = 130;

/// The waiting thread's end of the bell.
#[derive(Debug)]
pub struct Bell {
    end: Connection,
    shared: Arc<Shared>,
}

/// The other end, for the thread that rings.
#[derive(Debug)]
pub struct Rope {
    end: TcpStream,
    shared: Arc<Shared>,
    /// When it was rung last, and for which request.
    last: Option<(Instant, u32)>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Whether a request is being waited for.
    listening: AtomicBool,
    /// Rings that were not heard yet.
    unheard: AtomicU32,
    /// Counts the requests, so that a key pressed for the next one is not taken for the same press.
    requests: AtomicU32,
}

/// A bell and its rope.
///
/// # Errors
/// When this machine cannot connect to itself.
pub fn bell() -> io::Result<(Bell, Rope)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let rope = TcpStream::connect_timeout(&listener.local_addr()?, MEETING_TIME)?;
    let own = rope.local_addr()?;
    // Somebody else may have connected first; only the own end is the bell.
    let accepted = std::iter::from_fn(|| listener.accept().ok()).take(16).find(|(_, from)| *from == own);
    let (end, _) = accepted.ok_or(io::ErrorKind::ConnectionAborted)?;
    rope.set_nonblocking(true)?;
    rope.set_nodelay(true)?;
    let shared = Arc::new(Shared::default());
    let end = Connection::new(Arc::new(end)).map_err(io::Error::other)?;
    Ok((Bell { end, shared: Arc::clone(&shared) }, Rope { end: rope, shared, last: None }))
}

impl Bell {
    /// From now on a ring is meant for a request; what rang before is forgotten.
    pub fn listen(&self) -> Listening<'_> {
        self.hear();
        self.shared.requests.fetch_add(1, Ordering::SeqCst);
        self.shared.listening.store(true, Ordering::SeqCst);
        Listening(self)
    }

    /// The connection that becomes readable when the bell rings.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.end
    }

    /// Takes notice of all rings so far; false when there were none (nobody holds the rope any more).
    pub fn hear(&self) -> bool {
        let mut heard = false;
        while self.end.pending() == protocol::wire::Pending::Bytes {
            let mut rings = [0; 64];
            if !matches!((&**self.end.stream()).read(&mut rings), Ok(1..)) {
                break;
            }
            heard = true;
        }
        self.shared.unheard.store(0, Ordering::SeqCst);
        heard
    }
}

/// While this lives, a ring is meant for the request.
#[derive(Debug)]
pub struct Listening<'a>(&'a Bell);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.shared.listening.store(false, Ordering::SeqCst);
    }
}

impl Rope {
    /// Rings. False when nobody is there to hear it, or when the ring before was not heard.
    pub fn ring(&mut self) -> bool {
        let request = self.shared.requests.load(Ordering::SeqCst);
        if self.last.is_some_and(|(at, of)| of == request && at.elapsed() < SAME_PRESS) {
            return true;
        }
        self.last = Some((Instant::now(), request));
        let heard = self.shared.unheard.fetch_add(1, Ordering::SeqCst) == 0;
        self.shared.listening.load(Ordering::SeqCst) && heard && self.end.write(&[1]).is_ok()
    }
}

/// Lets signals ring the bell, from a thread "signals" that blocks in waiting for them, takes no locks, and lives as
/// long as the process.
///
/// # Errors
/// When the thread or the handlers cannot be made.
#[cfg(unix)]
pub fn ring_on_signals(mut rope: Rope) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let settings = Settings::now();
    let mut kinds = vec![SIGINT, SIGTERM];
    if !protocol::stop::hangup_is_ignored() {
        kinds.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(kinds)?;
    let serve = move || {
        for signal in signals.forever() {
            if signal != SIGINT || !rope.ring() {
                settings.restore();
                std::process::exit(if signal == SIGINT { ENDED_BY_CTRL_C } else { 128 + signal });
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(serve).map(drop)
}

/// Lets Ctrl-C ring the bell.
///
/// # Errors
/// When the handler cannot be made.
#[cfg(not(unix))]
pub fn ring_on_signals(rope: Rope) -> io::Result<()> {
    let rope = std::sync::Mutex::new(rope);
    let ring = move || {
        if !rope.lock().is_ok_and(|mut rope| rope.ring()) {
            std::process::exit(ENDED_BY_CTRL_C);
        }
    };
    ctrlc::set_handler(ring).map_err(io::Error::other)
}

/// The settings of the terminal, to be given back: the prompt changes them while it reads.
#[derive(Clone, Debug)]
pub struct Settings {
    #[cfg(unix)]
    saved: Option<rustix::termios::Termios>,
}

impl Settings {
    /// The settings as they are; call it before the prompt begins.
    #[must_use]
    pub fn now() -> Self {
        Self {
            #[cfg(unix)]
            saved: rustix::termios::tcgetattr(io::stdin()).ok(),
        }
    }

    /// Gives them back, where they are not what they were.
    pub fn restore(&self) {
        #[cfg(unix)]
        if let Some(saved) = &self.saved {
            use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
            let prompting = tcgetattr(io::stdin()).is_ok_and(|now| now.local_modes != saved.local_modes);
            if prompting {
                let _gone = tcsetattr(io::stdin(), OptionalActions::Now, saved);
                // Ends the marking of pasted text, which the prompt asks the terminal for.
                let _gone = io::stdout().write_all(b"\x1b[?2004l\r\n").and_then(|()| io::stdout().flush());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{deadline::Deadline, wire::Pending};

    #[test]
    fn a_ring_is_heard_by_who_waits() {
        let (bell, mut rope) = bell().unwrap();
        let listening = bell.listen();
        let ringer = std::thread::spawn(move || (rope.ring(), rope));
        assert!(bell.connection().wait_readable(Deadline::after(Duration::from_secs(10))).unwrap());
        assert!(bell.hear());
        assert_eq!(bell.connection().pending(), Pending::Nothing);
        let (rung, mut rope) = ringer.join().unwrap();
        assert!(rung);
        drop(listening);
        rope.last = None;
        assert!(!rope.ring(), "nobody waits any more");
        drop(rope);
        assert!(bell.connection().wait_readable(Deadline::after(Duration::from_secs(10))).unwrap());
        assert!(!bell.hear(), "an end is no ring");
    }

    #[test]
    fn a_second_ring_that_finds_the_first_unheard_is_refused() {
        let (bell, mut rope) = bell().unwrap();
        let _listening = bell.listen();
        assert!(rope.ring());
        assert!(rope.ring(), "the same press of the key");
        rope.last = None;
        assert!(!rope.ring());
        rope.last = None;
        assert!(bell.hear());
        assert!(rope.ring());
    }

    #[test]
    fn what_rang_before_is_not_meant_for_the_next_request() {
        let (bell, mut rope) = bell().unwrap();
        let first = bell.listen();
        assert!(rope.ring());
        assert!(bell.connection().wait_readable(Deadline::after(Duration::from_secs(10))).unwrap());
        drop(first);
        let _second = bell.listen();
        assert_eq!(bell.connection().pending(), Pending::Nothing);
        assert!(rope.ring(), "nor is a ring for the next one the same press");
        assert!(bell.connection().wait_readable(Deadline::after(Duration::from_secs(10))).unwrap());
    }
}
