//! A MariaDB of our own, in a temporary folder, on a free port.

use crate::{
    kit::eventually,
    postgres::{as_user, user_instead_of_root},
    programs::{Ran, command, run, server, signal, text, wait},
};
use lab::process::free_port;
use rustix::process::Signal;
use std::{
    fs::{self, File, Permissions},
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// What must be there to start one, and to ask it.
pub const PROGRAMS: [&str; 3] = ["mariadb-install-db", "mariadbd", "mariadb"];

/// As whom it runs where we are root, for it refuses to.
const USER: &str = "mysql";

/// A MariaDB server. Dropping it ends it at once.
pub struct MariaDb {
    pub address: SocketAddr,
    /// None after a crash.
    child: Option<Child>,
    folder: TempDir,
    /// Settings that not every one has.
    more: Vec<String>,
}

impl MariaDb {
    /// Makes a folder of databases and starts a server with it.
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let user = user_instead_of_root(USER);
        if let Some((uid, gid)) = user {
            fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
            chown(&data, Some(uid), Some(gid)).unwrap();
        }
        // Its temporary files, too, have names that another MariaDB may have.
        let (data, temporary) = (format!("--datadir={}", text(&data)), format!("--tmpdir={}", text(&data)));
        let made = ["--no-defaults", &data, &temporary, "--auth-root-authentication-method=normal", "--skip-test-db"];
        run(as_user(command("mariadb-install-db", &made), user), "").done();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut server = Self { address, child: None, folder, more: Vec::new() };
        server.start_again();
        server
    }

    /// Starts the server with the databases that are there, and waits until it answers.
    pub fn start_again(&mut self) {
        let data = self.folder.path().join("data");
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let named = |name: &str, file: &str| format!("--{name}={}", text(&data.join(file)));
        let port = format!("--port={}", self.address.port());
        let folder = format!("--datadir={}", text(&data));
        let (socket, pid) = (named("socket", "socket"), named("pid-file", "pid"));
        // What was written is the system's to keep: here no machine crashes, only its programs.
        let fixed = ["--no-defaults", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=2"];
        let temporary = format!("--tmpdir={}", text(&data));
        let more = [folder.as_str(), &temporary, &port, &socket, &pid, "--innodb-buffer-pool-size=32M"];
        let mut server = server("mariadbd", &[&fixed[..], &more].concat(), "KILL");
        server.args(&self.more).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(as_user(server, user_instead_of_root(USER)).spawn().unwrap());
        eventually("MariaDB answers", || self.try_to_ask("mysql", "SELECT 1").status.success());
    }

    /// Starts it again with this certificate; from then on nobody is let in who does not speak TLS.
    pub fn only_with_tls(&mut self, certificate: &Path, key: &Path) {
        let data = self.folder.path().join("data");
        self.crash();
        self.more = vec!["--require-secure-transport=ON".into()];
        for (name, from) in [("ssl-cert", certificate), ("ssl-key", key)] {
            let to = data.join(name);
            fs::copy(from, &to).unwrap();
            fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = user_instead_of_root(USER) {
                chown(&to, Some(uid), Some(gid)).unwrap();
            }
            self.more.push(format!("--{name}={}", text(&to)));
        }
        self.start_again();
    }

    /// Asks it in this database, as its administrator, and nobody in between.
    pub fn ask(&self, database: &str, sql: &str) -> String {
        self.try_to_ask(database, sql).done().trim().to_owned()
    }

    /// Gives its own client a text to read, as its administrator.
    pub fn read(&self, script: &[u8]) -> String {
        self.client(&[], script).done()
    }

    fn try_to_ask(&self, database: &str, sql: &str) -> Ran {
        self.client(&["-e", sql, database], &[])
    }

    fn client(&self, args: &[&str], input: &[u8]) -> Ran {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let fixed = ["--no-defaults", "--protocol=TCP", "-N", "-B", "-u", "root", "-h", &host, "-P", &port];
        let encrypted: &[&str] = if self.more.is_empty() { &[] } else { &["--ssl"] };
        run(command("mariadb", &[&fixed[..], encrypted, args].concat()), input)
    }

    /// As if it had crashed: nothing is finished, all connections break, and nobody listens any more.
    pub fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, Signal::KILL);
            let _ended = wait(&mut child, Duration::from_secs(10));
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.crash();
    }
}
