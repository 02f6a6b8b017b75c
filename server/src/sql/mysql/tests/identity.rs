//! A database that has an identity keeps it, however it is made ready again.

use super::*;

#[test]
fn a_database_that_does_not_say_in_time_who_it_is_gets_no_new_identity() {
    let Some(fixture) = fixture() else { return };
    let session = || Session::open(&fixture.admin, Some(&fixture.account.database), &ByTime::after(LONG)).unwrap();
    let mut holder = session();
    let lock = format!("LOCK TABLES {}_records.settings WRITE", fixture.account.database);
    holder.run(&[&lock], &ByTime::after(LONG)).unwrap();
    let asking = UntilGivenUp::held_by(holder);
    let made = setup::make_ready(&mut session(), &fixture.account, &asking);
    assert!(asking.was_given_up(), "the question was not given up");
    assert!(matches!(made, Err(Trouble::Failed(SqlError::Interrupted(Interrupt::TimeLimit)))), "{made:?}");
    assert_eq!(MySql::open(&fixture.account).unwrap().identity(), fixture.db.identity());
}

/// The procedure by which servers ask is missing, or refuses: it is one of those that are made anew.
#[test]
fn an_identity_is_kept_when_the_procedure_that_tells_it_does_not() {
    for change in [
        "DO 0",
        "CREATE PROCEDURE RECORDS.identity() SIGNAL SQLSTATE '70100' SET MYSQL_ERRNO = 1317, MESSAGE_TEXT = 'not now'",
    ] {
        let Some(fixture) = fixture() else { return };
        fixture.inside("DROP PROCEDURE RECORDS.identity");
        fixture.inside(change);
        setup::init(&fixture.account, &fixture.admin).unwrap();
        assert_eq!(MySql::open(&fixture.account).unwrap().identity(), fixture.db.identity(), "{change}");
    }
}
