//! How far a nomination or a result has travelled, in both directions.
//!
//! **The problem.** "Has it been everywhere?" is easy in a whole ring: it has when it comes back from the other side. With
//! one server dead the ring is a line, and nothing comes round. With two dead at different places, it is two pieces, and
//! nobody in one of them sees the other: they must not hold an election of their own each.
//!
//! **The idea.** Each server says to either neighbour what it knows about its other side: *as far as server L has it, and
//! behind L would come N*. The last one before a dead neighbour starts that sentence; so does the neighbour of the nominee
//! itself, with the nominee as N. Everybody passes it on who has the thing himself. So the nominee learns two ends:
//!
//! | its ends | what that means | everywhere? |
//! |---|---|---|
//! | right: `…, L \| me` | it came all the way round | yes, all have it |
//! | right: `…, A \| X` and left: `X \| B, …` | the same one is missing on both sides | yes, all but X |
//! | right: `…, A \| B` and left: `A \| B, …` | only a link is missing, between A and B | yes, all have it |
//! | right: `…, A \| X` and left: `Y \| B, …` | X and Y are missing, and who knows what between them | no |
//!
//! **When it is wrong.** It believes what servers say of themselves, and that `--ring` says the same ring everywhere.

use super::message::End;
use std::net::SocketAddr;

/// Left or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    /// Both of them.
    pub(crate) const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// Something for the left and something for the right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sides<T> {
    pub(crate) left: T,
    pub(crate) right: T,
}

impl<T> Sides<T> {
    pub(crate) fn get(&self, side: Side) -> &T {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    pub(crate) fn get_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
}

/// What is known of both ends.
pub(crate) type Reach = Sides<Option<End>>;

/// Whether something of mine has been at every server of the ring, or at every one but one.
pub(crate) fn is_everywhere(reach: &Reach, me: SocketAddr) -> bool {
    let came_round = Side::BOTH.iter().filter_map(|side| *reach.get(*side)).any(|end| end.next == me);
    let one_is_missing = match (reach.left, reach.right) {
        (Some(left), Some(right)) => {
            let a_server = left.next == right.next;
            let a_link = left.next == right.last && right.next == left.last;
            a_server || a_link
        }
        _ => false,
    };
    came_round || one_is_missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(last: u16, next: u16) -> Option<End> {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Some(End { last: at(last), next: at(next) })
    }

    /// The ring is 1, 2, … 6, and to the right of 6 is 1, which asks.
    #[test]
    fn everywhere_is_all_or_all_but_one() {
        let me = SocketAddr::from(([127, 0, 0, 1], 1));
        for (left, right, everywhere, what) in [
            (None, end(6, 1), true, "it came round"),
            (end(2, 1), None, true, "it came round the other way"),
            (end(5, 4), end(3, 4), true, "4 is missing"),
            (end(4, 3), end(3, 4), true, "the link of 3 and 4 is missing"),
            (end(1, 6), end(5, 6), true, "6 is missing, my neighbour"),
            (end(5, 4), end(2, 3), false, "3 and 4 are missing"),
            (end(1, 6), end(1, 2), false, "I am alone"),
            (end(5, 4), None, false, "on the right it is still on its way"),
            (None, None, false, "nothing is known"),
        ] {
            assert_eq!(is_everywhere(&Reach { left, right }, me), everywhere, "{what}");
        }
    }
}
