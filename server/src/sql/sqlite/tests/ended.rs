//! Statements that are ended from outside, and what they leave behind.

use super::*;

#[test]
fn a_statement_that_would_run_for_ever_is_ended() {
    let Fixture { db, .. } = &fixture();
    let table = [
        (format!("{FOR_EVER} SELECT count(*) FROM c"), Interrupt::TimeLimit, ErrorCode::Timeout),
        (format!("{FOR_EVER} SELECT count(*) FROM c"), Interrupt::Gone, ErrorCode::Cancelled),
        (format!("{FOR_EVER} SELECT x FROM c WHERE x < 0"), Interrupt::Gone, ErrorCode::Cancelled),
        (format!("INSERT INTO COLORS {FOR_EVER} SELECT x, 1, 2 FROM c"), Interrupt::Cancelled, ErrorCode::Cancelled),
        ("SELECT count(*) FROM COLORS a, COLORS b, COLORS c, COLORS d, COLORS e".into(), Interrupt::TimeLimit, ErrorCode::Timeout),
        ("SELECT DISTINCT a.Name || b.Name || c.Name || d.Name FROM COLORS a, COLORS b, COLORS c, COLORS d ORDER BY 1".into(), Interrupt::TimeLimit, ErrorCode::Timeout),
    ];
    for (sql, interrupt, code) in table {
        let begin = Instant::now();
        let error = db.run(&statement(&sql), &after(100, interrupt), &mut Sink::default()).unwrap_err();
        assert_eq!(error.failure().code, code, "{sql}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{sql} took {:?}", begin.elapsed());
    }
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139, "the insert was rolled back");
}

#[test]
fn a_writer_waits_for_another_server_and_is_told_when_that_takes_too_long() {
    let Fixture { db, folder } = &fixture();
    let stopped = rusqlite::Connection::open(folder.path().join("database.sqlite")).unwrap();
    stopped.execute_batch("BEGIN IMMEDIATE").unwrap();
    let insert = "INSERT INTO COLORS VALUES (1, 2, 3)";
    let error = db.run(&statement(insert), &after(100, Interrupt::TimeLimit), &mut Sink::default()).unwrap_err();
    assert!(matches!(error, SqlError::Interrupted(Interrupt::Locked)), "{error}");
    let error = db.run(&statement(insert), &after(100, Interrupt::Gone), &mut Sink::default()).unwrap_err();
    assert_eq!(error.failure().code, ErrorCode::Cancelled, "{error}");
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139, "readers do not wait");
    stopped.execute_batch("COMMIT").unwrap();
    assert_eq!(changed(db, insert), 1);
}

/// Refuses after some rows, as when nobody reads them.
struct Short(u64);

impl RowSink for Short {
    fn columns(&mut self, _: &[String]) -> Result<(), SqlError> {
        Ok(())
    }

    fn row(&mut self, _: &[Value]) -> Result<(), SqlError> {
        self.0 = self.0.checked_sub(1).ok_or(SqlError::Undeliverable)?;
        Ok(())
    }
}

#[test]
fn a_sink_that_fails_ends_the_statement_and_the_connection_is_good_again() {
    let Fixture { db, .. } = &fixture();
    for _ in 0..3 {
        let endless = format!("{FOR_EVER} SELECT x FROM c");
        let error = db.run(&statement(&endless), &patient(), &mut Short(1000)).unwrap_err();
        assert!(matches!(error, SqlError::Undeliverable), "{error}");
    }
    assert_eq!(changed(db, "UPDATE COLORS SET HEX = HEX"), 139);
}

/// Panics in the middle, as a defect would.
struct Broken;

impl RowSink for Broken {
    fn columns(&mut self, _: &[String]) -> Result<(), SqlError> {
        panic!("a defect, on purpose");
    }

    fn row(&mut self, _: &[Value]) -> Result<(), SqlError> {
        Ok(())
    }
}

#[test]
fn a_panic_in_the_middle_leaves_nothing_locked() {
    let Fixture { db, folder } = fixture();
    let run = || db.run(&statement("SELECT * FROM COLORS"), &patient(), &mut Broken).map(|_| ());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    // The clock is asked inside the transaction.
    let times = AtomicU64::new(0);
    let db = db.with_clock(move || {
        assert!(times.fetch_add(1, Ordering::Relaxed) > 0, "a defect, on purpose");
        SystemTime::now()
    });
    let insert = || db.run(&statement("INSERT INTO COLORS VALUES (1, 2, 3)"), &patient(), &mut Sink::default());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(insert)).is_err());
    assert_eq!(changed(&db, "DELETE FROM COLORS"), 139);
    let other = Sqlite::open(&folder.path().join("database.sqlite")).unwrap();
    assert_eq!(changed(&other, "DELETE FROM COLORS"), 0, "nor is anything locked for other servers");
}

#[cfg(unix)]
#[test]
fn a_database_that_was_removed_meanwhile_is_noticed() {
    let Fixture { db, folder } = &fixture();
    assert_eq!(number(db, "SELECT 1"), 1);
    std::fs::remove_file(folder.path().join("database.sqlite")).unwrap();
    for sql in ["SELECT 1", "DELETE FROM COLORS"] {
        assert_eq!(run(db, sql).map(|_| ()).unwrap_err().failure().code, ErrorCode::Unavailable, "{sql}");
    }
}

#[test]
fn a_pattern_that_takes_long_to_match_is_too_short_to_hurt() {
    let Fixture { db, .. } = &fixture();
    let pattern = "%a".repeat(127);
    let sql = format!("SELECT replace(hex(zeroblob(250000)), '0', 'ab') LIKE '{pattern}c'");
    let begin = Instant::now();
    assert_eq!(number(db, &sql), 0);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let longer = format!("SELECT 'x' LIKE '{}'", "%a".repeat(200));
    assert!(run(db, &longer).is_err());
}

/// Says when it is asked first, and ends the statement when it is told to.
struct Held(std::sync::mpsc::Sender<()>, Arc<AtomicU64>);

impl Watch for Held {
    fn interrupted(&self) -> Option<Interrupt> {
        let _first_time = self.0.send(());
        (self.1.load(Ordering::Relaxed) > 0).then_some(Interrupt::Cancelled)
    }
}

#[test]
fn a_writer_that_waits_for_another_of_the_same_server_notices_that_nobody_waits_for_it() {
    let Fixture { db, .. } = &fixture();
    let ((runs, running), end) = (std::sync::mpsc::channel(), Arc::new(AtomicU64::new(0)));
    let held: Arc<dyn Watch> = Arc::new(Held(runs, Arc::clone(&end)));
    let endless = format!("INSERT INTO COLORS {FOR_EVER} SELECT x, 1, 2 FROM c");
    std::thread::scope(|scope| {
        scope.spawn(|| db.run(&statement(&endless), &held, &mut Sink::default()).unwrap_err());
        // The first look is the reader's, at most; by the third the lock is held.
        (0..3).for_each(|_| running.recv_timeout(Duration::from_secs(20)).unwrap());
        let waits = |interrupt| {
            let insert = statement("INSERT INTO COLORS VALUES (1, 2, 3)");
            db.run(&insert, &after(50, interrupt), &mut Sink::default()).unwrap_err().failure()
        };
        let late = waits(Interrupt::TimeLimit);
        assert_eq!((late.code, late.definite), (ErrorCode::Timeout, true));
        let gone = waits(Interrupt::Gone);
        assert_eq!((gone.code, gone.definite), (ErrorCode::Cancelled, true));
        end.store(1, Ordering::Relaxed);
    });
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139);
}
