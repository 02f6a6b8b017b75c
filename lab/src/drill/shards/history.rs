//! Whether a history of one row is linearizable: as if each call had happened at one moment between its question and its answer. Pure.
//!
//! **The problem.** Many clients read and change the same row at the same time; which order is right nobody can say beforehand. "All
//! acknowledged changes are there at the end" does not see a read that showed an old value in the middle.
//!
//! **The idea.** There must be an order of all calls such that each comes after those that had been answered before it was asked, and
//! each answer is right in that order. It is searched for: whatever could be the first call (no other was answered before it was
//! asked) is tried, and then the rest. States of the search that were seen are not searched again. A call whose outcome is unknown may
//! have happened at any time after its question, or not at all.
//!
//! **An example.** Add 1 is answered at 5; a read from 6 to 8 shows no row: no order is right.
//!
//! Sources: M. Herlihy, J. Wing, *Linearizability*, 1990; J. Wing, C. Gong, *Testing and verifying concurrent objects*, 1993;
//! G. Lowe, *Testing for linearizability*, 2017 (states that were seen).

use std::collections::HashSet;

/// A row: none, or one with this value.
pub type Row = Option<i64>;

/// What a call has done, by its answer; or would do, if its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A row was added, because there was none.
    Add(i64),
    /// It was not, because there was one.
    Taken,
    /// The row got this value.
    Set(i64),
    /// The row was removed.
    Remove,
    /// Nothing was set or removed, because there was no row.
    Missing,
    /// This was read.
    Read(Row),
}

impl Deed {
    /// The row after it; `None` if this deed cannot happen to this row.
    fn after(self, row: Row) -> Option<Row> {
        match (self, row) {
            (Self::Add(value), None) | (Self::Set(value), Some(_)) => Some(Some(value)),
            (Self::Remove, Some(_)) => Some(None),
            (Self::Taken, Some(_)) | (Self::Missing, None) => Some(row),
            (Self::Read(seen), _) if seen == row => Some(row),
            _ => None,
        }
    }
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was asked; the unit does not matter.
    pub asked: u64,
    /// When it was answered; none if nobody knows whether it has happened.
    pub answered: Option<u64>,
    /// What it has done.
    pub deed: Deed,
}

/// Whether there is an order in which all of this is right, of a row that does not exist in the beginning.
#[must_use]
pub fn is_linearizable(calls: &[Call]) -> bool {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.asked);
    let mut seen = HashSet::new();
    search(&calls, &mut vec![0; calls.len().div_ceil(64)], None, &mut seen)
}

type Seen = HashSet<(Vec<u64>, Row)>;

/// Whether the calls that are not in `done` can be put in order behind those that are.
fn search(calls: &[Call], done: &mut Vec<u64>, row: Row, seen: &mut Seen) -> bool {
    let is_done = |done: &[u64], at: usize| done[at / 64] >> (at % 64) & 1 == 1;
    let left = || (0..calls.len()).filter(|at| !is_done(done, *at));
    let Some(first_answer) = left().filter_map(|at| calls[at].answered).min() else { return true };
    if !seen.insert((done.clone(), row)) {
        return false;
    }
    // Whoever was asked after somebody was answered cannot come before that one.
    let next: Vec<usize> = left().take_while(|at| calls[*at].asked <= first_answer).collect();
    next.into_iter().any(|at| {
        let Some(after) = calls[at].deed.after(row) else { return false };
        done[at / 64] |= 1 << (at % 64);
        let found = search(calls, done, after, seen);
        done[at / 64] &= !(1 << (at % 64));
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(asked: u64, answered: u64, deed: Deed) -> Call {
        Call { asked, answered: Some(answered), deed }
    }

    fn unknown(asked: u64, deed: Deed) -> Call {
        Call { asked, answered: None, deed }
    }

    #[test]
    fn one_after_the_other_must_be_right() {
        use Deed::{Add, Missing, Read, Remove, Set, Taken};
        let right = [
            call(1, 2, Missing),
            call(3, 4, Add(7)),
            call(5, 6, Read(Some(7))),
            call(7, 8, Taken),
            call(9, 10, Set(8)),
            call(11, 12, Read(Some(8))),
            call(13, 14, Remove),
            call(15, 16, Read(None)),
        ];
        assert!(is_linearizable(&right) && is_linearizable(&[]));
        for without in [1, 4, 6] {
            let mut wrong = right.to_vec();
            wrong.remove(without);
            assert!(!is_linearizable(&wrong), "without {without}");
        }
        assert!(!is_linearizable(&[call(1, 5, Add(1)), call(6, 8, Read(None))]), "an acknowledged change was not seen");
        assert!(!is_linearizable(&[call(1, 2, Add(1)), call(3, 4, Add(1))]), "doubled");
    }

    #[test]
    fn at_the_same_time_either_order_will_do_but_one_for_all() {
        use Deed::{Add, Read, Set};
        let begin = [call(1, 2, Add(0)), call(3, 9, Set(1)), call(3, 9, Set(2))];
        let with = |more: &[Call]| is_linearizable(&[&begin[..], more].concat());
        assert!(with(&[call(10, 11, Read(Some(1)))]) && with(&[call(10, 11, Read(Some(2)))]));
        assert!(!with(&[call(10, 11, Read(Some(0)))]));
        assert!(with(&[call(4, 5, Read(Some(0))), call(6, 7, Read(Some(1))), call(10, 11, Read(Some(2)))]));
        assert!(!with(&[call(4, 5, Read(Some(1))), call(6, 7, Read(Some(0)))]), "back to what was before");
        assert!(!with(&[call(10, 11, Read(Some(1))), call(12, 13, Read(Some(2)))]), "changed by nobody");
    }

    #[test]
    fn what_is_unknown_may_have_happened_later_or_never() {
        use Deed::{Add, Read, Remove};
        let add = unknown(1, Add(1));
        assert!(is_linearizable(&[add]) && is_linearizable(&[add, call(5, 6, Read(None))]));
        assert!(is_linearizable(&[add, call(5, 6, Read(None)), call(7, 8, Read(Some(1)))]));
        assert!(!is_linearizable(&[add, call(5, 6, Read(Some(1))), call(7, 8, Read(None))]), "it happens once");
        assert!(!is_linearizable(&[unknown(7, Add(1)), call(5, 6, Read(Some(1)))]), "not before it was asked");
        let twice = [add, unknown(2, Remove), call(5, 6, Read(Some(1))), call(7, 8, Read(None))];
        assert!(is_linearizable(&twice));
    }

    /// Histories that were made by a row that really is one, and the same with one answer falsified.
    #[test]
    fn histories_of_a_real_row_pass_and_falsified_ones_do_not() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut found = 0;
        for _ in 0..200 {
            let (mut row, mut calls) = (None, Vec::new());
            for moment in 1..=60_u64 {
                let value = moment as i64;
                let deed = match (random.u8(..4), row) {
                    (0, _) => Deed::Read(row),
                    (1, Some(_)) => Deed::Remove,
                    (_, Some(_)) => Deed::Set(value),
                    (1, None) => Deed::Missing,
                    (_, None) => Deed::Add(value),
                };
                row = deed.after(row).unwrap();
                // It happened at its moment, and took a while before and after that.
                let (before, after) = (random.u64(..30), random.u64(..30));
                calls.push(call((moment * 10).saturating_sub(before), moment * 10 + after, deed));
            }
            assert!(is_linearizable(&calls), "seed {seed}: {calls:?}");
            let reads = (0..calls.len()).filter(|at| matches!(calls[*at].deed, Deed::Read(_))).collect::<Vec<_>>();
            let at = reads[random.usize(..reads.len())];
            calls[at].deed = Deed::Read(Some(-1));
            assert!(!is_linearizable(&calls), "seed {seed}: a value of nobody");
            found += 1;
        }
        assert_eq!(found, 200);
    }
}
