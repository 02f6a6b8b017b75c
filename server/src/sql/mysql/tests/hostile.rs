//! What a stranger may not do, and what is left of it.

use super::*;

#[test]
fn a_statement_that_would_run_for_ever_is_ended_and_the_next_is_not_troubled() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    fixture.inside("CREATE TABLE t (a bigint)");
    for (sql, interrupt, code) in [
        ("SELECT sleep(1000)", Interrupt::TimeLimit, ErrorCode::Timeout),
        ("SELECT benchmark(1000000000000, sha2('x', 512))", Interrupt::TimeLimit, ErrorCode::Timeout),
        (
            "SELECT count(*) FROM seq_1_to_10000000 a JOIN seq_1_to_10000000 b ON a.seq <> b.seq",
            Interrupt::Gone,
            ErrorCode::Cancelled,
        ),
        ("SELECT seq FROM seq_1_to_1000000000000", Interrupt::Cancelled, ErrorCode::Cancelled),
        ("INSERT INTO t SELECT seq FROM seq_1_to_1000000000000", Interrupt::TimeLimit, ErrorCode::Timeout),
        (
            "SELECT max(a.seq * b.seq) FROM seq_1_to_10000000 a JOIN seq_1_to_10000000 b",
            Interrupt::TimeLimit,
            ErrorCode::Timeout,
        ),
    ] {
        let begin = Instant::now();
        let error = db.run(&statement(sql), &after(200, interrupt), &mut Sink::default());
        let failure = error.expect_err(sql).failure();
        assert_eq!((failure.code, failure.definite), (code, true), "{sql}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{sql}: {:?}", begin.elapsed());
        assert_eq!(fixture.number("SELECT count(*) FROM t"), 0, "{sql}");
    }
    let until = Instant::now() + LONG;
    let active = format!(
        "SELECT INFO FROM information_schema.PROCESSLIST WHERE USER = '{}' AND COMMAND <> 'Sleep'",
        fixture.account.user
    );
    while !fixture.inside(&active).is_empty() {
        assert!(Instant::now() < until, "the database goes on with what was ended: {:?}", fixture.inside(&active));
    }
}

#[test]
fn forty_hostile_statements() {
    use ErrorCode::{BadRequest, Forbidden, SqlError as Sql};
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    let own = |sql: &str| {
        sql.replace("RECORDS", &format!("{}_records", fixture.account.database)).replace("ME", &fixture.account.user)
    };
    let mut wrong = Vec::new();
    for (sql, code) in [
        // Several statements, or none.
        ("SELECT 1; DROP TABLE COLORS", BadRequest),
        ("DELETE FROM COLORS; COMMIT", BadRequest),
        ("SELECT 1 /*! ; DELETE FROM COLORS */", BadRequest),
        ("/*! DELETE FROM COLORS */", Forbidden),
        ("/*M!100000 DELETE FROM COLORS */", Forbidden),
        ("", BadRequest),
        (" ; -- nothing", BadRequest),
        ("SELECT ?", Sql),
        // Transactions of its own.
        ("BEGIN", Forbidden),
        ("START TRANSACTION READ WRITE", Forbidden),
        ("COMMIT", Forbidden),
        ("ROLLBACK", Forbidden),
        ("SAVEPOINT s", Forbidden),
        ("XA START 'x'", Forbidden),
        ("XA RECOVER", Forbidden),
        ("BEGIN NOT ATOMIC COMMIT; DELETE FROM COLORS; END", Forbidden),
        ("EXECUTE IMMEDIATE 'COMMIT'", Forbidden),
        // Sessions.
        ("SET sql_mode = ''", Forbidden),
        ("SET @a = 1", Forbidden),
        ("SET STATEMENT max_statement_time = 0 FOR SELECT 1", Forbidden),
        ("SET TRANSACTION READ WRITE", Forbidden),
        ("SET ROLE root", Forbidden),
        ("USE information_schema", Forbidden),
        ("PREPARE p FROM 'SELECT 1'", Forbidden),
        ("LOCK TABLES COLORS WRITE", Forbidden),
        ("SELECT 1 INTO @a", Forbidden),
        ("HANDLER COLORS OPEN", Forbidden),
        ("CREATE TEMPORARY TABLE t (a int)", Forbidden),
        ("DO get_lock('x', 0)", Forbidden),
        ("KILL 1", Forbidden),
        ("KILL USER 'ME'", Forbidden),
        // What MySQL commits by itself.
        ("CREATE TABLE t (a int)", Forbidden),
        ("DROP TABLE COLORS", Forbidden),
        ("TRUNCATE COLORS", Forbidden),
        ("ALTER TABLE COLORS ENGINE=MyISAM", Forbidden),
        ("ANALYZE TABLE COLORS", Forbidden),
        ("SET PASSWORD = PASSWORD('mine')", Forbidden),
        ("ALTER USER CURRENT_USER() IDENTIFIED BY 'mine'", Forbidden),
        // Files and programs.
        ("SELECT * FROM COLORS INTO OUTFILE '/tmp/stolen'", Forbidden),
        ("SELECT 'x' INTO DUMPFILE '/tmp/stolen'", Forbidden),
        ("LOAD DATA INFILE '/etc/passwd' INTO TABLE COLORS", Forbidden),
        ("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE COLORS", Forbidden),
        ("INSTALL SONAME 'ha_connect'", Forbidden),
        ("SHOW BINARY LOGS", Forbidden),
        // Ours, and others'.
        ("SELECT * FROM RECORDS.outcomes", Forbidden),
        ("DELETE FROM RECORDS.forgotten", Forbidden),
        ("SELECT * FROM RECORDS.settings", Forbidden),
        ("CALL RECORDS.look('', 1, 1)", Forbidden),
        ("CALL RECORDS.claim('', 1, 1, '00')", Forbidden),
        ("CALL RECORDS.note('', 1, 1, 'x', NULL, 1)", Forbidden),
        ("CALL RECORDS.check_token('', '')", Forbidden),
        ("SHOW CREATE PROCEDURE RECORDS.check_token", Sql),
        ("SELECT * FROM mysql.user", Forbidden),
        ("INSERT INTO mysql.global_priv VALUES ('%', 'me', '{}')", Forbidden),
        ("SHOW GRANTS FOR root@localhost", Forbidden),
        ("SHOW GRANTS", Forbidden),
        ("SHOW /* my */ CREATE # own\n USER", Forbidden),
        ("SHOW /*!50000 GRANTS */", Forbidden),
        ("SHOW ENGINE INNODB STATUS", Forbidden),
        ("FLUSH TABLES WITH READ LOCK", Forbidden),
        ("SHUTDOWN", Forbidden),
        ("GRANT ALL ON *.* TO 'ME'", Forbidden),
        ("INSERT INTO COLORS VALUES ((SELECT 1 FROM nowhere), 2, 3)", Sql),
    ] {
        let sql = own(sql);
        let answer = ask(db, &statement(&sql)).map_err(|failure| (failure.code, failure.definite, failure.message));
        if !matches!(&answer, Err((is, true, _)) if *is == code) {
            wrong.push(format!("{sql}: {answer:?}, and not {code:?}"));
        }
        assert_eq!(fixture.number("SELECT count(*) FROM COLORS"), 139, "{sql}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(rows(db, "SELECT load_file('/etc/passwd')"), [[Value::Null]]);
    assert!(!std::path::Path::new("/tmp/stolen").exists());
    assert_eq!(changed(db, "INSERT INTO COLORS (Name) VALUES ('after all')"), 1);
    MySql::open(&fixture.account).unwrap();
}

#[test]
fn nothing_is_left_in_a_session() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    fixture.inside("CREATE FUNCTION spoil() RETURNS INT BEGIN SET SESSION sql_mode = '', SESSION time_zone = '+05:00', @left = 7; RETURN 1; END");
    let count = |db| number(db, "SELECT is_free_lock('a') AND is_free_lock('b')");
    rows(db, "SELECT @left := 7, get_lock('a', 0), spoil()");
    changed(db, "INSERT INTO COLORS (Name) SELECT 'x' WHERE get_lock('b', 0) = 1 AND (@left := 8) = 8 AND spoil() = 1");
    rows(db, "SELECT * FROM COLORS FOR UPDATE");
    let settings = "SELECT @@sql_mode LIKE '%ANSI_QUOTES%', @@time_zone, @left, @@max_statement_time > 0, \
         @@idle_write_transaction_timeout, database()";
    let fresh = vec![
        Value::Integer(1),
        text("+00:00"),
        Value::Null,
        Value::Integer(1),
        Value::Integer(60),
        text(&fixture.account.database),
    ];
    let other = MySql::open(&fixture.account).unwrap();
    for server in [db, &other] {
        assert_eq!(rows(server, settings), std::slice::from_ref(&fresh));
        assert_eq!(count(server), 1);
        assert_eq!(changed(server, "UPDATE COLORS SET RGB = 'y' WHERE Name = 'White'"), 1, "no lock is left");
    }
}

#[test]
fn an_account_that_may_do_too_much_is_not_taken() {
    let Some(fixture) = fixture() else { return };
    fixture.inside(&format!("GRANT PROCESS ON *.* TO {}", fixture.account.user));
    let error = MySql::open(&fixture.account).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("may do more than a stranger's SQL must (PROCESS)"), "{error}");
}

#[test]
fn an_account_that_sees_the_records_is_not_taken() {
    let Some(fixture) = fixture() else { return };
    fixture.inside(&format!("GRANT SELECT ON RECORDS.outcomes TO {}", fixture.account.user));
    let error = MySql::open(&fixture.account).map(|_| ()).unwrap_err().to_string();
    let expected = format!("sees tables of the database {}_records, which is not its own", fixture.account.database);
    assert!(error.contains(&expected), "{error}");
}

/// Needs no database: nobody is asked.
#[test]
fn a_database_that_is_open_to_every_account_is_not_taken() {
    for name in ["test", "test_lab", "TEST_lab"] {
        let account = Account { database: name.into(), ..admin() };
        for refused in
            [MySql::open(&account).map(|_| ()), setup::init(&account, &account), setup::printed(&account).map(|_| ())]
        {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("give it another name"), "{name}: {error}");
        }
    }
    assert!(setup::printed(&Account { database: "testing".into(), ..admin() }).is_ok());
}

#[test]
fn a_request_marked_read_only_never_writes() {
    let Some(fixture) = fixture() else { return };
    let marked = |sql| ask(&fixture.db, &Statement { read_only: true, ..statement(sql) }).map_err(|e| e.code);
    assert_eq!(marked("SELECT 1"), Ok(Outcome::Rows { rows: 1 }));
    for sql in ["DELETE FROM COLORS RETURNING Name", "DELETE FROM COLORS", "SELECT 1 INTO @a"] {
        assert_eq!(marked(sql), Err(ErrorCode::Forbidden), "{sql}");
    }
    fixture.inside("CREATE FUNCTION writes() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM COLORS; RETURN 1; END");
    assert_eq!(marked("SELECT writes()"), Err(ErrorCode::Forbidden));
    assert_eq!(fixture.number("SELECT count(*) FROM COLORS"), 139);
}

/// Somebody sees a token in the list of processes and uses it.
#[test]
fn a_token_is_worth_nothing_on_another_connection_or_for_other_values() {
    let Some(fixture) = fixture() else { return };
    let mut session = Session::open(&fixture.account, Some(&fixture.account.database), &ByTime::after(LONG)).unwrap();
    let place = setup::look(&fixture.account).unwrap();
    let [good, elsewhere] = [session.number, session.number + 1].map(|number| Key::new(&place, number));
    let watch = ByTime::after(LONG);
    let call = |key: &Key, said: &str, value: &str| key.call("look", &[said, "1"], &[value.into(), "1".into()]);
    assert!(session.run(&[&call(&good, "7", "7")], &watch).is_ok());
    for stolen in [call(&elsewhere, "7", "7"), call(&good, "7", "8")] {
        let error = session.run(&[&stolen], &watch).unwrap_err();
        assert!(matches!(error, Trouble::Failed(SqlError::Forbidden(_))), "{error:?}");
    }
}

/// The values of a `note` may be cut in other places, or some left out, so that they read like others.
#[test]
fn a_token_of_a_note_is_worth_nothing_for_values_that_read_alike() {
    let Some(fixture) = fixture() else { return };
    let mut session = Session::open(&fixture.account, Some(&fixture.account.database), &ByTime::after(LONG)).unwrap();
    let key = Key::new(&setup::look(&fixture.account).unwrap(), session.number);
    let mut run = |sql: &str| session.run(&[sql], &ByTime::after(LONG)).map(|_| ());
    let (number, fingerprint, done) = (client().to_string(), "07".repeat(32), records::digest("done"));
    let claim = [number.clone(), "1".into(), format!("'{fingerprint}'")];
    run(&key.call("claim", &[&number, "1", &fingerprint], &claim)).unwrap();
    let note = |said: &str, values: [&str; 3]| {
        let values = [&[number.as_str(), "1"][..], &values].concat();
        key.call("note", &[&number, "1", said, "-", "5"], &values.into_iter().map(Into::into).collect::<Vec<_>>())
    };
    for said in ["done", &done] {
        for stolen in [
            [format!("'{said}|-'"), "5".into(), "NULL".into()],
            ["NULL".into(), "NULL".into(), "5".into()],
            ["'done'".into(), "5".into(), "NULL".into()],
            ["'undone'".into(), "NULL".into(), "5".into()],
        ] {
            let refused = run(&note(said, stolen.each_ref().map(String::as_str)));
            assert!(matches!(refused, Err(Trouble::Failed(SqlError::Forbidden(_)))), "{stolen:?}: {refused:?}");
        }
    }
    run(&note(&done, ["'done'", "NULL", "5"])).unwrap();
    let none = key.call("look", &[], &["1".into(), "1".into()]);
    let (before, behind) = none.split_once('\'').unwrap();
    let none = format!("{before}NULL{}", behind.split_once('\'').unwrap().1);
    assert!(run(&none).is_err(), "no token is none");
    fixture.inside("DELETE FROM RECORDS.settings");
    assert!(run(&none).is_err(), "while there is no key, too");
}

/// An administrator holds the table that the first question of a new connection needs.
#[test]
fn a_connection_that_nobody_waits_for_any_more_is_not_waited_for() {
    let Some(fixture) = fixture() else { return };
    let place = setup::look(&fixture.account).unwrap();
    let mut holder = Session::open(&fixture.admin, None, &ByTime::after(LONG)).unwrap();
    let lock = format!("LOCK TABLES {}.settings WRITE", place.records());
    holder.run(&[&lock], &ByTime::after(LONG)).unwrap();
    let begin = Instant::now();
    let opened = Connection::open(&place, &Until(begin + Duration::from_millis(200), Interrupt::Gone)).map(|_| ());
    assert!(matches!(opened, Err(Trouble::Lost(_))), "{opened:?}");
    assert!(begin.elapsed() < session::LOGIN_TIME, "{:?}", begin.elapsed());
    holder.run(&["UNLOCK TABLES"], &ByTime::after(LONG)).unwrap();
    assert!(Connection::open(&place, &ByTime::after(LONG)).is_ok());
}
