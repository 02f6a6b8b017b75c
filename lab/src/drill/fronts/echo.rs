//! Connections to echo servers, of all sizes, split and delayed anywhere.

use super::{
    Scene, Setting, callers,
    kills::{Kill, work_while_killing},
    report::{Report, times},
    stand::{Frontend, Stand},
};
use fastrand::Rng;
use loadbalancer::policy::Name;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// Sizes around those at which naive relays fail, in bytes.
const SIZES: [usize; 5] = [1, 1_023, 1_024, 1_025, 2_048];
/// A size that no buffer holds, in bytes.
pub(super) const LARGE: usize = 10_000_000;
/// Most places at which one is split.
const MOST_SPLITS: usize = 4;
/// The longest pause at one of them, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 20;
/// How long the load balancer may take to accept, and to say anything at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection, and what came of it.
struct Visit {
    begin: Instant,
    end: Instant,
    outcome: Outcome,
}

enum Outcome {
    /// Everything came back, and nothing else.
    Whole,
    /// What came back was right, and the end came too early: as a reset, or only as an end.
    Cut { reset: bool },
    /// Something else came back.
    Wrong(String),
    /// It was not accepted.
    NotConnected(String),
    /// Nothing was said for too long.
    Late,
}

/// Plays it under one policy.
pub(super) fn play(
    setting: &Setting,
    scene: &Scene,
    policy: Name,
    large_one_of: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut stand = Stand::open(setting, scene, &policy.to_string(), Frontend::Tcp, policy)?;
    let address = stand.address;
    let begin = Instant::now();
    let (visits, kills) = work_while_killing(setting, scene, &mut stand, usize::MAX, || {
        callers::all(setting, scene, |dice, goes_on| {
            let visits = (0..scene.requests).take_while(|_| goes_on());
            visits.map(|_| visit(address, dice, large_one_of)).collect()
        })
    })?;
    judge(scene, policy, &visits, &kills, begin.elapsed(), report);
    Ok(())
}

fn judge(scene: &Scene, policy: Name, visits: &[Visit], kills: &[Kill], took: Duration, report: &mut Report) {
    let (mut whole, mut resets, mut ends, mut unhit, mut bad) = (Vec::new(), 0, 0, 0, 0);
    for Visit { begin, end, outcome } in visits {
        let mut is_bad = |why: String| {
            bad += 1;
            report.bad(format!("{policy}: {why}"));
        };
        match outcome {
            Outcome::Whole => whole.push(*end - *begin),
            Outcome::Cut { reset } => {
                *(if *reset { &mut resets } else { &mut ends }) += 1;
                unhit += usize::from(!kills.iter().any(|kill| kill.may_have_hit(*begin, *end)));
            }
            Outcome::Wrong(why) | Outcome::NotConnected(why) => is_bad(why.clone()),
            Outcome::Late => is_bad("nothing was said for too long".to_owned()),
        }
    }
    let (wanted, kills) = (scene.clients as u64 * scene.requests, kills.len());
    let (answered, cut) = (whole.len(), resets + ends);
    report.saw(format!(
        "{policy}: {answered} connections whole, {cut} cut ({resets} by a reset, {ends} by an early end) by {kills} kills in \
         {:.1} s; {}",
        took.as_secs_f64(),
        times(whole)
    ));
    let found = format!("{answered} whole, {cut} cut, {bad} wrong, refused or late, of {wanted}");
    let all = visits.len() as u64 == wanted && bad == 0 && answered > 0;
    // Where one takes as long as it is from one kill to the next, nearly all are cut.
    let what = format!("{policy}: each connection is accepted, and echoed whole or visibly cut");
    report.check_soon(what, found, all, answered > cut);
    let found = format!("{unhit} cut without a kill in their time, {kills} kills");
    report.check(format!("{policy}: only a kill cuts a connection"), found, unhit == 0 && kills > 0);
}

fn visit(address: SocketAddr, dice: &mut Rng, large_one_of: u64) -> Visit {
    let begin = Instant::now();
    let size = if dice.u64(..large_one_of) == 0 { LARGE } else { SIZES[dice.usize(..SIZES.len())] };
    let mut bytes = vec![0; size];
    dice.fill(&mut bytes);
    let mut splits: Vec<usize> = (0..dice.usize(..=MOST_SPLITS)).map(|_| dice.usize(..=size)).collect();
    splits.sort_unstable();
    let pauses: Vec<Duration> = splits.iter().map(|_| Duration::from_millis(dice.u64(..=LONGEST_PAUSE_MS))).collect();
    let outcome = match connect(address) {
        Ok(stream) => exchange(&stream, &bytes, &splits, &pauses),
        Err(error) => Outcome::NotConnected(error.to_string()),
    };
    Visit { begin, end: Instant::now(), outcome }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn exchange(stream: &TcpStream, bytes: &[u8], splits: &[usize], pauses: &[Duration]) -> Outcome {
    thread::scope(|scope| {
        let says = || say(stream, bytes, splits, pauses);
        match thread::Builder::new().name("says".to_owned()).spawn_scoped(scope, says) {
            Ok(_) => hear(stream, bytes),
            Err(error) => Outcome::NotConnected(format!("no thread: {error}")),
        }
    })
}

/// Says it in parts. Whether it was taken shows in what comes back.
fn say(mut stream: &TcpStream, bytes: &[u8], splits: &[usize], pauses: &[Duration]) {
    let mut from = 0;
    for (split, pause) in splits.iter().zip(pauses) {
        if stream.write_all(&bytes[from..*split]).is_err() {
            return;
        }
        from = *split;
        thread::sleep(*pause);
    }
    let _taken = stream.write_all(&bytes[from..]).and_then(|()| stream.shutdown(Shutdown::Write));
}

fn hear(mut stream: &TcpStream, bytes: &[u8]) -> Outcome {
    let (mut part, mut heard) = (vec![0; 64 * 1024], 0);
    let outcome = loop {
        match stream.read(&mut part) {
            Ok(0) if heard == bytes.len() => return Outcome::Whole,
            Ok(0) => break Outcome::Cut { reset: false },
            Ok(count) if bytes.get(heard..heard + count) == Some(&part[..count]) => heard += count,
            Ok(count) => break Outcome::Wrong(format!("{count} bytes at {heard} of {} are wrong", bytes.len())),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                break Outcome::Late;
            }
            Err(_) => break Outcome::Cut { reset: true },
        }
    };
    // Whoever still says something finds out.
    let _gone = stream.shutdown(Shutdown::Both);
    outcome
}
