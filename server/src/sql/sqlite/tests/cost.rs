//! What a record costs.

use super::*;

/// How much longer a write takes for its record. `cargo test --release -p server what_a_write_costs -- --ignored --nocapture`
#[cfg(target_os = "linux")]
#[test]
#[ignore = "a measurement"]
fn what_a_write_costs() {
    for (name, durable) in [("durable commits", true), ("commits that cost nothing", false)] {
        let folder = if durable { tempfile::tempdir_in(".") } else { tempfile::tempdir_in("/dev/shm") }.unwrap();
        let db = Sqlite::open(&folder.path().join("database.sqlite")).unwrap();
        changed(&db, "CREATE TABLE t (a, b)");
        let (client, rounds, each) = (client(), 15, if durable { 300 } else { 4_000 });
        let mut sequence = 0;
        let mut round = |recorded: bool| {
            let begin = Instant::now();
            for _ in 0..each {
                sequence += 1;
                let request = if recorded { id(client, sequence) } else { RequestId::NONE };
                let statement = Statement { low_water: sequence, ..first("INSERT INTO t VALUES (1, 'text')", request) };
                ask(&db, &statement).unwrap();
            }
            begin.elapsed().as_secs_f64() / f64::from(each) * 1e6
        };
        let mut without: Vec<f64> = Vec::new();
        let mut with: Vec<f64> = Vec::new();
        for _ in 0..rounds {
            without.push(round(false));
            with.push(round(true));
        }
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let (without, with) = (median(&mut without), median(&mut with));
        protocol::show!("{name}: {without:.1} us without a record, {with:.1} us with one, ratio {:.2}", with / without);
    }
}
