//! A MariaDB is made ready: by hand, with TLS, and with a data set of one's own.

use crate::{
    database::world_on,
    database_tls::Papers,
    kit::{Answer, Asking, Lab, World, eventually, text as said},
    load_csv::all_or_nothing,
    mysql::{MariaDb, PROGRAMS},
    programs::are_here,
};
use protocol::value::Value;
use std::fs;

#[test]
fn a_csv_is_loaded_whole_or_not_at_all_on_mariadb() {
    if are_here(&PROGRAMS) {
        let server = MariaDb::start();
        all_or_nothing(world_on("mysql", server.address));
    }
}

#[test]
fn what_init_database_prints_makes_mariadb_ready_when_it_is_typed() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let mariadb = MariaDb::start();
    let world = World::new();
    let port = mariadb.address.port();
    let config =
        format!(r#"{{"engine":"mariadb","port":{port},"database":"class_1","user":"them","password":"it's \\ x"}}"#);
    fs::write(world.path("database.json"), config).unwrap();
    let server = world.command(&["server", "1", "0", "0", "--files", "files"]).output().unwrap();
    assert!(!server.status.success() && said(&server.stderr).contains("cannot be used"), "{server:?}");
    let printed = world.command(&["server", "init-database", "--print"]).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    mariadb.read(&printed.stdout);
    // Once more, by the program: it finds what was typed.
    let ready = world.command(&["server", "init-database"]).output().unwrap();
    assert!(ready.status.success(), "{ready:?}");
    mariadb.ask("class_1", "CREATE TABLE t (a int)");
    let lab = Lab::start_in(world, &["0"], &["--quiet"]);
    assert!(matches!(Asking::connect(lab.address).query("INSERT INTO t VALUES (1)"), Answer::Changed { rows: 1, .. }));
}

/// A folder whose `database.json` leads there with these keys more, and what `init-database` has said to it.
fn at(papers: &Papers, mariadb: &MariaDb, host: &str, keys: &str) -> (World, bool, String) {
    let world = World::new();
    for authority in ["ca.pem", "other.pem"] {
        fs::copy(papers.folder.path(authority), world.path(authority)).unwrap();
    }
    let port = mariadb.address.port();
    let config = format!(
        r#"{{"engine":"mariadb","host":"{host}","port":{port},"database":"lab","user":"lab_server","password":"x"{keys}}}"#
    );
    fs::write(world.path("database.json"), config).unwrap();
    let output = world.command(&["server", "init-database"]).output().unwrap();
    (world, output.status.success(), said(&output.stderr))
}

#[test]
fn statements_travel_encrypted_to_mariadb_and_are_ended_as_ever() {
    if !are_here(&PROGRAMS) || !are_here(&["openssl"]) {
        return;
    }
    let (papers, mut mariadb) = (Papers::make(), MariaDb::start());
    let verify = r#","tls":"verify-full","tls-ca":"ca.pem""#;
    let (_, _, words) = at(&papers, &mariadb, "localhost", verify);
    assert!(words.contains("it speaks no TLS, which database.json asks for"), "{words}");
    mariadb.only_with_tls(&papers.folder.path("server.crt"), &papers.folder.path("server.key"));
    for (host, keys, expected) in [
        ("localhost", "", "refused the login"),
        ("localhost", r#","tls":"verify-full","tls-ca":"other.pem""#, "its certificate is not accepted"),
        ("127.0.0.1", verify, "its certificate is not accepted"),
    ] {
        let (_, good, words) = at(&papers, &mariadb, host, keys);
        assert!(!good && words.contains(expected), "{host} {keys}: {words}");
    }
    let (_, good, words) = at(&papers, &mariadb, "127.0.0.1", r#","tls":"require""#);
    assert!(good, "{words}");
    let (world, good, words) = at(&papers, &mariadb, "localhost", verify);
    assert!(good, "{words}");
    let lab = Lab::start_in(world, &["0"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    let rows = asking.query("SHOW STATUS LIKE 'Ssl_version'").rows();
    assert!(matches!(&rows[0][1], Value::Text(version) if version.starts_with("TLSv1.")), "{rows:?}");
    assert_eq!(asking.query("SELECT id, station FROM MEASUREMENTS").rows().len(), 100_000);
    let long = format!("SELECT length('{}')", "y".repeat(900_000));
    assert_eq!(asking.query(&long).rows(), [[Value::Integer(900_000)]]);
    // Its client goes away; the wish to end it is heard although only TLS is spoken there.
    let mut gone = Asking::connect(lab.address);
    gone.send_query("SELECT sleep(1000)");
    let sleeping = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT sleep(1000)%'";
    eventually("it sleeps", || mariadb.ask("mysql", sleeping) == "1");
    drop(gone);
    eventually("it is ended", || mariadb.ask("mysql", sleeping) == "0");
}
