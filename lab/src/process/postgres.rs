//! A PostgreSQL of the laboratory's own: made in a temporary folder, on a free port, ended and started again at will.
//!
//! PostgreSQL refuses to run as root; then it runs as the user whom its package has made.

use super::{
    Binary, Child, LOOK_EVERY, READY_TIME, Site, argument, free_port,
    own_user::{as_user, find, folder_for, give_to, send},
    start_tied,
};
use anyhow::{Context, bail, ensure};
use protocol::deadline::Deadline;
use rustix::process::Signal;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Where Debian keeps the programs of each version of PostgreSQL.
const VERSIONS: &str = "/usr/lib/postgresql";
/// What must be there to start one and to see it.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_isready"];
/// The user of Debian's package.
const USER: &str = "postgres";
/// Of both accounts. Only this machine can reach it, and only while it runs.
const PASSWORD: &str = "of-a-drill";
/// How long an end in order may take.
const END_TIME: Duration = Duration::from_secs(30);

/// A program of PostgreSQL, of its newest version.
#[must_use]
pub fn postgres_program(name: &str) -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir(VERSIONS).into_iter().flatten().flatten().map(|v| v.path()).collect();
    versions.sort();
    let newest_first = versions.into_iter().rev().map(|version| version.join("bin").join(name));
    find(name).or_else(|| newest_first.into_iter().find(|file| file.is_file()))
}

/// A PostgreSQL server. Dropping it ends it at once.
#[derive(Debug)]
pub struct Postgres {
    address: SocketAddr,
    /// None while it is down.
    child: Option<Child>,
    folder: TempDir,
}

/// How a database is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As a crash: nothing is finished, nothing written down; the next start has to recover.
    Crash,
    /// In order, but at once: whoever is inside is thrown out.
    Fast,
}

impl Postgres {
    /// Whether its programs are on this machine; if not, which one is missing.
    ///
    /// # Errors
    /// Which program is missing.
    pub fn is_here() -> Result<(), String> {
        let missing = PROGRAMS.into_iter().find(|name| postgres_program(name).is_none());
        missing.map_or(Ok(()), |name| Err(format!("there is no {name}: PostgreSQL is not installed")))
    }

    /// Makes an empty one and starts it.
    ///
    /// # Errors
    /// If that fails; with the words of its programs.
    pub fn open(site: &Site) -> anyhow::Result<Self> {
        let folder = folder_for("lab-postgres-")?;
        let (data, secret) = (folder.path().join("data"), folder.path().join("password"));
        fs::create_dir(&data)?;
        fs::write(&secret, PASSWORD)?;
        give_to(USER, &[&data, &secret])?;
        let (data, secret) = (argument(&data)?, argument(&secret)?);
        let (auth, secret) = ("--auth=scram-sha-256", format!("--pwfile={secret}"));
        let args = ["-D", &data, "-U", USER, auth, &secret, "-E", "UTF8", "--no-locale", "--no-sync"];
        let command = as_user(USER, &program("initdb")?, &args)?;
        let Output { status, stderr, .. } = Command::new(&command[0]).args(&command[1..]).current_dir("/").output()?;
        ensure!(status.success(), "initdb failed: {}", String::from_utf8_lossy(&stderr));
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut server = Self { address, child: None, folder };
        server.start(site)?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it, with what is in it, and waits until it takes connections.
    ///
    /// # Errors
    /// If it does not; with its last words.
    pub fn start(&mut self, site: &Site) -> anyhow::Result<()> {
        let (data, port) = (argument(&self.folder.path().join("data"))?, format!("port={}", self.address.port()));
        let settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", &port];
        let command = as_user(USER, &program("postgres")?, &[&["-D", &data], &settings[..]].concat())?;
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let child = self.child.insert(start_tied(site, "postgres", &command)?);
        let ready = program("pg_isready")?;
        let port = self.address.port().to_string();
        let deadline = Deadline::after(READY_TIME);
        while !Command::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port]).status()?.success() {
            child.must_live()?;
            if deadline.has_passed() {
                bail!("PostgreSQL does not take connections.");
            }
            thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// Ends it, and waits until it is gone.
    ///
    /// # Errors
    /// If it does not end.
    pub fn end(&mut self, ending: Ending) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let signal = match ending {
            Ending::Crash => Signal::QUIT,
            Ending::Fast => Signal::INT,
        };
        send(&child, signal)?;
        ensure!(child.ends_by(Deadline::after(END_TIME)), "PostgreSQL does not end");
        Ok(())
    }

    /// Writes a `database.json` that leads to it, and has the laboratory make it ready.
    ///
    /// # Errors
    /// If that fails; with the words of `init-database`.
    pub fn make_ready(&self, binary: &Binary, config: &Path) -> anyhow::Result<()> {
        let account = serde_json::json!({
            "engine": "postgres", "port": self.address.port(), "database": "lab", "user": "lab_server", "password": PASSWORD,
        });
        fs::write(config, format!("{account:#}\n"))
            .with_context(|| format!("{} cannot be written", config.display()))?;
        let mut init = binary.command(&["server", "init-database", "--database", &argument(config)?]);
        let Output { status, stdout, stderr } = init.env("LAB_ADMIN_PASSWORD", PASSWORD).output()?;
        let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        ensure!(status.success(), "The database cannot be made ready: {said}");
        Ok(())
    }

    /// Asks it as its superuser in the laboratory's database, with a program of PostgreSQL (`psql`, `pgbench`), which reads its
    /// password from the environment.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn client(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(self::program(program)?);
        let port = self.address.port().to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", USER]).env("PGPASSWORD", PASSWORD);
        Ok(command)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its children would live on for a while if it was killed.
        let _or_killed = self.end(Ending::Crash);
    }
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    postgres_program(name).with_context(|| format!("There is no {name}"))
}
