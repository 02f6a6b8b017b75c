//! A file, sent in batches.

use super::{
    Students,
    call::{Call, Outcome, Row},
    csv::{self, Lined},
    shown::{self, Form},
};
use crate::status::Status;
use crossbeam_channel::{Receiver, bounded, select};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::{
    output::{Plain, show},
    stop::Stop,
    warn,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
    thread,
};

/// How far a file has come.
#[derive(Debug, PartialEq)]
struct Sent {
    /// Rows that are written.
    written: usize,
    /// What stopped it; nothing if all is written.
    trouble: Option<Trouble>,
}

/// What stopped it.
#[derive(Debug, PartialEq)]
struct Trouble {
    /// The lines of the batch that failed, the first and the last.
    lines: (usize, usize),
    /// The line behind them, if there is one.
    next: Option<usize>,
    /// The number of its first student.
    first: i64,
    /// The line that it is about, if it names one of its students.
    line: Option<usize>,
    outcome: Outcome,
}

/// Sends a file, from this line on.
pub fn load(students: &Students, path: &Path, batch: usize, from: usize) -> Status {
    let name = path.display().to_string();
    let trouble = |why: &str| {
        shown::trouble(students.format, &format!("{why} Nothing was written."));
        Status::Failed
    };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return trouble(&format!("{} cannot be read: {error}.", Plain(&name))),
    };
    let mut rows = match csv::text(&bytes).and_then(csv::rows) {
        Ok(rows) => rows,
        Err((line, why)) => return trouble(&format!("Line {line} of {}: {why}", Plain(&name))),
    };
    rows.retain(|(line, _)| *line >= from);
    let stop = match Stop::on_signals() {
        Ok(stop) => stop,
        Err(error) => return trouble(&format!("Signals cannot be handled: {error}.")),
    };
    let bar = bar(rows.len(), students.format);
    let ask = |rows: Vec<Row>| {
        if stop.is_set() {
            return Outcome::Refused("Interrupted.".to_owned());
        }
        let count = rows.len() as u64;
        let outcome = Call::Write(rows).ask(students.balancer, students.timeout);
        bar.inc(if matches!(outcome, Outcome::Done(_)) { count } else { 0 });
        outcome
    };
    let sent = thread::scope(|scope| {
        let (_sending, over) = bounded::<()>(0);
        scope.spawn(|| say_that_it_ends(&stop, over, &bar, students.format));
        send(&rows, batch, ask)
    });
    bar.finish_and_clear();
    tell(students.format, &sent, rows.len())
}

/// Whoever presses Ctrl-C is told what happens now. Until all is sent.
fn say_that_it_ends(stop: &Stop, over: Receiver<()>, bar: &ProgressBar, format: Form) {
    select! {
        recv(over) -> _ => {}
        recv(stop.receiver()) -> _ => if format != Form::Json {
            bar.suspend(|| warn!("Interrupted: the batch that is under way is finished first. Once more ends at once."));
        }
    }
}

/// Sends batch after batch, until one is not done.
fn send(rows: &[Lined], batch: usize, mut ask: impl FnMut(Vec<Row>) -> Outcome) -> Sent {
    let mut written = 0;
    for part in rows.chunks(batch) {
        match ask(part.iter().map(|(_, row)| row.clone()).collect()) {
            Outcome::Done(_) => written += part.len(),
            outcome => {
                let next = rows.get(written + part.len()).map(|(line, _)| *line);
                return Sent { written, trouble: Some(trouble(part, next, outcome)) };
            }
        }
    }
    Sent { written, trouble: None }
}

fn trouble(part: &[Lined], next: Option<usize>, outcome: Outcome) -> Trouble {
    let id = |row: &Row| row.get(csv::HEADER[0]).and_then(Value::as_i64);
    // `… Stud_id 7 …`
    let named = match &outcome {
        Outcome::Refused(why) => why.split_once("Stud_id ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()),
        _ => None,
    };
    let line = part.iter().find(|(_, row)| named.is_some() && id(row) == named).map(|(line, _)| *line);
    let lines = (part[0].0, part[part.len() - 1].0);
    Trouble { lines, next, first: id(&part[0].1).unwrap_or_default(), line, outcome }
}

/// Says what is written, and what is not, and how to go on.
fn tell(format: Form, sent: &Sent, all: usize) -> Status {
    let Sent { written, trouble } = sent;
    let Some(Trouble { lines: (first, last), next, first: id, line, outcome }) = trouble else {
        let body = json!({ "written": written, "rows": all, "status": "success" });
        let _nobody_reads = if format == Form::Json { show!("{body}") } else { show!("{written} rows written") };
        return Status::Done;
    };
    let (why, is_unknown) = match outcome {
        Outcome::Unknown(why) => (why, true),
        Outcome::Refused(why) => (why, false),
        Outcome::Done(_) => unreachable!("what is done is no trouble"),
    };
    if format == Form::Json {
        let unknown = is_unknown.then_some([first, last]);
        let body = json!({ "written": written, "rows": all, "next_line": first, "unknown_lines": unknown, "line": line,
                           "message": why, "status": "failure" });
        let _nobody_reads = show!("{body}");
        return outcome.status();
    }
    let line = line.map(|line| format!(" (line {line})")).unwrap_or_default();
    warn!("{}{line}", Plain(why));
    let lines = if first == last { format!("Line {first}") } else { format!("Lines {first} to {last}") };
    let batch = if is_unknown { "may be written, or not, or some of them" } else { "not written" };
    let rest = if next.is_some() { ", and nothing behind them is" } else { "" };
    warn!("Written: {written} of {all} rows, those before line {first}. {lines}: {batch}{rest}.");
    match (is_unknown, next) {
        (false, _) => warn!("To go on: the same with --from {first}."),
        (true, None) => {
            warn!("Look whether student {id} is there (client students read {id}). If not: --from {first}.")
        }
        (true, Some(next)) => warn!(
            "Look whether student {id} is there (client students read {id}). To go on: the same with --from {next}; if not, \
             --from {first}."
        ),
    }
    outcome.status()
}

fn bar(rows: usize, format: Form) -> ProgressBar {
    if format == Form::Json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(rows as u64), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:30} {pos} of {len} rows, {per_sec}, {eta} left") {
        Ok(style) => {
            let bar = bar.with_style(style);
            bar.tick();
            bar
        }
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seven() -> Vec<Lined> {
        csv::rows("Stud_id,Stud_name,Stud_marks\n1,A,1\n2,B,1\n\n3,C,1\n4,D,1\n5,E,1\n6,F,1\n7,G,1\n").unwrap()
    }

    #[test]
    fn a_file_goes_in_batches_in_its_order() {
        let mut ids = Vec::new();
        let sent = send(&seven(), 3, |rows| {
            ids.push(rows.iter().map(|row| row["Stud_id"].as_i64().unwrap()).collect::<Vec<_>>());
            Outcome::Done(String::new())
        });
        assert_eq!((ids, sent), (vec![vec![1, 2, 3], vec![4, 5, 6], vec![7]], Sent { written: 7, trouble: None }));
    }

    #[test]
    fn the_batch_that_fails_is_the_last_one_and_its_lines_are_told() {
        let mut calls = 0;
        let sent = send(&seven(), 2, |_| {
            calls += 1;
            if calls == 2 { Outcome::Unknown("lost".into()) } else { Outcome::Done(String::new()) }
        });
        let outcome = Outcome::Unknown("lost".into());
        let trouble = Some(Trouble { lines: (5, 6), next: Some(7), first: 3, line: None, outcome });
        assert_eq!((calls, sent), (2, Sent { written: 2, trouble }));
    }

    #[test]
    fn the_line_of_a_student_who_is_named_is_told() {
        let told = |why: &str| {
            let sent = send(&seven(), 7, |_| Outcome::Refused(why.into()));
            sent.trouble.and_then(|trouble| trouble.line)
        };
        assert_eq!(told("<Error> Stud_id 3 is there already"), Some(5));
        assert_eq!(told("<Error> No shard has Stud_id 7"), Some(9));
        assert_eq!(
            (told("<Error> No shard has Stud_id 99"), told("Interrupted."), told("Stud_id x")),
            (None, None, None)
        );
    }
}
