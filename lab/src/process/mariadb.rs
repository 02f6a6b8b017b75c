//! A MariaDB of the laboratory's own: made in a temporary folder, on a free port, ended and started again at will.

use super::{
    Binary, Child, Ending, LOOK_EVERY, READY_TIME, Site, argument, free_port,
    own_user::{as_user, find, folder_for, give_to, send},
    start_tied,
};
use anyhow::{Context, bail, ensure};
use protocol::deadline::Deadline;
use rustix::process::Signal;
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// What must be there to start one.
const PROGRAMS: [&str; 2] = ["mariadb-install-db", "mariadbd"];
/// The user of Debian's package.
const USER: &str = "mysql";
/// Of the servers' account; the administrator's is empty. Only this machine can reach it, and only while it runs.
const PASSWORD: &str = "of-a-drill";
/// How long an end in order may take.
const END_TIME: Duration = Duration::from_secs(30);

/// A MariaDB server. Dropping it ends it at once.
#[derive(Debug)]
pub struct Mariadb {
    address: SocketAddr,
    /// None while it is down.
    child: Option<Child>,
    folder: TempDir,
}

impl Mariadb {
    /// Whether its programs are on this machine.
    ///
    /// # Errors
    /// Which program is missing.
    pub fn is_here() -> Result<(), String> {
        let missing = PROGRAMS.into_iter().find(|name| find(name).is_none());
        missing.map_or(Ok(()), |name| Err(format!("there is no {name}: MariaDB is not installed")))
    }

    /// Makes an empty one and starts it.
    ///
    /// # Errors
    /// If that fails; with the words of its programs.
    pub fn open(site: &Site) -> anyhow::Result<Self> {
        let folder = folder_for("lab-mariadb-")?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        give_to(USER, &[&data])?;
        let data = format!("--datadir={}", argument(&data)?);
        let args = ["--no-defaults", &data, "--auth-root-authentication-method=normal", "--skip-test-db"];
        let command = as_user(USER, &program("mariadb-install-db")?, &args)?;
        let Output { status, stderr, .. } = Command::new(&command[0]).args(&command[1..]).current_dir("/").output()?;
        ensure!(status.success(), "mariadb-install-db failed: {}", String::from_utf8_lossy(&stderr));
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut server = Self { address, child: None, folder };
        server.start(site)?;
        Ok(server)
    }

    /// Starts it, with what is in it, and waits until it takes connections.
    ///
    /// # Errors
    /// If it does not; with its last words.
    pub fn start(&mut self, site: &Site) -> anyhow::Result<()> {
        let data = argument(&self.folder.path().join("data"))?;
        let port = format!("--port={}", self.address.port());
        let (place, socket, pid) =
            (format!("--datadir={data}"), format!("--socket={data}/socket"), format!("--pid-file={data}/pid"));
        let args = ["--no-defaults", &place, &port, "--bind-address=127.0.0.1", &socket, &pid];
        let command = as_user(USER, &program("mariadbd")?, &args)?;
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let child = self.child.insert(start_tied(site, "mariadb", &command)?);
        let deadline = Deadline::after(READY_TIME);
        // It listens when it has recovered.
        while TcpStream::connect_timeout(&self.address, READY_TIME).is_err() {
            child.must_live()?;
            if deadline.has_passed() {
                bail!("MariaDB does not take connections.");
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
        send(&child, if ending == Ending::Crash { Signal::KILL } else { Signal::TERM })?;
        ensure!(child.ends_by(Deadline::after(END_TIME)), "MariaDB does not end");
        Ok(())
    }

    /// Writes a `database.json` that leads to it, and has the laboratory make it ready.
    ///
    /// # Errors
    /// If that fails; with the words of `init-database`.
    pub fn make_ready(&self, binary: &Binary, config: &Path) -> anyhow::Result<()> {
        let account = serde_json::json!({
            "engine": "mariadb", "port": self.address.port(), "database": "lab", "user": "lab_server", "password": PASSWORD,
        });
        fs::write(config, format!("{account:#}\n"))
            .with_context(|| format!("{} cannot be written", config.display()))?;
        done(&mut binary.command(&["server", "init-database", "--database", &argument(config)?]))
    }

    /// Makes a table with one column, of text: no client may.
    ///
    /// # Errors
    /// If that fails; with the words of `load-csv`.
    pub fn make_table(&self, binary: &Binary, config: &Path, table: &str, column: &str) -> anyhow::Result<()> {
        let file = self.folder.path().join("titles.csv");
        fs::write(&file, format!("{column}\n"))?;
        let (file, config) = (argument(&file)?, argument(config)?);
        done(&mut binary.command(&["server", "load-csv", &file, "--table", table, "--database", &config]))
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        let _or_killed = self.end(Ending::Crash);
    }
}

/// Runs a command of the laboratory with the administrator's password.
fn done(command: &mut Command) -> anyhow::Result<()> {
    let Output { status, stdout, stderr } = command.env("LAB_ADMIN_PASSWORD", "").output()?;
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    ensure!(status.success(), "The database cannot be made ready: {said}");
    Ok(())
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    find(name).with_context(|| format!("There is no {name}"))
}
