//! Thousands of clients that send or take a byte at a time, and a few that want to be served beside them.
//!
//! A third of them never ends its head, a third its body, and a third does not read the large file it has asked for. Each
//! that is cut off comes back soon, so that there are always about as many.

use super::{
    Scene, Setting, callers,
    report::{Report, times},
    requests::{Asked, Caller, Site},
    stand::{Frontend, Stand},
};
use crate::{
    drill::{gauges::memory_kib, report::Times},
    process::LOOK_EVERY,
};
use anyhow::anyhow;
use loadbalancer::policy::Name;
use protocol::{deadline::Deadline, descriptors, stop::Stop};
use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Threads that share the slow clients among them.
const THREADS: usize = 4;
/// How often a slow client sends or takes a byte.
const EVERY: Duration = Duration::from_millis(500);
/// The pause of the others between two requests.
const PAUSE: Duration = Duration::from_millis(10);
/// Slow clients of a thread that come at the same moment. A rush of thousands is another question.
const AT_ONCE: usize = 250;
/// How long they may take until all have come.
const GATHER_TIME: Duration = Duration::from_secs(60);
/// How long they are watched before, for comparison.
const BEFORE: Duration = Duration::from_secs(5);
/// The size of the file that is asked for and hardly read, in bytes.
const FILE: usize = 8_000_000;
/// The most memory that the load balancer may use, in MiB.
const MOST_MIB: f64 = 128.0;
/// How long the load balancer may take to accept.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Plays it: so many slow clients, for how long, and what is always good enough for the others.
pub(super) fn play(
    setting: &Setting,
    scene: &Scene,
    (clients, lasting, always_ms): (usize, Duration, f64),
    report: &mut Report,
) -> anyhow::Result<()> {
    descriptors::allow_all();
    let stand = Stand::open(setting, scene, "slow", Frontend::Http, Name::RoundRobin)?;
    fs::write(stand.files().join("large.bin"), vec![b'x'; FILE])?;
    let site = Site::prepare(&stand, setting.seed)?;
    let (calm, bad_before) = quick(setting, scene, &site, BEFORE.min(lasting), report)?;
    let memory_mib = || memory_kib(stand.balancer.pid(), "VmHWM:").map(|kib| kib as f64 / 1024.0);
    let before_mib = memory_mib();
    let (address, enough, there) = (stand.address, Stop::new(), There::default());
    let (storm, bad_during, slow) = thread::scope(|scope| -> anyhow::Result<_> {
        let drip = |number: usize| {
            let (enough, there) = (&enough, &there);
            let many = clients / THREADS + usize::from(number < clients % THREADS);
            let run = move || drip(address, many, enough, there);
            thread::Builder::new().name(format!("drips-{number}")).spawn_scoped(scope, run)
        };
        let drips = (0..THREADS).map(drip).collect::<Result<Vec<_>, _>>().inspect_err(|_| enough.drain())?;
        let gathered = Deadline::after(GATHER_TIME);
        while there.now.load(Ordering::Relaxed) * 10 < clients * 9 && !gathered.has_passed() {
            thread::park_timeout(LOOK_EVERY);
        }
        let storm = quick(setting, scene, &site, lasting, report);
        enough.drain();
        let mut slow = Slow::default();
        for drip in drips {
            slow.add(&drip.join().map_err(|_| anyhow!("A thread of slow clients panicked"))?);
        }
        let (times, bad) = storm?;
        Ok((times, bad, slow))
    })?;
    let (after_mib, most) = (memory_mib(), there.most.into_inner());
    report.saw(format!("before: {calm}"));
    report.saw(format!("beside {clients} slow clients for {:.0} s: {storm}", lasting.as_secs_f64()));
    report.saw(format!(
        "slow clients: at most {most} connected at once, {} bytes sent or taken, cut off and back {} times, not accepted {} times",
        slow.bytes, slow.cut, slow.refused
    ));
    let found = format!("{bad_before} not, before; {bad_during} not, beside them");
    report.check("all other clients are answered rightly", found, bad_before + bad_during == 0);
    let found = format!("{:.2} ms before, {:.2} ms beside them", calm.p99_ms, storm.p99_ms);
    let may = (2.0 * calm.p99_ms).max(always_ms);
    let what = format!("the time within which 99 % of the answers come at most doubles, or is below {always_ms} ms");
    report.check_soon(what, found, storm.p99_ms > 0.0, storm.p99_ms <= may);
    match (before_mib, after_mib) {
        (Some(before_mib), Some(after_mib)) => {
            let found = format!("{before_mib:.0} MiB before, at most {after_mib:.0} MiB");
            report.check(format!("the load balancer uses less than {MOST_MIB} MiB"), found, after_mib < MOST_MIB);
        }
        _ => report.saw("memory: not checked, this system does not tell it"),
    }
    let found = format!("{most} of {clients}");
    report.check("nearly all slow clients were connected at once", found, most * 10 >= clients * 9);
    Ok(())
}

/// The others, for so long: how long their answers took, and how many were wrong.
fn quick(
    setting: &Setting,
    scene: &Scene,
    site: &Site,
    lasting: Duration,
    report: &mut Report,
) -> anyhow::Result<(Times, usize)> {
    let begin = Instant::now();
    let asked: Vec<Asked> = callers::all(setting, scene, |dice, goes_on| {
        let (mut caller, mut asked) = (Caller::new(site), Vec::new());
        while begin.elapsed() < lasting && goes_on() {
            asked.push(caller.ask(dice));
            thread::sleep(PAUSE);
        }
        asked
    })?;
    let right: Vec<Duration> = asked.iter().filter_map(|one| one.as_ref().ok().copied()).collect();
    let bad = asked.len() - right.len() + usize::from(right.is_empty());
    asked.into_iter().filter_map(Result::err).for_each(|why| report.bad(why));
    Ok((times(right), bad))
}

/// How many slow clients of all threads are connected.
#[derive(Debug, Default)]
struct There {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl There {
    /// A thread that had so many has so many now.
    fn count(&self, before: usize, now: usize) {
        // A difference below 0 wraps around, and the sum wraps back.
        let more = now.wrapping_sub(before);
        let all = self.now.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
        self.most.fetch_max(all, Ordering::Relaxed);
    }
}

/// What became of slow clients.
#[derive(Clone, Copy, Debug, Default)]
struct Slow {
    bytes: u64,
    cut: u64,
    refused: u64,
}

impl Slow {
    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.cut += other.cut;
        self.refused += other.refused;
    }
}

/// Slow clients of one thread, a byte of each in turn. Counts those that are `there`.
fn drip(address: SocketAddr, many: usize, enough: &Stop, there: &There) -> Slow {
    let mut seen = Slow::default();
    let mut clients: Vec<Option<Dripper>> = (0..many).map(|_| None).collect();
    let mut counted = 0;
    loop {
        let (begin, mut may_come) = (Instant::now(), AT_ONCE);
        for (which, place) in clients.iter_mut().enumerate() {
            if enough.is_set() {
                return seen;
            }
            match place {
                Some(client) => match client.step() {
                    Ok(bytes) => seen.bytes += bytes,
                    Err(_) => (seen.cut, *place) = (seen.cut + 1, None),
                },
                None if may_come > 0 => {
                    may_come -= 1;
                    *place = Dripper::connect(address, which).ok();
                    seen.refused += u64::from(place.is_none());
                }
                None => {}
            }
        }
        let now = clients.iter().flatten().count();
        there.count(counted, now);
        counted = now;
        if enough.wait_timeout(EVERY.saturating_sub(begin.elapsed())) {
            return seen;
        }
    }
}

/// A slow client.
struct Dripper {
    stream: TcpStream,
    /// Whether it sends, or takes.
    sends: bool,
}

impl Dripper {
    fn connect(address: SocketAddr, which: usize) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIME)?;
        #[cfg(unix)]
        rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096)?;
        let begin = match which % 3 {
            0 => "GET /home HTTP/1.1\r\nHost: drill\r\nX-Slow: ",
            1 => "POST /home HTTP/1.1\r\nHost: drill\r\nContent-Length: 1000000\r\n\r\n",
            _ => "GET /files/large.bin HTTP/1.1\r\nHost: drill\r\n\r\n",
        };
        stream.write_all(begin.as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, sends: which % 3 < 2 })
    }

    /// Sends or takes a byte, and says how many it was; an error if it was cut off.
    fn step(&mut self) -> io::Result<u64> {
        let mut byte = [b'x'];
        // Whoever sends is told of an answer, or of the end, by what it could read.
        let heard = now(self.stream.read(&mut byte))?;
        if heard == Some(0) || (self.sends && heard.is_some()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let done = if self.sends { now(self.stream.write(b"x"))? } else { heard };
        Ok(done.unwrap_or(0) as u64)
    }
}

/// What was done now; `None` if it would have to wait.
fn now(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}
