//! The tags of one server: which request a datagram of it answers. Pure.
//!
//! A tag is the number of a place, two bytes, and then bytes that nobody foresees, drawn for each request anew:
//!
//! ```text
//! request        1  2  3                            of 10.0.0.7:4711
//! to server 2    1  2  3 | 00 05  9c 21 7b 10 e4 58    place 5
//! its answer     3  2  1 | 00 05  9c 21 7b 10 e4 58    place 5 is free again
//! said again     3  2  1 | 00 05  9c 21 7b 10 e4 58    nobody has asked under this tag
//! ```
//!
//! Whoever has not seen the tag finds it in one of 2^48 tries. A tag of two bytes has nothing but the place, so that a late
//! answer to one request would be one to the next at that place: therefore a place whose tag is shorter than
//! [`LONGEST`] rests until no answer to the earlier request is to be expected. Then places may run out.

use std::{collections::VecDeque, time::Instant};

/// Bytes of a tag that names nothing but its place, as the original's agents append.
pub const SHORTEST: usize = 2;
/// Bytes of a tag that is never used again.
pub const LONGEST: usize = 8;
/// Requests that one server may have at once: as many as two bytes tell apart.
pub const PLACES: usize = 65_536;

/// The bits of a tag of [`LONGEST`] bytes that are drawn.
const DRAWN: u64 = (1 << 48) - 1;

/// A tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Tag {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The place that it names.
    #[must_use]
    pub fn place(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }
}

/// All tags of one server, each of the request of this number.
#[derive(Debug)]
pub struct Tags {
    length: usize,
    places: Vec<Option<(Tag, u64)>>,
    /// Those that are free, and from when on. In the order in which they were given back.
    free: VecDeque<(u16, Instant)>,
}

impl Tags {
    /// No tags yet; those that there will be have so many bytes.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self { length: length.clamp(SHORTEST, LONGEST), places: Vec::new(), free: VecDeque::new() }
    }

    /// How many bytes a tag has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// How many are in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// A tag for the request of this number, with bytes from `drawn`. `None` if all places are taken, or rest.
    pub fn give(&mut self, number: u64, drawn: u64, now: Instant) -> Option<Tag> {
        // Where each request's tag is drawn anew no place need rest.
        let rested = self.free.front().is_some_and(|(_, from)| self.length == LONGEST || *from <= now);
        let place = if rested {
            self.free.pop_front().map(|(place, _)| place)?
        } else {
            let next = u16::try_from(self.places.len()).ok()?;
            self.places.push(None);
            next
        };
        let bytes = ((u64::from(place) << 48) | (drawn & DRAWN)).to_be_bytes();
        let tag = Tag { bytes, length: self.length };
        self.places[usize::from(place)] = Some((tag, number));
        Some(tag)
    }

    /// The request that the datagram answers, by the tag at its end.
    #[must_use]
    pub fn find(&self, datagram: &[u8]) -> Option<(Tag, u64)> {
        let said = datagram.get(datagram.len().checked_sub(self.length)?..)?;
        let place = u16::from_be_bytes([said[0], said[1]]);
        let (tag, number) = self.places.get(usize::from(place)).copied().flatten()?;
        (tag.bytes() == said).then_some((tag, number))
    }

    /// This tag is not used any more. Its place rests until then, unless tags are long.
    pub fn give_back(&mut self, tag: Tag, rests_until: Instant) {
        let place = tag.place();
        if let Some(taken) =
            self.places.get_mut(usize::from(place)).filter(|taken| taken.is_some_and(|(own, _)| own == tag))
        {
            *taken = None;
            self.free.push_back((place, rests_until));
        }
    }

    /// The numbers of all requests that have a tag.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.places.iter().flatten().map(|(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const REST: Duration = Duration::from_secs(3);

    fn answer(tag: Tag) -> Vec<u8> {
        [b"321", tag.bytes()].concat()
    }

    #[test]
    fn an_answer_is_found_by_its_tag_once_and_by_no_other() {
        let (mut tags, now) = (Tags::new(LONGEST), Instant::now());
        let (one, two) = (tags.give(7, 0x1234, now).unwrap(), tags.give(8, 0x1234, now).unwrap());
        assert_eq!((tags.find(&answer(one)), tags.find(&answer(two))), (Some((one, 7)), Some((two, 8))));
        let mut wrong = answer(one);
        wrong[10] ^= 1;
        assert_eq!(tags.find(&wrong), None, "another drawn byte");
        assert_eq!(tags.find(one.bytes()), Some((one, 7)), "an answer may be empty");
        for short in [&b""[..], b"d", &one.bytes()[1..]] {
            assert_eq!(tags.find(short), None);
        }
        tags.give_back(one, now);
        assert_eq!((tags.find(&answer(one)), tags.in_use()), (None, 1), "said again");
        let third = tags.give(9, 0x5678, now).unwrap();
        assert_eq!((third.place(), tags.find(&answer(one)), tags.find(&answer(third))), (0, None, Some((third, 9))));
    }

    #[test]
    fn a_short_tag_rests_until_no_answer_to_it_is_expected() {
        let (mut tags, begun) = (Tags::new(SHORTEST), Instant::now());
        for number in 0..PLACES as u64 {
            assert_eq!(tags.give(number, 99, begun).unwrap().bytes().len(), 2);
        }
        assert_eq!(tags.give(1, 99, begun), None, "all are in use");
        let first = tags.find(&[1, 2, 3, 0, 0]).unwrap().0;
        tags.give_back(first, begun + REST);
        assert_eq!(tags.give(1, 99, begun + REST - Duration::from_nanos(1)), None, "it rests");
        let again = tags.give(70_000, 99, begun + REST).unwrap();
        assert_eq!((again.place(), tags.find(&[0, 0])), (0, Some((again, 70_000))), "and is used again");
    }

    #[test]
    fn giving_back_twice_frees_one_place() {
        let (mut tags, now) = (Tags::new(LONGEST), Instant::now());
        let one = tags.give(1, 1, now).unwrap();
        tags.give_back(one, now);
        tags.give_back(one, now);
        let two = tags.give(2, 2, now).unwrap();
        tags.give_back(one, now);
        assert_eq!((tags.in_use(), tags.find(two.bytes())), (1, Some((two, 2))));
    }
}
