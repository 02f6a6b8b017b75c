//! What keeps the shards in a test.
//!
//! `LAB_POSTGRES` says where a PostgreSQL is (`user:password@host:port`); without it one is looked for on this machine. Where there is none,
//! its tests say so and pass, unless `DATABASES=required`.

use super::{Status, ask, schema, state};
use crate::{
    Config, ServiceName,
    service::fixture::{self, Fixture},
};
use protocol::{database::DatabaseConfig, http::Method};
use serde_json::json;

/// Runs each of these with each engine.
macro_rules! on_each_engine {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $test() { super::$test(&super::On::sqlite()) })*
        }
        #[cfg(feature = "postgres")]
        mod on_postgres {
            $(#[test] fn $test() { super::On::postgres().iter().for_each(super::$test) })*
        }
    };
}
pub(super) use on_each_engine;

/// An engine.
pub(super) struct On {
    database: Option<DatabaseConfig>,
    #[cfg(feature = "postgres")]
    made: Option<super::postgres::Made>,
}

impl On {
    pub(super) fn sqlite() -> Self {
        Self {
            database: None,
            #[cfg(feature = "postgres")]
            made: None,
        }
    }

    /// A database of its own, if there is a PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(super) fn postgres() -> Option<Self> {
        let made = super::postgres::Made::new()?;
        Some(Self { database: Some(DatabaseConfig::Postgres(made.account.clone())), made: Some(made) })
    }

    #[cfg(feature = "postgres")]
    pub(super) fn made(&self) -> Option<&super::postgres::Made> {
        self.made.as_ref()
    }

    /// A replica that has no shards yet.
    pub(super) fn start(&self, id: &str, adjust: impl FnOnce(&mut Config)) -> Fixture {
        fixture::start(ServiceName::Shard, |config| {
            (config.id, config.capacity) = (id.into(), 64);
            config.shard_database.clone_from(&self.database);
            adjust(config);
        })
    }

    /// A replica of these shards.
    pub(super) fn replica(&self, id: &str, shards: &[&str]) -> Fixture {
        let server = self.start(id, |_| {});
        let (status, told) = ask(&server, Method::Post, "/config", &json!({ "schema": schema(), "shards": shards }));
        assert_eq!(status, Status::OK, "{told}");
        server
    }

    /// How many tables server 0 has that are no shard's.
    pub(super) fn scratch(&self, server: &Fixture) -> usize {
        #[cfg(feature = "postgres")]
        if let Some(made) = &self.made {
            let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'shards_0' AND tablename LIKE 'shard\\_%'";
            return made.number(tables) - state(server).len();
        }
        let db = rusqlite::Connection::open(server.folder.path().join("shards.sqlite")).unwrap();
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'shard!_%' ESCAPE '!'";
        let tables: u32 = db.query_row(tables, [], |row| row.get(0)).unwrap();
        tables as usize - state(server).len()
    }
}

/// A copy is taken when its rows are there; dropping those that were there before takes as long as there are some, and is for later.
#[test]
fn a_fill_is_done_before_what_it_replaces_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shards.sqlite");
    let store = super::super::store::Store::open("0", &path, None).unwrap();
    store.configure(&serde_json::from_value(schema()).unwrap(), &["sh1".to_owned()]).unwrap();
    let tables = || {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'shard!_%' ESCAPE '!'";
        rusqlite::Connection::open(&path).unwrap().query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap()
    };
    let copy = json!({ "sh1": [super::student(1)], "seq": { "sh1": 1 }, "status": "success" }).to_string();
    assert_eq!(store.fill(copy.as_bytes()).unwrap().shards["sh1"].rows, 1);
    assert_eq!(tables(), 2, "the old one is still there");
    store.tidy();
    assert_eq!(tables(), 1);
}

/// Sweeps overlap with the next fill. One that has listed a table long ago must not find another one under its number, nor one that is a
/// shard's by now.
#[test]
fn a_table_that_is_dropped_late_is_no_other_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shards.sqlite");
    let store = super::super::store::Store::open("0", &path, None).unwrap();
    store.configure(&serde_json::from_value(schema()).unwrap(), &["sh1".to_owned()]).unwrap();
    let tables = || {
        let db = rusqlite::Connection::open(&path).unwrap();
        let sql = "SELECT name FROM sqlite_schema WHERE name LIKE 'shard!_%' ESCAPE '!' ORDER BY name";
        let mut found = db.prepare(sql).unwrap();
        let names = found.query_map([], |row| row.get::<_, String>(0)).unwrap();
        names.map(Result::unwrap).collect::<Vec<_>>()
    };
    let copy = json!({ "sh1": [super::student(1)], "seq": { "sh1": 1 }, "status": "success" }).to_string();
    // The table of a fill that is cut off has a number that none has after it.
    assert!(store.fill(&copy.as_bytes()[..copy.len() - 20]).is_err());
    assert_eq!(tables(), ["shard_1", "shard_2"]);
    store.tidy();
    store.fill(copy.as_bytes()).unwrap();
    assert_eq!(tables(), ["shard_1", "shard_3"], "2 is not given again");
    // A sweep that has listed these long ago: one is a shard's, one is nowhere, and one may go.
    [3, 2, 1].iter().for_each(|number| store.discard(*number, true));
    assert_eq!(tables(), ["shard_3"]);
    let mut rows = Vec::new();
    store.rows(&["sh1".to_owned()]).unwrap().write_all(&mut rows).unwrap();
    assert!(String::from_utf8(rows).unwrap().contains(r#""Stud_name":"N1""#), "its row is there");
}

/// What a kill in the middle of a fill would leave, the files as they are then, is removed at the next start.
#[test]
fn what_a_killed_server_was_filling_is_removed_when_the_next_one_starts() {
    let on = On::sqlite();
    let server = on.replica("0", &["sh1"]);
    super::write(&server, "sh1", Some(1), [1]);
    let fill = super::SlowFill::begin(&server, &super::begun_copy("sh1", 0..1_500));
    super::until_scratch(&on, &server, 1);
    let folder = tempfile::tempdir().unwrap();
    for name in ["shards.sqlite", "shards.sqlite-wal"] {
        std::fs::copy(server.folder.path().join(name), folder.path().join(name)).unwrap();
    }
    drop(fill);
    let mut again = on.start("0", |config| config.shard_file = folder.path().join("shards.sqlite"));
    again.folder = folder;
    assert_eq!((on.scratch(&again), state(&again)["sh1"]), (0, (1, 1)));
    assert_eq!(super::ids(&again, "sh1", 0, 9_999), [1]);
}
