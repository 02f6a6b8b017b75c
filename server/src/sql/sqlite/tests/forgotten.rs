//! Records that are not kept any more, and the ids that are refused for it.

use super::*;
use crate::sql::{
    once::{MARGIN_MINUTES, RAISE_BY},
    sqlite::records::DELETED_AT_ONCE,
};
use protocol::limits::{CLOCK_SKEW_MINUTES, RECORD_MINUTES};

/// A database whose clock can be set, in minutes from now.
fn with_clock(folder: &tempfile::TempDir) -> (Sqlite, Arc<AtomicU64>) {
    let (minutes, begin) = (Arc::new(AtomicU64::new(0)), SystemTime::now());
    let clock = Arc::clone(&minutes);
    let db = Sqlite::open(&folder.path().join("database.sqlite")).unwrap();
    (db.with_clock(move || begin + Duration::from_secs(60 * clock.load(Ordering::Relaxed))), minutes)
}

#[test]
fn an_id_is_refused_when_it_is_too_old_and_when_it_lies_in_the_future() {
    let Fixture { folder, .. } = fixture();
    let (db, clock) = with_clock(&folder);
    let (client, sql) = (client(), "DELETE FROM COLORS WHERE Name = 'Red'");
    let answer = ask(&db, &first(sql, id(client, 1)));
    clock.store(RECORD_MINUTES - 1, Ordering::Relaxed);
    assert_eq!(ask(&db, &again(sql, id(client, 1))), answer);
    clock.store(RECORD_MINUTES + 2, Ordering::Relaxed);
    for statement in [
        again(sql, id(client, 1)),
        first(sql, id(client, 1)),
        again("DELETE FROM COLORS", id(client, 2)),
        again("DELETE FROM nowhere", id(client, 3)),
    ] {
        let failure = ask(&db, &statement).unwrap_err();
        assert_eq!((failure.code, failure.definite), (ErrorCode::Expired, false), "{}", statement.sql);
    }
    assert_eq!(ask(&db, &again("SELECT 1", id(client, 4))), Ok(Outcome::Rows { rows: 1 }), "reading is not refused");
    let ahead =
        draw_client_number(SystemTime::now() + Duration::from_secs(60 * (RECORD_MINUTES + CLOCK_SKEW_MINUTES + 5)));
    let failure = ask(&db, &first("DELETE FROM COLORS", id(ahead, 1))).unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::Expired, false), "{failure:?}");
    assert!(failure.message.contains("in the future"), "{failure:?}");
    assert_eq!(number(&db, "SELECT count(*) FROM COLORS"), 138);
}

#[test]
fn records_that_are_too_old_go_a_few_at_a_time_and_their_ids_stay_refused_when_the_clock_is_set_back() {
    let Fixture { folder, .. } = fixture();
    let (db, clock) = with_clock(&folder);
    let clients: Vec<u64> = (0..3 * u64::from(DELETED_AT_ONCE)).map(|_| client()).collect();
    for client in &clients {
        let statement = Statement { low_water: RAISE_BY + 1, ..first("DELETE FROM COLORS", id(*client, RAISE_BY + 1)) };
        ask(&db, &statement).unwrap();
    }
    let marks = || inside(&folder, "SELECT count(*) FROM lab_clients");
    assert_eq!((inside(&folder, OUTCOMES), marks()), (clients.len() as i64, clients.len() as i64));
    // Another client comes by: each of its writes takes some away.
    let late = |minutes: u64| {
        clock.store(minutes, Ordering::Relaxed);
        let drawn = SystemTime::now() + Duration::from_secs(60 * minutes);
        ask(&db, &first("DELETE FROM COLORS", id(draw_client_number(drawn), 1))).unwrap();
        (inside(&folder, OUTCOMES), marks())
    };
    let all = clients.len() as i64;
    assert_eq!(late(RECORD_MINUTES + MARGIN_MINUTES - 1), (all + 1, all), "refused already, kept still");
    let few = i64::from(DELETED_AT_ONCE);
    let after = RECORD_MINUTES + MARGIN_MINUTES + 2;
    assert_eq!(late(after), (all + 2 - few, all - few));
    assert_eq!(late(after), (all + 3 - 2 * few, all - 2 * few));
    clock.store(0, Ordering::Relaxed);
    let refused = clients.iter().filter(|client| {
        let answer = ask(&db, &first("DELETE FROM COLORS", id(**client, 999)));
        answer.is_err_and(|failure| failure.code == ErrorCode::Expired)
    });
    assert_eq!(refused.count() as i64, 2 * few, "those whose records are gone, and no others");
}

#[test]
fn what_a_client_has_settled_is_deleted_and_refused() {
    let (db, other, folder) = two_servers();
    let client = client();
    let mine = || inside(&folder, OUTCOMES);
    for n in 1..=10 * RAISE_BY {
        let server = if n % 2 == 0 { &db } else { &other };
        let statement = Statement { low_water: n, ..first("UPDATE COLORS SET HEX = HEX", id(client, n)) };
        ask(server, &statement).unwrap();
        assert!(mine() <= RAISE_BY as i64 + 1, "request {n}: {} records", mine());
    }
    let last = 10 * RAISE_BY;
    for (sequence, low_water, expected) in
        [(last, 0, true), (last - 1, last, false), (1, 0, false), (last, last + 1, false)]
    {
        let statement = Statement { low_water, ..again("UPDATE COLORS SET HEX = HEX", id(client, sequence)) };
        let answer = ask(&db, &statement).map_err(|failure| (failure.code, failure.definite));
        let refused = Err((ErrorCode::Expired, false));
        assert_eq!(answer, if expected { Ok(Outcome::Changed { rows: 139 }) } else { refused }, "{sequence}");
    }
    assert_eq!(inside(&folder, "SELECT count(*) FROM lab_clients"), 1);
}

#[test]
fn a_client_that_has_left_many_records_gets_rid_of_them_a_few_at_a_time() {
    let Fixture { db, folder } = fixture();
    let (client, many) = (client(), 3 * u64::from(DELETED_AT_ONCE));
    (0..many).for_each(|n| drop(ask(&db, &first("DELETE FROM COLORS", id(client, n))).unwrap()));
    let settle = |sequence| {
        let statement = Statement { low_water: sequence, ..first("DELETE FROM COLORS", id(client, sequence)) };
        ask(&db, &statement).unwrap();
        inside(&folder, OUTCOMES)
    };
    let few = i64::from(DELETED_AT_ONCE);
    assert_eq!(settle(many), 2 * few + 1);
    assert_eq!(settle(many + RAISE_BY), few + 2);
    assert_eq!(settle(many + 2 * RAISE_BY), 3, "the next sixteen begin");
}
