//! What a stranger may not do, and what is left of it.

use super::*;

#[test]
fn a_statement_that_would_run_for_ever_is_ended_and_the_next_is_not_troubled() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    changed(db, "CREATE TABLE t (a numeric)");
    for (sql, interrupt, code) in [
        ("SELECT pg_sleep(1000)", Interrupt::TimeLimit, ErrorCode::Timeout),
        ("SELECT count(*) FROM generate_series(1, 1000000000000)", Interrupt::Gone, ErrorCode::Cancelled),
        ("SELECT * FROM generate_series(1, 1000000000000)", Interrupt::Cancelled, ErrorCode::Cancelled),
        ("INSERT INTO t SELECT * FROM generate_series(1, 1000000000000)", Interrupt::TimeLimit, ErrorCode::Timeout),
        ("DO $$ BEGIN LOOP END LOOP; END $$", Interrupt::TimeLimit, ErrorCode::Timeout),
    ] {
        let error = db.run(&statement(sql), &after(200, interrupt), &mut Sink::default());
        let failure = error.unwrap_err().failure();
        assert_eq!((failure.code, failure.definite), (code, true), "{sql}");
        assert_eq!(fixture.number("SELECT count(*) FROM t"), 0, "{sql}");
    }
    let until = Instant::now() + LONG;
    let active =
        format!("SELECT 1 FROM pg_stat_activity WHERE usename = '{}' AND state = 'active'", fixture.account.user);
    while !fixture.inside(&active).is_empty() {
        assert!(Instant::now() < until, "the database goes on with what was ended");
    }
}

#[test]
fn forty_hostile_statements() {
    use ErrorCode::{BadRequest, Forbidden, SqlError as Sql};
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    let user = &fixture.account.user;
    let own = |sql: &str| sql.replace("ME", user);
    let mut wrong = Vec::new();
    for (sql, code) in [
        // Several statements, or none.
        ("SELECT 1; DROP TABLE COLORS", BadRequest),
        ("DELETE FROM COLORS; COMMIT", BadRequest),
        ("", BadRequest),
        (" ; -- nothing", BadRequest),
        ("SELECT $1", BadRequest),
        // Transactions of its own.
        ("BEGIN", Forbidden),
        ("COMMIT", Forbidden),
        ("ROLLBACK", Forbidden),
        ("ROLLBACK AND CHAIN", Forbidden),
        ("SAVEPOINT s", Forbidden),
        ("PREPARE TRANSACTION 'x'", Forbidden),
        (" ;-- now\n/* or /* never */ */\tprepare/**/transaction 'x'", Forbidden),
        ("DO $$ BEGIN COMMIT; END $$", Sql),
        // Sessions.
        ("SET statement_timeout = 1", Forbidden),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Forbidden),
        ("SET TRANSACTION READ WRITE", Forbidden),
        ("SET search_path = nowhere", Forbidden),
        ("RESET ALL", Forbidden),
        ("SET ROLE postgres", Forbidden),
        ("SET SESSION AUTHORIZATION postgres", Forbidden),
        ("PREPARE p AS SELECT 1", Forbidden),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Forbidden),
        ("LISTEN x", Forbidden),
        ("NOTIFY x", Forbidden),
        ("LOCK TABLE COLORS IN ACCESS SHARE MODE", Forbidden),
        ("CREATE TEMP TABLE t (a int)", Forbidden),
        ("SELECT 1 INTO TEMP t", Forbidden),
        ("DISCARD ALL", Sql),
        // Files and programs.
        ("COPY COLORS TO '/tmp/stolen'", Forbidden),
        ("COPY COLORS FROM '/etc/passwd'", Forbidden),
        ("COPY COLORS TO PROGRAM 'cat >/tmp/stolen'", Forbidden),
        ("COPY COLORS FROM PROGRAM 'id'", Forbidden),
        ("COPY COLORS TO STDOUT", Forbidden),
        ("COPY COLORS FROM STDIN", Forbidden),
        ("SELECT pg_read_file('/etc/passwd')", Forbidden),
        ("SELECT pg_ls_dir('/')", Forbidden),
        ("SELECT lo_import('/etc/passwd')", Forbidden),
        ("CREATE EXTENSION file_fdw", Forbidden),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'system'", Forbidden),
        ("LOAD '/tmp/x.so'", Forbidden),
        // Ours, and others'.
        ("SELECT * FROM lab.outcomes", Forbidden),
        ("DELETE FROM lab.forgotten", Forbidden),
        ("DROP SCHEMA lab CASCADE", Forbidden),
        ("SELECT lab.look('\\x00', '\\x00', '\\x00')", Forbidden),
        ("SELECT lab.note('\\x00', '\\x00', '\\x00', 'x', NULL, '\\xff')", Forbidden),
        ("SELECT * FROM pg_authid", Forbidden),
        ("ALTER SYSTEM SET fsync = off", Sql),
        ("ALTER ROLE \"ME\" PASSWORD 'mine'", Forbidden),
        ("ALTER ROLE \"ME\" SET statement_timeout = 1", Forbidden),
        ("ALTER ROLE \"ME\" SUPERUSER", Forbidden),
        (
            "DO $$ BEGIN BEGIN EXECUTE 'ALTER ROLE \"ME\" SET work_mem = 64'; EXCEPTION WHEN OTHERS THEN END; END $$",
            Forbidden,
        ),
        ("CREATE ROLE r", Forbidden),
        ("CREATE DATABASE d", Sql),
        ("SELECT pg_terminate_backend(pg_backend_pid())", Forbidden),
        ("SELECT pg_reload_conf()", Forbidden),
        ("VACUUM", Sql),
    ] {
        let sql = own(sql);
        let answer = ask(db, &statement(&sql)).map_err(|failure| (failure.code, failure.definite, failure.message));
        if !matches!(&answer, Err((is, true, _)) if *is == code) {
            wrong.push(format!("{sql}: {answer:?}, and not {code:?}"));
        }
        assert_eq!(fixture.number("SELECT count(*) FROM COLORS"), 139, "{sql}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let state = "SELECT current_setting('statement_timeout') || current_setting('search_path') || current_user";
    assert_eq!(rows(db, state), [[text(&format!("0\"$user\", public{user}"))]]);
    assert!(!std::path::Path::new("/tmp/stolen").exists());
    Postgres::open(&fixture.account).unwrap();
}

#[test]
fn nothing_is_left_in_a_session() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    rows(db, "SELECT set_config('statement_timeout', '60000', false), pg_advisory_lock(7)::text");
    changed(db, "DO $$ BEGIN PERFORM set_config('statement_timeout', '60000', false); CREATE TABLE t (a int); END $$");
    rows(db, "INSERT INTO t VALUES (1) RETURNING set_config('role', 'none', false), pg_advisory_lock(8)::text");
    let other = Postgres::open(&fixture.account).unwrap();
    for server in [db, &other] {
        assert_eq!(rows(server, "SELECT current_setting('statement_timeout')"), [[text("0")]]);
        assert_eq!(number(server, "SELECT (pg_try_advisory_lock(7) AND pg_try_advisory_lock(8))::int"), 1);
    }
}

/// The next client could execute it, and each of a thousand more would keep its memory.
#[test]
fn what_a_function_has_prepared_is_not_there_for_the_next_client() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    changed(
        db,
        "CREATE FUNCTION keep(n int) RETURNS int LANGUAGE plpgsql AS \
         $$ BEGIN FOR i IN 1..n LOOP EXECUTE format('PREPARE p%s AS SELECT 42', i); END LOOP; RETURN n; END $$",
    );
    let prepared = "SELECT (SELECT count(*) FROM pg_prepared_statements), pg_backend_pid()";
    let before = rows(db, prepared);
    assert_eq!(before[0][0], Value::Integer(0));
    for _ in 0..2 {
        assert_eq!(fixture.number("SELECT keep(100)"), 100);
        assert_eq!(rows(db, prepared), before, "the same session, and nothing in it");
    }
    assert!(ask(db, &statement("SELECT keep(2), keep(2)")).is_err());
    assert_eq!(rows(db, prepared), before, "nor of one that has failed");
}

/// A server that is cut off in the middle of a write holds its locks for so long.
#[test]
fn a_transaction_in_which_nothing_is_done_is_ended_by_the_database() {
    let Some(fixture) = fixture() else { return };
    let limit = "SELECT current_setting('idle_in_transaction_session_timeout')";
    assert_eq!(rows(&fixture.db, limit), [[text("1min")]]);
    changed(&fixture.db, "UPDATE COLORS SET HEX = 'x' WHERE Name = 'White'");
    assert_eq!(rows(&fixture.db, limit), [[text("1min")]], "also in a session that was put back after a write");
    let kept = "SELECT 1 FROM pg_stat_activity WHERE usename = '{}' AND state <> 'idle'";
    assert!(fixture.inside(&kept.replace("{}", &fixture.account.user)).is_empty(), "none is kept in a transaction");
}

#[test]
fn a_role_that_may_do_too_much_is_not_taken() {
    let Some(fixture) = fixture() else { return };
    let as_superuser = Account { database: fixture.account.database.clone(), ..fixture.admin.clone() };
    let error = Postgres::open(&as_superuser).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("may do more than a stranger's SQL must"), "{error}");
    let error = Postgres::open(&fixture.admin).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`server init-database` does that"), "{error}");
}

#[test]
fn a_request_marked_read_only_never_writes() {
    let Some(fixture) = fixture() else { return };
    let marked = |sql| ask(&fixture.db, &Statement { read_only: true, ..statement(sql) }).map_err(|e| e.code);
    assert_eq!(marked("SELECT 1"), Ok(Outcome::Rows { rows: 1 }));
    assert_eq!(marked("WITH x AS (DELETE FROM COLORS RETURNING 1) SELECT * FROM x"), Err(ErrorCode::Forbidden));
    assert_eq!(fixture.number("SELECT count(*) FROM COLORS"), 139);
}

#[test]
fn a_stranger_cannot_make_its_commit_one_that_a_crash_undoes() {
    let Some(fixture) = fixture() else { return };
    // What holds when the outcome is noted holds for the commit behind it.
    for sql in [
        "CREATE TABLE public.seen (setting text)",
        "GRANT ALL ON public.seen TO PUBLIC",
        "CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$",
        "CREATE TRIGGER see AFTER UPDATE ON lab.outcomes FOR EACH STATEMENT EXECUTE FUNCTION public.see()",
    ] {
        fixture.inside(sql);
    }
    let off =
        "INSERT INTO COLORS VALUES ('Sky', '#87CEEB', 'x') RETURNING set_config('synchronous_commit', 'off', IS_LOCAL)";
    for is_local in ["true", "false"] {
        assert_eq!(rows(&fixture.db, &off.replace("IS_LOCAL", is_local)), [[text("off")]]);
    }
    assert_eq!(
        fixture.inside("SELECT setting FROM public.seen"),
        [["on"], ["on"]].map(|row| row.map(|on| Some(on.to_owned())).to_vec())
    );
}
