//! Point functions: where requests and servers stand on the ring.
//!
//! A ring is as even as the function that places its points. Two are offered, so that the difference can be seen:
//!
//! * [`Xxh3`]: every place is equally likely, and near numbers are not near on the ring.
//! * [`Coursework`]: two polynomials. A request with number i stands at H(i) = i² + 2i + 17, virtual server j of
//!   server i at Φ(i, j) = i² + j² + 2j + 25, both modulo the number M of slots.
//!
//! **Why the coursework's ring is skewed.** H(i) = (i + 1)² + 16, and there are few squares modulo a power of two: of
//! 512 slots H reaches 87. Φ(i, j) = (j + 1)² + i² + 24: for every server the same pattern of squares, only turned by
//! i². With servers 1, 2, 3 the patterns begin at slots 26, 29 and 34 and end at 106, 109 and 114; all requests that
//! stand beyond, which is most, go all the way round to the first point of all: server 1's. It takes 84 % of them.

use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

/// Places requests and servers on a ring.
pub trait PointFunction: Send + fmt::Debug {
    /// Where a request stands that has this key.
    fn request(&self, key: u64) -> u64;

    /// Where the first `count` points of a server are. `number` is its own; if servers share a number they are told
    /// apart by `twin`, 0 for the first.
    fn server(&self, number: u64, twin: u32, count: u32) -> Vec<u64>;
}

/// Positions by xxHash 3, which is the same on every machine and in every version.
#[derive(Clone, Copy, Debug)]
pub struct Xxh3 {
    /// M, if the ring has slots; else positions have 64 bits.
    pub slots: Option<u64>,
}

impl PointFunction for Xxh3 {
    /// The key is a hash already.
    fn request(&self, key: u64) -> u64 {
        self.slots.map_or(key, |slots| key % slots)
    }

    fn server(&self, number: u64, twin: u32, count: u32) -> Vec<u64> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..12].copy_from_slice(&twin.to_le_bytes());
        let mut point = |j: u32| {
            bytes[12..].copy_from_slice(&j.to_le_bytes());
            self.request(xxh3_64(&bytes))
        };
        (0..count).map(&mut point).collect()
    }
}

/// The coursework's H and Φ. Twins want the same slots; probing parts them.
///
/// The number i of a request is its key: a hash, which modulo M is as evenly spread as random six digits, or the six
/// digits themselves, where a frontend has them.
#[derive(Clone, Copy, Debug)]
pub struct Coursework {
    /// M, at most 2²⁴: then nothing here overflows.
    pub slots: u64,
}

impl PointFunction for Coursework {
    fn request(&self, key: u64) -> u64 {
        let i = key % self.slots;
        (i * i + 2 * i + 17) % self.slots
    }

    fn server(&self, number: u64, _twin: u32, count: u32) -> Vec<u64> {
        let i = number % self.slots;
        (0..u64::from(count)).map(|j| (i * i + j * j + 2 * j + 25) % self.slots).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_polynomials_are_those_of_the_coursework() {
        let hash = Coursework { slots: 512 };
        assert_eq!([0, 1, 10, 123_456].map(|i| hash.request(i)), [17, 20, 137, 145]);
        assert_eq!(hash.server(3, 0, 4), [34, 37, 42, 49]);
        // 123456² = 15241383936 = 512 × 29768328 + 0.
        assert_eq!(hash.server(123_456, 0, 2), [25, 28]);
    }

    #[test]
    fn h_reaches_87_of_512_slots() {
        let hash = Coursework { slots: 512 };
        assert_eq!((0..512).map(|i| hash.request(i)).collect::<BTreeSet<_>>().len(), 87);
    }

    /// If these change, every key moves to another server when the program is updated.
    #[test]
    fn the_points_are_the_same_for_ever() {
        assert_eq!(Xxh3 { slots: None }.server(5, 0, 2), [8_046_136_091_381_703_158, 8_813_696_338_818_748_525]);
        assert_eq!(Xxh3 { slots: Some(512) }.server(5, 0, 2), [502, 109]);
        assert_eq!(Xxh3 { slots: None }.request(1 << 40), 1 << 40);
        assert_eq!(Xxh3 { slots: Some(65_537) }.request(65_540), 3);
    }
}
