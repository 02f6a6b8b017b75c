//! Ids that nobody foresees (RFC 5452 §4.4): from the system's own randomness, some hundred at a time.

/// How many are drawn at once: a call into the system for each would cost more than the rest of the query.
const AT_ONCE: usize = 256;

/// A supply of ids.
#[derive(Debug, Default)]
pub struct Ids {
    drawn: Vec<u16>,
}

impl Ids {
    /// The next one.
    pub fn draw(&mut self) -> u16 {
        if let Some(id) = self.drawn.pop() {
            return id;
        }
        let mut bytes = [0; 2 * AT_ONCE];
        if getrandom::fill(&mut bytes).is_err() {
            // No system that this runs on fails to; then ids that can be foreseen are better than no answers.
            return fastrand::u16(..);
        }
        self.drawn = bytes.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
        self.drawn.pop().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn they_are_spread() {
        let mut ids = Ids::default();
        let drawn: HashSet<u16> = (0..10_000).map(|_| ids.draw()).collect();
        // 10,000 of 65,536: 9,272 different ones are expected, and 8,000 are not missed by chance.
        assert!(drawn.len() > 8_000, "{}", drawn.len());
    }
}
