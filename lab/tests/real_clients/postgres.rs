//! A PostgreSQL of our own, in a temporary folder, on a free port.

use crate::{
    kit::eventually,
    programs::{Ran, command, run, server, signal, text, wait},
};
use lab::process::free_port;
use rustix::process::Signal;
use std::{
    fs::{self, File, Permissions},
    net::SocketAddr,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// What must be there to start one, and to ask it.
pub const PROGRAMS: [&str; 4] = ["initdb", "postgres", "psql", "pgbench"];

/// A PostgreSQL server. Dropping it ends it at once.
pub struct Postgres {
    pub address: SocketAddr,
    /// None after a crash.
    child: Option<Child>,
    folder: TempDir,
}

impl Postgres {
    /// Makes a database and starts a server with it.
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let user = user_instead_of_root("postgres");
        if let Some((uid, gid)) = user {
            fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
            chown(&data, Some(uid), Some(gid)).unwrap();
        }
        let made = ["-D", text(&data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
        run(as_user(command("initdb", &made), user), "").done();
        let mut server = Self { address: SocketAddr::from(([127, 0, 0, 1], free_port())), child: None, folder };
        server.start_again();
        server
    }

    /// Starts the server with the database that is there, and waits until it answers.
    pub fn start_again(&mut self) {
        let (data, user, port) =
            (self.folder.path().join("data"), user_instead_of_root("postgres"), self.address.port());
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let port_flag = format!("port={port}");
        let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", &port_flag];
        let mut server = server("postgres", &["-D", text(&data)], "QUIT");
        server.args(settings.iter().flat_map(|setting| ["-c", setting]));
        server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(as_user(server, user).spawn().unwrap());
        eventually("PostgreSQL answers", || psql(self.address, &["-c", "SELECT 1"], "").status.success());
    }

    /// Starts it again with this certificate; from then on nobody is let in who does not speak TLS.
    pub fn only_with_tls(&mut self, certificate: &Path, key: &Path) {
        let data = self.folder.path().join("data");
        self.crash();
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = data.join(to);
            fs::copy(from, &to).unwrap();
            fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = user_instead_of_root("postgres") {
                chown(&to, Some(uid), Some(gid)).unwrap();
            }
        }
        fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
        let config = data.join("postgresql.conf");
        let settings = fs::read_to_string(&config).unwrap() + "\nssl = on\n";
        fs::write(config, settings).unwrap();
        self.start_again();
    }

    /// Asks it, and nobody in between.
    pub fn ask(&self, sql: &str) -> String {
        psql(self.address, &["-c", sql], "").done().trim().to_owned()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// As if it had crashed: nothing is finished, all connections break, and nobody listens any more.
    pub fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, Signal::QUIT);
            let _ended = wait(&mut child, Duration::from_secs(10));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.crash();
    }
}

/// Runs psql, with tuples only, and this on its standard input.
pub fn psql(at: SocketAddr, args: &[&str], input: impl Into<Vec<u8>>) -> Ran {
    run(psql_command(at, args), input)
}

/// A command that runs psql.
pub fn psql_command(at: SocketAddr, args: &[&str]) -> Command {
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let fixed = ["-X", "-q", "-A", "-t", "-h", &host, "-p", &port, "-U", "postgres", "-d", "postgres"];
    command("psql", &[&fixed, args].concat())
}

/// Databases refuse to run as root; then they run as the user whom their package has made.
pub fn user_instead_of_root(user: &str) -> Option<(u32, u32)> {
    let number = |flag: &str, args: &[&str]| run(command("id", &[&[flag], args].concat()), "").done().trim().parse();
    let own: u32 = number("-u", &[]).unwrap();
    (own == 0).then(|| (number("-u", &[user]).unwrap(), number("-g", &[user]).unwrap()))
}

/// Has a command run as this user.
pub fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid).current_dir("/");
    }
    command
}
