//! Programs of this machine: whether they are there, and how they are run to their end.

use crate::kit::LONG;
use std::{
    env, fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where Debian keeps programs that are not in everybody's path.
const FURTHER: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
/// Where Debian keeps the programs of each version of PostgreSQL.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// The file of a program.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir(POSTGRESQL).into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let folders = env::split_paths(&path).chain(FURTHER.map(PathBuf::from)).chain(versions);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether all these programs are here. If not, this test is skipped with a word, or has failed where all must run.
pub fn are_here(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    missing.is_empty() || skip(&format!("there is no {}", missing.join(", no ")))
}

/// Says that something is not tested here.
pub fn skip(why: &str) -> bool {
    assert!(env::var_os("REAL_CLIENTS").is_none_or(|wish| wish != "required"), "{why}");
    protocol::show!("not tested here: {} ({why})", thread::current().name().unwrap_or("this"));
    false
}

/// A command that runs a program.
pub fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(find(program).unwrap());
    command.args(args);
    command
}

/// A command that runs a server. This signal (such as `KILL`) ends it when the thread that started it ends, and so also when
/// the test is killed.
pub fn server(program: &str, args: &[&str], end: &str) -> Command {
    // Other systems have no such thing: there, whatever a killed test has started lives on.
    if find("setpriv").is_none() {
        return command(program, args);
    }
    let mut command = command("setpriv", &["--pdeathsig", end, "--"]);
    command.arg(find(program).unwrap()).args(args);
    command
}

/// What a program has said and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub out: Vec<u8>,
    pub errors: String,
}

impl Ran {
    /// What it printed, if it succeeded.
    pub fn done(self) -> String {
        assert!(self.status.success(), "{}: {}{}", self.status, self.said(), self.errors);
        self.said()
    }

    /// What it printed, as text.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// A program at work.
pub struct Running {
    child: Child,
    parts: [thread::JoinHandle<Vec<u8>>; 2],
}

/// Starts a program with this on its standard input.
pub fn start(mut command: Command, input: impl Into<Vec<u8>>) -> Running {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.into());
    // Whoever does not read all of it says so in another way.
    thread::spawn(move || stdin.write_all(&input));
    let (out, errors) = (read_all(child.stdout.take().unwrap()), read_all(child.stderr.take().unwrap()));
    Running { child, parts: [out, errors] }
}

/// Runs a program to its end with this on its standard input.
pub fn run(command: Command, input: impl Into<Vec<u8>>) -> Ran {
    start(command, input).ends()
}

impl Running {
    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        self::signal(&self.child, signal);
    }

    /// Waits for its end, which must come.
    pub fn ends(mut self) -> Ran {
        let status = wait(&mut self.child, LONG);
        let [out, errors] = self.parts.map(|part| part.join().unwrap());
        let errors = String::from_utf8_lossy(&errors).into_owned();
        let status = status.unwrap_or_else(|| panic!("It did not end: {}{errors}", String::from_utf8_lossy(&out)));
        Ran { status, out, errors }
    }
}

/// Sends a signal to a child.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // One that is gone needs none.
    let _gone = rustix::process::kill_process(pid, signal);
}

/// Waits for the end of a child, and kills it when that does not come.
pub fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + within;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn read_all(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _broken_off = stream.read_to_end(&mut all);
        all
    })
}
