//! `server load-csv` and `server init-database --print`, from the file to a client's SELECT, on SQLite and on a PostgreSQL of our own.

use crate::{
    database::world as on_postgres,
    kit::{Asking, Lab, World, text as said},
    postgres::{PROGRAMS, Postgres, psql},
    programs::are_here,
};
use protocol::value::Value;
use std::{fs, process::Output};

fn load(world: &World, file: &str, table: &str) -> Output {
    world.command(&["server", "load-csv", file, "--table", table]).output().unwrap()
}

/// What goes wrong says what, and leaves nothing behind.
pub fn all_or_nothing(world: World) {
    let write = |name: &str, content: &[u8]| fs::write(world.path(name), content).unwrap();
    // More than one INSERT takes.
    let mut text =
        String::from("\u{feff}Name,Order,note\r\nO'Neill,1,\"a, \"\"b\"\"\r\nc \\ d\"\r\n,2,\u{e4}\u{1f3a8}\r\n");
    (3..=5_000).for_each(|n| text += &format!("name {n},{n},{}\r\n", "x".repeat(80)));
    write("good.csv", text.as_bytes());
    let loaded = load(&world, "good.csv", "Results");
    assert!(said(&loaded.stdout).contains("5000 rows are in the table Results."), "{loaded:?}");

    write("quote.csv", b"a,b\n1,2\n3,\"4\n");
    write("fields.csv", b"a,b\n1,2\n3\n");
    write("latin1.csv", b"a,b\n1,2\n3,\xe4\n");
    write("empty.csv", b"");
    for (file, table, expected) in [
        ("quote.csv", "t", "Line 3 has a quotation mark that is not closed. Nothing was loaded."),
        ("fields.csv", "t", "Row 2 has 1 fields, and there are 2 titles. Nothing was loaded."),
        ("latin1.csv", "t", "Line 3 is not UTF-8. Save the file as UTF-8. Nothing was loaded."),
        ("empty.csv", "t", "There is no line of titles."),
        ("nowhere.csv", "t", "nowhere.csv cannot be read"),
        ("good.csv", "Results", "The table Results cannot be made: "),
        ("good.csv", "COLORS", "The table COLORS cannot be made: "),
    ] {
        let refused = load(&world, file, table);
        let words = said(&refused.stderr);
        assert!(!refused.status.success() && words.contains(expected), "{file}: {words}");
    }

    let lab = Lab::start_in(world, &["0"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    let text = |text: &str| Value::Text(text.into());
    let rows =
        asking.query("SELECT Name, \"order\", note FROM Results WHERE \"order\" IN ('1', '2') ORDER BY \"order\"");
    let first = [text("O'Neill"), text("1"), text("a, \"b\"\r\nc \\ d")];
    assert_eq!(rows.rows(), [first, [text(""), text("2"), text("\u{e4}\u{1f3a8}")]]);
    assert_eq!(asking.query("SELECT count(*) FROM Results").rows(), [[Value::Integer(5_000)]]);
    assert_eq!(asking.query("SELECT count(*) FROM COLORS").rows(), [[Value::Integer(139)]]);
    assert!(asking.query("SELECT * FROM t").failure().definite);
}

#[test]
fn a_csv_is_loaded_whole_or_not_at_all_on_sqlite() {
    let world = World::new();
    let ready = world.command(&["server", "init-database"]).output().unwrap();
    assert!(ready.status.success(), "{ready:?}");
    all_or_nothing(world);
}

#[test]
fn a_csv_is_loaded_whole_or_not_at_all_on_postgresql() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let postgres = Postgres::start();
    all_or_nothing(on_postgres(&postgres));
}

#[test]
fn what_init_database_prints_makes_a_database_ready_when_it_is_typed() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let postgres = Postgres::start();
    let world = World::new();
    let port = postgres.address.port();
    let config =
        format!(r#"{{"engine":"postgres","port":{port},"database":"class","user":"them","password":"it's \\ x"}}"#);
    fs::write(world.path("database.json"), config).unwrap();
    let server = world.command(&["server", "1", "0", "0", "--files", "files"]).output().unwrap();
    assert!(!server.status.success() && said(&server.stderr).contains("cannot be used"), "{server:?}");
    let printed = world.command(&["server", "init-database", "--print"]).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    psql(postgres.address, &["-v", "ON_ERROR_STOP=1"], printed.stdout).done();
    // Once more, by the program: it finds what was typed.
    let ready = world.command(&["server", "init-database"]).output().unwrap();
    assert!(ready.status.success(), "{ready:?}");
    let lab = Lab::start_in(world, &["0"], &["--quiet"]);
    assert_eq!(Asking::connect(lab.address).query("SELECT 1").rows(), [[Value::Integer(1)]]);
    let lite = World::new().command(&["server", "init-database", "--print"]).output().unwrap();
    assert!(said(&lite.stdout).contains("SQLite needs nobody to make it ready"), "{lite:?}");
}
