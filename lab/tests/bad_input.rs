//! Bad input, through everything: each gets a clear sentence, nobody else notices, nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{Answer, Asking, Lab, World};
use protocol::message::ErrorCode::{self, BadRequest, Forbidden, NotFound, SqlError, Timeout};
use std::time::{Duration, Instant};

/// Files: unknown, without a name, out of the directory by any way, and what is no file.
#[test]
#[cfg(unix)]
fn no_name_leads_out_of_the_files_directory() {
    let world = World::new();
    std::fs::write(world.path("secret.txt"), "secret").unwrap();
    std::fs::create_dir(world.path("files/folder")).unwrap();
    std::os::unix::fs::symlink("../secret.txt", world.path("files/link.txt")).unwrap();
    std::os::unix::fs::symlink("/etc", world.path("files/etc")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.path("files/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let absolute = world.path("secret.txt").display().to_string();
    let lab = Lab::start_in(world, &["0"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    let names = [
        "nothing.csv",
        "",
        ".",
        "..",
        "../secret.txt",
        "../../etc/passwd",
        "folder/../../secret.txt",
        &absolute,
        "/etc/passwd",
        "link.txt",
        "etc/passwd",
        "pipe",
        "folder",
        "folder/",
        "colors.csv/",
        "..\\secret.txt",
        "a\0b",
        "C:\\secret.txt",
        "/dev/zero",
        "/proc/self/environ",
    ];
    for name in names {
        let failure = asking.file(name).failure();
        assert!(failure.definite && [NotFound, Forbidden, BadRequest].contains(&failure.code), "{name:?}: {failure:?}");
        let folder = lab.world.path("").display().to_string();
        assert!(name.starts_with('/') || !failure.message.contains(&folder), "a path of the machine: {failure:?}");
    }
    let long = "x".repeat(5_000);
    assert!(asking.file(&long).failure().definite);
    assert_eq!(asking.file("nothing.csv").failure().message, "File nothing.csv not found in server!");
    assert!(matches!(asking.file("colors.csv"), Answer::File { .. }), "the same connection and server still serve");
}

/// SQL: what is wrong, what is forbidden, what would never end.
#[test]
fn bad_sql_is_refused_with_a_reason_and_hurts_nobody() {
    let lab = Lab::start(&["0"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    let cases: &[(&str, &[ErrorCode])] = &[
        ("SELEC 1", &[SqlError]),
        ("SELECT * FROM nowhere", &[SqlError]),
        ("SELECT 1; DROP TABLE COLORS", &[BadRequest, Forbidden]),
        ("", &[BadRequest]),
        ("-- nothing", &[BadRequest]),
        ("ATTACH 'other.db' AS other", &[Forbidden]),
        ("SELECT load_extension('x')", &[Forbidden, SqlError]),
        ("VACUUM INTO 'copy.db'", &[Forbidden]),
        ("PRAGMA journal_mode = DELETE", &[Forbidden]),
        ("PRAGMA writable_schema = 1", &[Forbidden]),
        ("BEGIN", &[Forbidden]),
        ("COMMIT", &[Forbidden]),
        ("DELETE FROM lab_identity", &[Forbidden]),
        ("SELECT * FROM lab_identity", &[Forbidden]),
    ];
    for (sql, codes) in cases {
        let failure = asking.query(sql).failure();
        assert!(codes.contains(&failure.code) && failure.definite, "{sql}: {failure:?}");
        assert!(failure.message.len() > 10, "{sql}: {failure:?}");
    }
    assert_eq!(asking.query("SELECT count(*) FROM COLORS").rows().len(), 1);
}

/// A query that would run for ever is stopped within its time, and its server is free again.
#[test]
fn a_query_that_would_run_for_ever_is_stopped() {
    let lab = Lab::start(&["0"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    let begin = Instant::now();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let failure = asking.query(endless).failure();
    assert_eq!(failure.code, Timeout, "{failure:?}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(matches!(asking.query("SELECT 1"), Answer::Rows { .. }));
}

/// A million rows stream: all of them arrive, in order, and no process grows with them.
#[test]
#[cfg(target_os = "linux")]
fn a_million_rows_stream_in_bounded_memory() {
    let lab = Lab::start(&["0"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    assert!(matches!(asking.query("SELECT 1"), Answer::Rows { .. }));
    let before = [lab.servers[0].pid(), lab.balancer.pid()].map(|pid| (pid, kit::resident(pid)));
    let million =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) SELECT i, 'row ' || i FROM n";
    let rows = asking.query(million).rows();
    assert_eq!(rows.len(), 1_000_000);
    assert!(rows.iter().zip(1..).all(|(row, i)| row[0] == protocol::value::Value::Integer(i)), "out of order");
    for (pid, resident) in before {
        let grown = kit::peak_resident(pid).saturating_sub(resident);
        assert!(grown < 32 << 20, "process {pid} grew by {grown} bytes");
    }
}

/// Wrong command lines: status 2 and a sentence, from every program.
#[test]
fn wrong_command_lines_are_explained() {
    let world = World::new();
    let cases: &[(&[&str], &str)] = &[
        (&["server"], "required"),
        (&["server", "1", "99999", "0"], "99999"),
        (&["server", "1", "0", "-1"], "-1"),
        (&["server", "1", "0", "ten"], "ten"),
        (&["server", "a b", "0", "0"], "a b"),
        (&["server", "1", "0", "0", "--capacity", "0"], "0"),
        (&["loadbalancer", "--balance", "luck"], "luck"),
        (&["loadbalancer", "--listen", "nowhere"], "nowhere"),
        (&["loadbalancer", "--queue-timeout", "-5"], "-5"),
        (&["client"], "required"),
        (&["client", "1", "--format", "xml"], "xml"),
        (&["client", "1", "--request-timeout", "0"], "0"),
        (&["up", "--servers", "x"], "x"),
        (&["drill"], "required"),
        (&["drill", "earthquake"], "earthquake"),
        (&["bench", "--rounds", "0"], "0"),
        (&["nonsense"], "nonsense"),
    ];
    for (args, mention) in cases {
        let output = world.command(args).output().unwrap();
        let said = kit::text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(mention), "{args:?}: {said}");
    }
    for program in ["server", "loadbalancer", "client", "up", "drill", "bench"] {
        let output = world.command(&[program, "--help"]).output().unwrap();
        assert!(output.status.success() && kit::text(&output.stdout).contains("Usage"), "{program}");
    }
}
