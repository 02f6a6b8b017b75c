//! A running server in a folder of its own, for the tests of all services.

use crate::{Config, Running, ServiceName, Work};
use protocol::{database::DatabaseConfig, deadline::Deadline, output::set_quiet, stop::Stop};
use std::{fs, net::TcpStream, path::Path, thread, time::Duration};

/// After this a test has failed.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// A server and its folder.
pub(super) struct Fixture {
    pub(super) running: Running,
    pub(super) folder: tempfile::TempDir,
}

/// A server on free ports that takes one request at a time, at once.
pub(super) fn config(folder: &Path, service: ServiceName) -> Config {
    let here = "127.0.0.1:0".parse().unwrap();
    fs::create_dir_all(folder.join("files")).unwrap();
    let database = DatabaseConfig::Sqlite { path: folder.join("database.sqlite") };
    Config {
        token: None,
        join: None,
        advertise: None,
        announce: false,
        id: "1".into(),
        service,
        listen: here,
        control: here,
        processing_time: 0.0,
        really: None,
        work: Work::Sleep,
        capacity: 1,
        statement_time: LONG,
        registry: folder.join("servers.json"),
        database: service.has_database().then_some(database),
        files: folder.join("files"),
        tag_bytes: 2,
        statistics: None,
        statistics_every: LONG,
        table: None,
        unknown: Default::default(),
        shard_file: folder.join("shards.sqlite"),
        shard_database: None,
        ring: None,
    }
}

/// Starts a server of this service, with a configuration that was adjusted.
pub(super) fn start(service: ServiceName, adjust: impl FnOnce(&mut Config)) -> Fixture {
    set_quiet(true);
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), service);
    adjust(&mut config);
    Fixture { running: Running::start(&config, Stop::new()).unwrap(), folder }
}

impl Fixture {
    pub(super) fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.running.address()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    pub(super) fn file(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join("files").join(name), content).unwrap();
    }

    /// A file of zeros that takes no room, neither on the disk nor here.
    pub(super) fn large_file(&self, name: &str, size: u64) -> fs::File {
        let file = fs::File::create(self.folder.path().join("files").join(name)).unwrap();
        file.set_len(size).unwrap();
        file
    }

    /// Waits until this many requests are in process.
    pub(super) fn until_active(&self, active: u32) {
        let until = Deadline::after(LONG);
        while self.running.active() != active {
            assert!(!until.has_passed(), "{} requests are in process, not {active}", self.running.active());
            thread::yield_now();
        }
    }
}
