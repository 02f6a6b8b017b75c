//! A COMMIT that nobody has answered, and what comes after it.

use super::*;
use crate::sql::Returned;
use parking_lot::Mutex;
use protocol::{
    id::{IdSource, draw_client_number},
    message::ErrorCode,
};
use std::collections::VecDeque;

/// What a database does, one after the other.
enum Act {
    /// It lets nobody in.
    Locks(SqlError),
    /// A write there comes to this.
    Writes(Result<Written, Trouble>),
}

/// The acts that are left, and what the writes were asked to note.
#[derive(Default)]
struct Stage {
    acts: VecDeque<Act>,
    noted: Vec<String>,
}

/// A connection to such a database, good for one piece of work.
struct Scripted {
    act: Result<Written, Trouble>,
    stage: Arc<Mutex<Stage>>,
    used: bool,
}

impl Link for Scripted {
    type Place = Arc<Mutex<Stage>>;

    fn open(place: &Self::Place, _watch: &dyn Watch) -> Result<Self, Trouble> {
        let act = place.lock().acts.pop_front();
        match act {
            Some(Act::Locks(error)) => Err(error.into()),
            Some(Act::Writes(act)) => Ok(Self { act, stage: Arc::clone(place), used: false }),
            None => Err(Trouble::Lost("nobody is there".into())),
        }
    }

    fn read(&mut self, _sql: &str, _watch: &dyn Watch, _sink: &mut dyn RowSink) -> Result<Read, Trouble> {
        unreachable!("only writes are tried here")
    }

    fn look(&mut self, _asked: &Asked, _watch: &dyn Watch) -> Result<Facts, Trouble> {
        unreachable!("only writes are tried here")
    }

    fn write(&mut self, _write: &Write<'_>, work: Work<'_>, _watch: &dyn Watch) -> Result<Written, Trouble> {
        if let Work::Note(failure) = work {
            self.stage.lock().noted.push(failure.to_string());
        }
        self.used = true;
        std::mem::replace(&mut self.act, Err(Trouble::Lost("it was used".into())))
    }

    fn is_fit(&self) -> bool {
        !self.used
    }
}

/// Lets a statement go on as long as there is an act left.
struct ToTheEnd(Arc<Mutex<Stage>>);

impl Watch for ToTheEnd {
    fn interrupted(&self) -> Option<Interrupt> {
        self.0.lock().acts.is_empty().then_some(Interrupt::TimeLimit)
    }
}

/// What a write comes to when the database does this, and what was to be noted.
fn write(acts: impl IntoIterator<Item = Act>) -> (Result<Written, SqlError>, Vec<String>) {
    let stage = Arc::new(Mutex::new(Stage { acts: acts.into_iter().collect(), noted: Vec::new() }));
    let remote: Remote<Scripted> = Remote::new("x".into(), Arc::clone(&stage));
    let request = IdSource::new(draw_client_number(SystemTime::now())).next();
    let statement = Statement { sql: "INSERT …", request, read_only: false, repeated: false, low_water: 0 };
    let asked = Asked::of(&statement);
    let written = remote.write(&statement, asked.as_ref(), None, &ToTheEnd(Arc::clone(&stage)));
    let noted = std::mem::take(&mut stage.lock().noted);
    (written, noted)
}

fn unsure() -> Act {
    Act::Writes(Err(Trouble::Unsure("the connection broke".into())))
}

fn failed(error: SqlError) -> Act {
    Act::Writes(Err(error.into()))
}

/// A login that is refused, a disk that is full: nothing was changed by that, and nothing said about the COMMIT before.
#[test]
fn what_goes_wrong_after_a_commit_in_doubt_does_not_settle_the_doubt() {
    let troubles: [fn() -> Act; 5] = [
        || Act::Locks(SqlError::Unavailable("the database refused the login".into())),
        || failed(SqlError::Unavailable("the disk is full".into())),
        || failed(SqlError::Damaged("a page".into())),
        || failed(SqlError::Undeliverable),
        || failed(Interrupt::Cancelled.into()),
    ];
    for trouble in troubles {
        let (written, _) = write([unsure(), trouble()]);
        let failure = written.unwrap_err().failure();
        assert!(!failure.definite && failure.code == ErrorCode::UnknownOutcome, "{failure:?}");
        let failure = write([trouble()]).0.unwrap_err().failure();
        assert!(failure.definite, "without a COMMIT: {failure:?}");
    }
}

#[test]
fn a_doubt_is_settled_by_the_record_however_late() {
    let settled = [
        unsure(),
        Act::Locks(SqlError::Unavailable("the database refused the login".into())),
        failed(SqlError::Unavailable("the disk is full".into())),
        Act::Writes(Ok(Written::Changed { rows: 1 })),
    ];
    assert_eq!(write(settled).0.unwrap(), Written::Changed { rows: 1 });
    let returned = Returned { columns: vec![], rows: 0, lines: String::new(), recorded: true };
    assert_eq!(write([Act::Writes(Ok(Written::Returned(returned.clone())))]).0.unwrap(), Written::Returned(returned));
}

/// Behind its claim a statement fails only if the COMMIT before did not take place. But the claim may have failed itself.
#[test]
fn a_failure_of_the_statement_counts_once_it_is_noted() {
    let no = || failed(SqlError::Forbidden("No.".into()));
    let noted = Written::Failed(SqlError::Forbidden("No.".into()).failure());
    let (written, asked) = write([unsure(), no(), Act::Writes(Ok(noted.clone()))]);
    assert_eq!((written.unwrap(), asked), (noted, vec!["No.".to_owned()]));
    for trouble in [no, || failed(SqlError::Unavailable("the disk is full".into()))] {
        let failure = write([unsure(), no(), trouble()]).0.unwrap_err().failure();
        assert!(!failure.definite && failure.code == ErrorCode::UnknownOutcome, "{failure:?}");
        assert!(write([no(), trouble()]).0.unwrap_err().failure().definite, "there was no COMMIT");
    }
}
