//! Numbers that nobody foresees, from the system's own randomness, some hundred at a time: a call for each would cost more
//! than the rest of the request.

/// How many are drawn at once.
const AT_ONCE: usize = 256;

/// A supply of numbers.
#[derive(Debug, Default)]
pub struct Draw {
    drawn: Vec<u64>,
}

impl Draw {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        if self.drawn.is_empty() {
            self.fill();
        }
        self.drawn.pop().unwrap_or_default()
    }

    fn fill(&mut self) {
        let mut bytes = [0; 8 * AT_ONCE];
        if getrandom::fill(&mut bytes).is_err() {
            // No system that this runs on fails to; then numbers that can be foreseen are better than no answers.
            fastrand::fill(&mut bytes);
        }
        self.drawn.extend(bytes.chunks_exact(8).map(|eight| u64::from_ne_bytes(eight.try_into().unwrap_or_default())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_of_ten_thousand_are_alike() {
        let mut draw = Draw::default();
        assert_eq!((0..10_000).map(|_| draw.next()).collect::<HashSet<_>>().len(), 10_000);
    }
}
