//! No row is lost or there twice, whatever keeps it, although servers are killed and the database itself is restarted: the drill `database`
//! with smaller numbers.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(target_os = "linux")]

use lab::{
    drill::{
        Setting,
        database::{Engine, Scene, play},
    },
    process::Binary,
};
use protocol::{output::show, stop::Stop};
use std::env;

fn drill(engine: Engine) {
    if let Err(why) = engine.is_here() {
        assert!(env::var_os("DATABASES").is_none_or(|wish| wish != "required"), "{why}");
        show!("not tested here: the drill of {engine:?} ({why})");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting {
        binary: Binary::at(env!("CARGO_BIN_EXE_lab")),
        folder: folder.path().to_owned(),
        seed: fastrand::u64(1..1_000_000),
        stop: Stop::new(),
        apart: false,
    };
    let scene = Scene { engine, clients: 12, requests: 40, ..Scene::default() };
    let report = play(&setting, &scene).unwrap_or_else(|error| panic!("seed {}: {error:#}", setting.seed));
    assert!(report.good, "{}", serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn on_sqlite() {
    drill(Engine::Sqlite);
}

#[test]
fn on_postgresql_which_is_restarted() {
    drill(Engine::Postgres);
}

#[test]
fn on_mariadb_which_is_restarted() {
    drill(Engine::Mariadb);
}
