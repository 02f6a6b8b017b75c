//! A database that is reached over TLS, with an authority of a class's own: who is spoken to, and who is not.

use crate::{
    kit::{Asking, Lab, World, text as said},
    postgres::{PROGRAMS, Postgres},
    programs::{are_here, command, run, text},
};
use protocol::value::Value;
use std::{fs, process::Output};

/// An authority, and a certificate of it for `localhost`, as `openssl` makes them.
pub struct Papers {
    pub folder: World,
}

impl Papers {
    pub fn make() -> Self {
        let papers = Self { folder: World::new() };
        let path = |name: &str| text(&papers.folder.path(name)).to_owned();
        let openssl = |args: &[&str]| run(command("openssl", args), "").done();
        let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        for authority in ["ca", "other"] {
            let (key, pem, name) =
                (path(&format!("{authority}.key")), path(&format!("{authority}.pem")), format!("/CN={authority}"));
            let own = ["req", "-x509", "-days", "30", "-subj", &name, "-keyout", &key, "-out", &pem];
            openssl(&[&own[..], &new].concat());
        }
        fs::write(path("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
        let (key, wish) = (path("server.key"), path("server.csr"));
        openssl(&[&["req", "-subj", "/CN=localhost", "-keyout", &key, "-out", &wish][..], &new].concat());
        let (ca, ca_key, names, out) = (path("ca.pem"), path("ca.key"), path("names"), path("server.crt"));
        let by = ["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", "30", "-extfile", &names];
        openssl(&[&["x509", "-req", "-in", &wish, "-out", &out][..], &by].concat());
        papers
    }

    /// A folder whose `database.json` leads there, with these keys more.
    fn world(&self, postgres: &Postgres, host: &str, keys: &str) -> World {
        let world = World::new();
        for authority in ["ca.pem", "other.pem"] {
            fs::copy(self.folder.path(authority), world.path(authority)).unwrap();
        }
        let port = postgres.address.port();
        let config = format!(
            r#"{{"engine":"postgres","host":"{host}","port":{port},"database":"lab","user":"lab_server","password-env":"SECRET"{keys}}}"#
        );
        fs::write(world.path("database.json"), config).unwrap();
        world
    }
}

fn init(world: &World) -> Output {
    world.command(&["server", "init-database"]).env("SECRET", "x").output().unwrap()
}

const VERIFY: &str = r#","tls":"verify-full","tls-ca":"ca.pem""#;

#[test]
fn a_database_with_tls_is_reached_by_those_alone_who_ask_for_it() {
    if !are_here(&PROGRAMS) || !are_here(&["openssl"]) {
        return;
    }
    let (papers, mut postgres) = (Papers::make(), Postgres::start());
    let plain = init(&papers.world(&postgres, "localhost", VERIFY));
    assert!(said(&plain.stderr).contains("it speaks no TLS, which database.json asks for"), "{plain:?}");
    postgres.only_with_tls(&papers.folder.path("server.crt"), &papers.folder.path("server.key"));

    for (host, keys, expected) in [
        ("localhost", "", "no encryption"),
        ("localhost", r#","tls":"verify-full","tls-ca":"other.pem""#, "its certificate is not accepted"),
        ("127.0.0.1", VERIFY, "its certificate is not accepted"),
        ("localhost", r#","tls":"verify-full","tls-ca":"database.json""#, "holds no certificate"),
        ("localhost", r#","tls":"verify-full","tls-ca":"nowhere.pem""#, "authority's certificate cannot be read"),
    ] {
        let refused = init(&papers.world(&postgres, host, keys));
        let words = said(&refused.stderr);
        assert!(!refused.status.success() && words.contains(expected), "{host} {keys}: {words}");
    }
    for (host, keys) in [("127.0.0.1", r#","tls":"require""#), ("localhost", VERIFY)] {
        let ready = init(&papers.world(&postgres, host, keys));
        assert!(ready.status.success(), "{ready:?}");
    }
}

#[test]
fn statements_travel_encrypted_whatever_their_length_and_are_ended_as_ever() {
    if !are_here(&PROGRAMS) || !are_here(&["openssl"]) {
        return;
    }
    let (papers, mut postgres) = (Papers::make(), Postgres::start());
    postgres.only_with_tls(&papers.folder.path("server.crt"), &papers.folder.path("server.key"));
    let world = papers.world(&postgres, "localhost", VERIFY);
    assert!(init(&world).status.success());
    // As a class does it that has no environment to set.
    let config = fs::read_to_string(world.path("database.json")).unwrap();
    fs::write(world.path("secret"), "x\n").unwrap();
    let config = config.replace(r#""password-env":"SECRET""#, r#""password-file":"secret""#);
    fs::write(world.path("database.json"), config).unwrap();
    let lab = Lab::start_in(world, &["0"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    let encrypted = asking.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").rows();
    assert_eq!(encrypted, [[Value::Integer(1)]]);
    let rows = asking.query("SELECT n, repeat('x', 100) FROM generate_series(1, 100000) n").rows();
    assert_eq!(rows.len(), 100_000);
    let long = format!("SELECT length('{}')", "y".repeat(900_000));
    assert_eq!(asking.query(&long).rows(), [[Value::Integer(900_000)]]);
    asking.query("CREATE TABLE t (a int)");
    asking.query("INSERT INTO t SELECT generate_series(1, 10)");
    assert_eq!(asking.query("SELECT count(*) FROM t").rows(), [[Value::Integer(10)]]);
    // Its client goes away; the wish to cancel is heard although only TLS is spoken there.
    let mut gone = Asking::connect(lab.address);
    gone.send_query("SELECT pg_sleep(1000)");
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(1000)%' AND pid <> pg_backend_pid() \
                    AND state = 'active'";
    crate::kit::eventually("it sleeps", || postgres.ask(sleeping) == "1");
    drop(gone);
    crate::kit::eventually("it is ended", || postgres.ask(sleeping) == "0");
}
