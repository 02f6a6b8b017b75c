//! Downloads by clients that take their time.
//!
//! A file of 4 MB fits into the buffers of the sockets on its way: a moment after its first byte it needs its server no more.
//! So that kills hit some files in their middle, each client asks for a larger one from time to time.

use super::{
    Scene, Setting, callers,
    kills::work_while_killing,
    report::{Report, times},
    stand::{Frontend, Stand},
};
use fastrand::Rng;
use loadbalancer::policy::Name;
use protocol::{
    deadline::Deadline,
    http::{HttpConnection, Method, Status},
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::Write,
    iter,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long a download may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes after which a client pauses.
const PART: usize = 128 * 1024;
/// Its pause.
const PAUSE: Duration = Duration::from_millis(5);
/// The size of a larger file, in bytes: more than all buffers on the way hold.
const LARGER: usize = 40_000_000;
/// Files after which a client asks for a larger one.
const LARGER_EACH: u64 = 5;

/// Plays it.
pub(super) fn play(setting: &Setting, scene: &Scene, bytes: usize, report: &mut Report) -> anyhow::Result<()> {
    let mut stand = Stand::open(setting, scene, "downloads", Frontend::Http, Name::RoundRobin)?;
    let mut dice = Rng::with_seed(setting.seed);
    let file = File::write(&stand, "file.bin", bytes, &mut dice)?;
    let larger = File::write(&stand, "larger.bin", LARGER, &mut dice)?;
    let address = stand.address;
    let begin = Instant::now();
    let (seen, kills) = work_while_killing(setting, scene, &mut stand, usize::MAX, || {
        callers::all(setting, scene, |_, goes_on| {
            let numbers = (1..=scene.requests).take_while(|_| goes_on());
            let both = numbers.flat_map(|number| {
                let more = (number % LARGER_EACH == 0).then_some(&larger);
                iter::once(&file).chain(more)
            });
            both.map(|file| (file.bytes, download(address, file))).collect()
        })
    })?;
    let took = begin.elapsed().as_secs_f64();
    seen.iter().filter_map(|(_, one)| one.as_ref().err()).for_each(|why| report.bad(format!("{why:#}")));
    let each = scene.requests / LARGER_EACH;
    for (bytes, each) in [(bytes, scene.requests), (LARGER, each)] {
        let these = seen.iter().filter(|(size, _)| *size == bytes);
        let whole: Vec<Duration> = these.filter_map(|(_, one)| one.as_ref().ok().copied()).collect();
        let (wanted, count, size) = (scene.clients as u64 * each, whole.len(), bytes as f64 / 1e6);
        report.saw(format!("{count} files of {size} MB in {took:.1} s; {}", times(whole)));
        let what = format!("every download of {size} MB is whole, with the right digest");
        report.check(what, format!("{count} of {wanted}"), count as u64 == wanted);
    }
    let found =
        format!("{} kills, {} files went on from another server", kills.len(), stand.count_events("file-resumed")?);
    report.check("kills hit files in their middle", found, stand.count_events("file-resumed")? > 0);
    Ok(())
}

/// A file that servers give away.
struct File {
    name: &'static str,
    bytes: usize,
    digest: Vec<u8>,
}

impl File {
    fn write(stand: &Stand, name: &'static str, bytes: usize, dice: &mut Rng) -> anyhow::Result<Self> {
        let mut content = vec![0; bytes];
        dice.fill(&mut content);
        fs::write(stand.files().join(name), &content)?;
        Ok(Self { name, bytes, digest: Sha256::digest(&content).to_vec() })
    }
}

fn download(address: SocketAddr, file: &File) -> anyhow::Result<Duration> {
    let (begin, deadline) = (Instant::now(), Deadline::after(PATIENCE));
    let stream = Arc::new(TcpStream::connect_timeout(&address, PATIENCE)?);
    narrow(&stream)?;
    let mut connection = HttpConnection::new(Arc::clone(&stream))?;
    let head = format!("GET /files/{} HTTP/1.1\r\nHost: drill\r\nConnection: close\r\n\r\n", file.name);
    (&*stream).write_all(head.as_bytes())?;
    let answer = connection.read_final_answer(&Method::Get, deadline)?;
    anyhow::ensure!(answer.status == Status::OK, "It was answered {}", answer.status.code());
    let mut body = connection.body().until(deadline);
    let (mut part, mut hash, mut since) = (vec![0; PART], Sha256::new(), 0);
    loop {
        let count = body.read_some(&mut part)?;
        if count == 0 {
            break;
        }
        hash.update(&part[..count]);
        since += count;
        if since >= PART {
            since = 0;
            thread::sleep(PAUSE);
        }
    }
    anyhow::ensure!(hash.finalize().as_slice() == file.digest, "Its digest is another one");
    Ok(begin.elapsed())
}

/// Has the system take little at a time for this client, so that most of a file stays where it comes from.
fn narrow(stream: &TcpStream) -> anyhow::Result<()> {
    #[cfg(unix)]
    rustix::net::sockopt::set_socket_recv_buffer_size(stream, PART)?;
    #[cfg(not(unix))]
    let _ = stream;
    Ok(())
}
