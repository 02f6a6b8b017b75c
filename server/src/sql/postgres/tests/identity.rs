//! A database that has an identity keeps it, however it is made ready again.

use super::*;

#[test]
fn a_database_that_does_not_say_in_time_who_it_is_gets_no_new_identity() {
    let Some(fixture) = fixture() else { return };
    let there = Account { database: fixture.account.database.clone(), ..fixture.admin.clone() };
    let session = || Session::open(&there, &ByTime::after(LONG)).unwrap();
    let mut holder = session();
    holder.run("BEGIN; LOCK TABLE lab.settings IN ACCESS EXCLUSIVE MODE", &ByTime::after(LONG)).unwrap();
    let asking = UntilGivenUp::held_by(holder);
    let made = setup::make_ready(&mut session(), &fixture.account, &asking);
    assert!(asking.was_given_up(), "the question was not given up");
    assert!(matches!(made, Err(Trouble::Failed(SqlError::Interrupted(Interrupt::TimeLimit)))), "{made:?}");
    assert_eq!(Postgres::open(&fixture.account).unwrap().identity(), fixture.db.identity());
}

/// The function by which servers ask is missing, or refuses: it is one of those that are made anew.
#[test]
fn an_identity_is_kept_when_the_function_that_tells_it_does_not() {
    for change in [
        "ALTER FUNCTION lab.identity() RENAME TO who",
        "CREATE OR REPLACE FUNCTION lab.identity() RETURNS text LANGUAGE plpgsql AS \
         $$ BEGIN RAISE query_canceled USING MESSAGE = 'not now'; END $$",
    ] {
        let Some(fixture) = fixture() else { return };
        fixture.inside(change);
        setup::init(&fixture.account, &fixture.admin).unwrap();
        assert_eq!(Postgres::open(&fixture.account).unwrap().identity(), fixture.db.identity(), "{change}");
    }
}
