//! `client students` at a table in shards of real processes: what people and programs are shown, and with which status it ends.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(target_os = "linux")]

mod kit;

use kit::{Process, World, address_in, text};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
};

/// A load balancer with a table, which `client students` is asked about.
struct Table {
    at: SocketAddr,
    _balancer: Process,
    world: World,
}

impl Table {
    fn empty() -> Self {
        let world = World::new();
        let (mut balancer, _) = world.balancer(&["--shards", "127.0.0.1:0"]);
        let at = address_in(&balancer.wait_for("Frontend shards is listening on"));
        Self { at, _balancer: balancer, world }
    }

    /// With two servers, each of which has both shards of ten keys.
    fn small() -> Self {
        let table = Self::empty();
        let schema =
            json!({ "columns": ["Stud_id", "Stud_name", "Stud_marks"], "dtypes": ["Number", "String", "String"] });
        let shard = |id: &str, low: i64| json!({ "Stud_id_low": low, "Shard_id": id, "Shard_size": 10 });
        let map = json!({ "N": 2, "schema": schema, "shards": [shard("a", 0), shard("b", 10)],
                          "servers": { "Server1": ["a", "b"], "Server2": ["a", "b"] } });
        fs::write(table.world.path("map.json"), map.to_string()).unwrap();
        assert_eq!(table.run("init --file map.json"), (Some(0), "Configured Database\n".to_owned(), String::new()));
        table
    }

    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        run(&self.world, self.at, line)
    }
}

/// Status, stdout and stderr of `client students` with these words.
fn run(world: &World, at: SocketAddr, line: &str) -> (Option<i32>, String, String) {
    let at = at.to_string();
    let words: Vec<&str> = ["client", "students", "--balancer", &at].into_iter().chain(line.split(' ')).collect();
    let output = world.command(&words).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_table_is_made_shown_changed_and_read_from_the_command_line() {
    let table = Table::small();
    let (status, shown, _) = table.run("status");
    assert!(status == Some(0) && shown.ends_with("2 servers, 2 shards\n"), "{shown}");
    assert!(shown.lines().any(|line| ["b", "10", "19", "Server1 Server2"].iter().all(|w| line.contains(w))), "{shown}");
    for (line, said) in [
        ("write 7 Ada 27", "1 Data entries added"),
        ("write 12 Bea A+", "1 Data entries added"),
        ("update 7 --marks 28", "Data entry for Stud_id: 7 updated"),
        ("update 12 --name Cleo --marks -1", "Data entry for Stud_id: 12 updated"),
    ] {
        assert_eq!(table.run(line), (Some(0), format!("{said}\n"), String::new()), "{line}");
    }
    let csv = "Stud_id,Stud_name,Stud_marks\r\n7,Ada,28\r\n12,Cleo,-1\r\n";
    assert_eq!(table.run("read 0 19 --format csv").1, csv);
    let (_, shown, _) = table.run("read 7");
    assert!(shown.contains("Stud_name") && shown.contains("Ada") && !shown.contains("Cleo"), "{shown}");
    let row = r#"{"Stud_id":7,"Stud_name":"Ada","Stud_marks":28}"#;
    let json = format!("{{\"shards_queried\":[\"a\"],\"data\":[{row}],\"status\":\"success\"}}\n");
    assert_eq!(table.run("--format json read 7").1, json);
    assert_eq!(table.run("delete 7").1, "Data entry with Stud_id:7 removed from all replicas\n");
    assert_eq!(table.run("read 7"), (Some(0), "No student\n".to_owned(), String::new()));
}

#[test]
fn a_file_is_loaded_in_batches_and_comes_out_as_it_went_in() {
    let table = Table::empty();
    assert_eq!(table.run("init").0, Some(0));
    let mut csv = "Stud_id,Stud_name,Stud_marks\r\n".to_owned();
    (0..5_000).for_each(|id| write!(csv, "{id},\"N, {id}\",{}\r\n", id % 100).unwrap());
    fs::write(table.world.path("five.csv"), &csv).unwrap();
    assert_eq!(table.run("load five.csv --batch 700"), (Some(0), "5000 rows written\n".to_owned(), String::new()));
    assert_eq!(table.run("read 0 16383 --format csv").1, csv);
    let (status, said, _) = table.run("load five.csv --format json");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &said["written"], &said["next_line"]), (Some(1), &json!(0), &json!(2)));
    assert_eq!(said["unknown_lines"], Value::Null);
}

#[test]
fn what_is_wrong_is_explained_and_what_was_written_is_told() {
    let table = Table::small();
    let file = |name: &str, lines: &str| {
        fs::write(table.world.path(name), format!("Stud_id,Stud_name,Stud_marks\n{lines}")).unwrap();
    };
    file("late.csv", "1,A,1\n2,B,2\n3,C,3\n99,D,4\n5,E,5\n");
    let (status, out, said) = table.run("load late.csv --batch 2");
    assert_eq!((status, out.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("No shard has Stud_id 99 (line 5)"), "{said}");
    let told = "Written: 2 of 5 rows, those before line 4. Lines 4 to 5: not written, and nothing behind them is.\nTo go \
                on: the same with --from 4.\n";
    assert!(said.ends_with(told), "{said}");
    assert_eq!(table.run("read 0 9 --format csv").1.lines().count(), 3);
    file("late.csv", "1,A,1\n2,B,2\n3,C,3\n9,D,4\n5,E,5\n");
    let (status, out, said) = table.run("load late.csv --from 4");
    assert_eq!((status, out.as_str(), said.as_str()), (Some(0), "3 rows written\n", ""));
    let (status, _, said) = table.run("load late.csv");
    assert!(status == Some(1) && said.contains("Stud_id 1 is there already (line 2)"), "{said}");
    file("wrong.csv", "11,A,1\n12,B\n");
    let (status, _, said) = table.run("load wrong.csv --batch 1");
    assert!(
        status == Some(1) && said.contains("Line 3 of wrong.csv") && said.contains("Nothing was written"),
        "{said}"
    );
    for (line, status, why) in [
        ("load none.csv", 1, "cannot be read"),
        ("init --file none.json", 1, "cannot be read"),
        ("init", 1, "configured already"),
        ("write 1 Ada 1", 1, "Stud_id 1 is there already"),
        ("update 8 --marks 1", 1, "no Stud_id 8"),
        ("delete 8", 1, "no Stud_id 8"),
        ("read 15 25", 1, "No shard has Stud_id 20"),
        ("update 8", 2, "--name"),
        ("delete 8 --format csv", 2, "--format json"),
        ("read x", 2, "invalid value 'x'"),
    ] {
        let (code, _, said) = table.run(line);
        assert!(code == Some(status) && said.contains(why), "{line}: {code:?} {said}");
    }
    let (code, said, _) = table.run("delete 8 --format json");
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &told["status"]), (Some(1), &json!("failure")), "{said}");
}

/// One who accepts, reads, and hangs up: a change may be done, a look is not.
#[test]
fn a_lost_answer_to_a_change_is_an_unknown_outcome() {
    let world = World::new();
    let nobody = "127.0.0.1:1".parse().unwrap();
    let (code, _, said) = run(&world, nobody, "delete 1");
    assert!(code == Some(1) && said.contains("Is there a loadbalancer with --shards?"), "{said}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for answer in ["", "", "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 2\r\n\r\n{}"] {
            let (mut stream, _) = listener.accept().unwrap();
            let _some = stream.read(&mut [0; 1_024]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let (code, _, said) = run(&world, at, "delete 1");
    assert!(code == Some(3) && said.contains("may be done, or not"), "{said}");
    assert_eq!(run(&world, at, "read 1").0, Some(1));
    assert_eq!(run(&world, at, "delete 1").0, Some(3));
    server.join().unwrap();
}
