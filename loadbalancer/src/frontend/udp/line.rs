//! Things that are due after always the same time: who came first is due first, so a line is enough and nothing need be
//! sorted. Pure.

use std::{collections::VecDeque, time::Instant};

/// What is due when, in the order in which it was noted.
#[derive(Debug)]
pub struct Line<T> {
    entries: VecDeque<(Instant, T)>,
    /// From so many on those that have become pointless are looked for.
    tidy_at: usize,
}

/// A line is not tidied below this length.
const SHORT: usize = 1_024;

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), tidy_at: SHORT }
    }
}

impl<T> Line<T> {
    /// Notes something. Whatever has become pointless (`is_of_use` says no) is dropped when the line has doubled, so that it is
    /// at most twice as long as what is of use.
    pub fn push(&mut self, at: Instant, what: T, is_of_use: impl Fn(&T) -> bool) {
        if self.entries.len() >= self.tidy_at {
            self.entries.retain(|(_, what)| is_of_use(what));
            self.tidy_at = SHORT.max(2 * self.entries.len());
        }
        self.entries.push_back((at, what));
    }

    /// When the first is due. What has become pointless is no reason to wake up.
    pub fn next(&mut self, is_of_use: impl Fn(&T) -> bool) -> Option<Instant> {
        while self.entries.front().is_some_and(|(_, what)| !is_of_use(what)) {
            self.entries.pop_front();
        }
        self.entries.front().map(|(at, _)| *at)
    }

    /// The first, if it is due.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        if self.entries.front().is_some_and(|(at, _)| *at <= now) {
            return self.entries.pop_front().map(|(_, what)| what);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_came_first_is_due_first_and_the_pointless_wake_nobody() {
        let (mut line, now) = (Line::default(), Instant::now());
        let at = |ms| now + Duration::from_millis(ms);
        (1..=3).for_each(|n| line.push(at(n), n, |_| true));
        assert_eq!((line.pop(now), line.next(|n| *n > 1)), (None, Some(at(2))));
        assert_eq!(
            (line.pop(at(2)), line.pop(at(2)), line.pop(at(9)), line.pop(at(9))),
            (Some(2), None, Some(3), None)
        );
    }

    #[test]
    fn a_line_of_pointless_things_does_not_grow() {
        let (mut line, now) = (Line::default(), Instant::now());
        (0..100 * SHORT).for_each(|n| line.push(now, n, |_| false));
        assert!(line.entries.len() <= SHORT, "{}", line.entries.len());
    }
}
