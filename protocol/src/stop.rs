//! Ending on purpose: first drain, then abort.
//!
//! **The problem.** Ctrl-C should end a program promptly, yet a request that is being answered should not be torn
//! up for it. And a blocked thread sees no flag that somebody sets.
//!
//! **The idea.** A [`Stop`] is shared by all threads of a program and knows three levels, which only ever rise:
//!
//! ```text
//! running ──Ctrl-C──▶ draining ──Ctrl-C──▶ aborting
//!                     no new work;         the process ends
//!                     finish what is begun  at once
//! ```
//!
//! Each level above running has a channel that nothing is ever sent over: it *disconnects* when the level is
//! reached. So a thread can wait for its work and for the stop in one `select!`, or sleep with
//! [`Stop::wait_timeout`], and is awake the moment the stop comes, however many threads wait.
//!
//! **When it is wrong.** A second signal within [`SAME_PRESS`] of the first is taken for the same wish: `timeout`
//! signals its child and then the whole process group, and a closing terminal does the like. So two signals sent by
//! a script without a pause are one.
//!
//! **Simplified.** Where signals do not exist, Ctrl-C is all that is listened to.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Two signals closer together than this are one wish.
pub const SAME_PRESS: Duration = Duration::from_millis(100);

/// How far the end of a program has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nobody asked for an end.
    Running,
    /// No new work is taken; what is begun is finished.
    Draining,
    /// What is begun is given up.
    Aborting,
}

/// The wish to end, shared by all threads of a program. Clones are the same wish.
#[derive(Clone, Debug)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    draining: Gate,
    aborting: Gate,
}

/// Opens once, for everybody: the channel disconnects when its only sender is dropped.
#[derive(Debug)]
struct Gate {
    /// For those who only ask, maybe at every request: no lock.
    is_open: AtomicBool,
    /// Guards only the sender's being there; held for its drop, which wakes the waiting threads.
    closed_by: Mutex<Option<Sender<Infallible>>>,
    opened: Receiver<Infallible>,
}

impl Gate {
    fn new() -> Self {
        let (closed_by, opened) = crossbeam_channel::bounded(0);
        Self { is_open: AtomicBool::new(false), closed_by: Mutex::new(Some(closed_by)), opened }
    }

    fn open(&self) {
        // Before the threads wake, so that they find it open.
        self.is_open.store(true, Ordering::Release);
        drop(self.closed_by.lock().take());
    }

    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    fn wait_timeout(&self, duration: Duration) -> bool {
        matches!(self.opened.recv_timeout(duration), Err(RecvTimeoutError::Disconnected))
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// A wish that nobody has yet.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner { draining: Gate::new(), aborting: Gate::new() }) }
    }

    /// A wish that the signals of this process fulfil: the first SIGINT, SIGTERM or SIGHUP drains, the second ends
    /// the process at once with status 128 + signal (130 for Ctrl-C). May be called several times in one process:
    /// one thread, "signals", serves all wishes alive; when none is left, the first signal ends the process.
    ///
    /// # Errors
    /// When the thread or the handlers cannot be made.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::new();
        SIGNALLED.lock().push(Arc::downgrade(&stop.inner));
        listen_once()?;
        Ok(stop)
    }

    /// Asks for the end: nothing new, finish what is begun.
    pub fn drain(&self) {
        self.inner.draining.open();
    }

    /// Asks to give up what is begun, too.
    pub fn abort(&self) {
        self.inner.draining.open();
        self.inner.aborting.open();
    }

    /// Whether an end was asked for, of either kind.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.inner.draining.is_open()
    }

    /// Whether what is begun is to be given up.
    #[must_use]
    pub fn is_aborting(&self) -> bool {
        self.inner.aborting.is_open()
    }

    /// How far the end has come.
    #[must_use]
    pub fn level(&self) -> Level {
        match (self.is_aborting(), self.is_set()) {
            (true, _) => Level::Aborting,
            (false, true) => Level::Draining,
            (false, false) => Level::Running,
        }
    }

    /// Waits until an end is asked for.
    pub fn wait(&self) {
        // Nothing is ever sent, so this returns only with the end.
        let _disconnected = self.receiver().recv();
    }

    /// Sleeps this long, or until an end is asked for; true when it is.
    #[must_use]
    pub fn wait_timeout(&self, duration: Duration) -> bool {
        self.inner.draining.wait_timeout(duration)
    }

    /// Sleeps this long, or until what is begun is to be given up; true when it is.
    #[must_use]
    pub fn wait_abort_timeout(&self, duration: Duration) -> bool {
        self.inner.aborting.wait_timeout(duration)
    }

    /// A channel that disconnects when an end is asked for; for `select!`.
    #[must_use]
    pub fn receiver(&self) -> &Receiver<Infallible> {
        &self.inner.draining.opened
    }

    /// A channel that disconnects when what is begun is to be given up; for `select!`.
    #[must_use]
    pub fn abort_receiver(&self) -> &Receiver<Infallible> {
        &self.inner.aborting.opened
    }
}

/// The wishes that signals fulfil. Locked for a push or a copy.
static SIGNALLED: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

/// When the first signal came.
static FIRST: OnceLock<Instant> = OnceLock::new();

/// Starts listening in the first call of a process; later ones find it done.
fn listen_once() -> io::Result<()> {
    static LISTENING: Mutex<bool> = Mutex::new(false);
    let mut listening = LISTENING.lock();
    if !*listening {
        listen()?;
        *listening = true;
    }
    Ok(())
}

#[cfg(unix)]
fn listen() -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut kinds = vec![SIGINT, SIGTERM];
    if !hangup_is_ignored() {
        kinds.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(kinds)?;
    let serve = move || signals.forever().for_each(|signal| on_signal(signal, Instant::now()));
    std::thread::Builder::new().name("signals".into()).spawn(serve)?;
    Ok(())
}

#[cfg(not(unix))]
fn listen() -> io::Result<()> {
    const CTRL_C: i32 = 2;
    ctrlc::set_handler(|| on_signal(CTRL_C, Instant::now())).map_err(io::Error::other)
}

/// Whether SIGHUP is ignored: `nohup` starts a program so, and it must stay so. Linux tells; elsewhere we do not ask.
#[cfg(unix)]
#[must_use]
pub fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

fn on_signal(signal: i32, now: Instant) {
    let first = *FIRST.get_or_init(|| now);
    let again = now > first;
    if again && now.duration_since(first) < SAME_PRESS {
        return;
    }
    let mut alive = SIGNALLED.lock().clone();
    alive.retain(|inner| inner.strong_count() > 0);
    if again || alive.is_empty() {
        std::process::exit(128 + signal);
    }
    for inner in alive.iter().filter_map(Weak::upgrade) {
        inner.draining.open();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn levels_only_rise() {
        let stop = Stop::new();
        assert_eq!((stop.level(), stop.is_set(), stop.is_aborting()), (Level::Running, false, false));
        assert!(!stop.wait_timeout(Duration::from_millis(1)));
        stop.drain();
        assert_eq!((stop.level(), stop.is_set(), stop.is_aborting()), (Level::Draining, true, false));
        stop.clone().abort();
        stop.drain();
        assert_eq!((stop.level(), stop.is_set(), stop.is_aborting()), (Level::Aborting, true, true));
        stop.wait();
    }

    #[test]
    fn everybody_who_waits_is_woken_at_once() {
        let stop = Stop::new();
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let stop = stop.clone();
                std::thread::spawn(move || stop.wait_timeout(SOON) && stop.wait_abort_timeout(SOON))
            })
            .collect();
        let started = Instant::now();
        stop.abort();
        assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
        assert!(started.elapsed() < SOON);
    }

    #[test]
    fn a_thread_waits_for_work_and_for_the_stop_together() {
        let (work, todo) = crossbeam_channel::bounded(1);
        let stop = Stop::new();
        let next = || {
            crossbeam_channel::select! {
                recv(todo) -> item => item.ok(),
                recv(stop.receiver()) -> _ => None,
            }
        };
        work.send(7).unwrap();
        assert_eq!(next(), Some(7));
        stop.drain();
        assert_eq!(next(), None);
    }

    /// The signals go to a process of its own, which is this test started once more.
    #[cfg(unix)]
    mod signals {
        use super::*;
        use std::{
            io::{BufRead, BufReader},
            process::{Child, ChildStdout, Command, Stdio},
        };

        const CHILD: &str = "PROTOCOL_TEST_STOP_CHILD";

        fn child() {
            let stop = Stop::on_signals().unwrap();
            let _the_same_again = Stop::on_signals().unwrap();
            crate::show!("\nready");
            stop.wait();
            crate::show!("draining");
            // Only the second signal ends this.
            assert!(!stop.wait_abort_timeout(SOON));
        }

        fn started() -> (Child, BufReader<ChildStdout>) {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture", "stop::tests::signals::first_drains_and_second_ends_the_process"])
                .env(CHILD, "1")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = BufReader::new(child.stdout.take().unwrap());
            (child, output)
        }

        fn read_until(output: &mut BufReader<ChildStdout>, wanted: &str) {
            let found = output.lines().map_while(Result::ok).any(|line| line == wanted);
            assert!(found, "the child never said {wanted:?}");
        }

        fn send(child: &Child, signal: &str) {
            let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
            assert!(status.success());
        }

        #[test]
        fn first_drains_and_second_ends_the_process() {
            if std::env::var_os(CHILD).is_some() {
                return child();
            }
            let mut presses = vec![("-INT", "-INT", 130), ("-TERM", "-TERM", 143)];
            // Under nohup the child ignores hang-ups, as it should.
            if !hangup_is_ignored() {
                presses.push(("-HUP", "-INT", 130));
            }
            for (first, second, status) in presses {
                let (mut child, mut output) = started();
                read_until(&mut output, "ready");
                send(&child, first);
                read_until(&mut output, "draining");
                // Not waiting for something to happen: the pause between two presses is what is tested.
                std::thread::sleep(SAME_PRESS * 2);
                send(&child, second);
                assert_eq!(child.wait().unwrap().code(), Some(status));
            }
        }
    }
}
