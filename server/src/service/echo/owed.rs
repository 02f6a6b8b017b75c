//! What has come and not yet gone back: a queue of blocks with two limits.
//!
//! A connection always has one block. It may have more, up to a limit of its own, as long as there are any in the *pot*
//! that all connections share. Whoever gets none is not read from until he has taken some of what he is owed: the
//! system's own flow control then slows him down. So nobody is refused anything, a few who send first and read later get
//! what they need, and a thousand of them cannot fill the memory.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Size of a block, in bytes. Only the pages of it that were used cost memory.
pub(super) const BLOCK: usize = 64 * 1024;

/// The blocks that all connections share.
#[derive(Debug)]
pub(super) struct Pot {
    left: AtomicUsize,
}

impl Pot {
    pub(super) fn new(blocks: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(blocks) })
    }

    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
    }

    fn give_back(&self, blocks: usize) {
        self.left.fetch_add(blocks, Ordering::AcqRel);
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.left.load(Ordering::Acquire)
    }
}

/// The bytes that one connection is owed, in order.
#[derive(Debug)]
pub(super) struct Owed {
    /// Never empty. All but the last are full; of the first, some may have gone back.
    blocks: VecDeque<Block>,
    most_blocks: usize,
    pot: Arc<Pot>,
}

#[derive(Debug)]
struct Block {
    bytes: Box<[u8]>,
    /// The bytes `start..end` have come and not gone back.
    start: usize,
    end: usize,
}

impl Block {
    fn new() -> Self {
        Self { bytes: vec![0; BLOCK].into_boxed_slice(), start: 0, end: 0 }
    }
}

impl Owed {
    /// Nothing, and room for this many blocks at the most (at least one).
    pub(super) fn new(most_blocks: usize, pot: &Arc<Pot>) -> Self {
        Self { blocks: VecDeque::from([Block::new()]), most_blocks, pot: Arc::clone(pot) }
    }

    /// Whether all that came has gone back.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.front().is_none_or(|block| block.start == block.end)
    }

    /// Makes room for more, if there may be any; says whether there is.
    pub(super) fn make_room(&mut self) -> bool {
        if self.blocks.back().is_some_and(|block| block.end < BLOCK) {
            return true;
        }
        let more = self.blocks.len() < self.most_blocks && self.pot.take();
        if more {
            self.blocks.push_back(Block::new());
        }
        more
    }

    /// Reads once, into the room that was made. 0 is the end of the peer's half.
    pub(super) fn take_from(&mut self, mut stream: impl Read) -> io::Result<usize> {
        let Some(block) = self.blocks.back_mut() else { return Ok(0) };
        let n = stream.read(&mut block.bytes[block.end..])?;
        block.end += n;
        Ok(n)
    }

    /// Writes once. Returns how much has gone back.
    pub(super) fn give_to(&mut self, mut stream: impl Write) -> io::Result<usize> {
        let Some(block) = self.blocks.front_mut() else { return Ok(0) };
        let n = stream.write(&block.bytes[block.start..block.end])?;
        block.start += n;
        if block.start == block.end {
            self.first_is_done();
        }
        Ok(n)
    }

    /// The first block has gone back whole: it is the room for what comes next, or goes back into the pot.
    fn first_is_done(&mut self) {
        if self.blocks.len() > 1 {
            self.blocks.pop_front();
            self.pot.give_back(1);
        } else if let Some(only) = self.blocks.front_mut() {
            (only.start, only.end) = (0, 0);
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.pot.give_back(self.blocks.len().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most this many bytes at once.
    struct Slow(Vec<u8>, usize);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_go_back_in_order_whatever_pieces_they_come_and_go_in() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let sent: Vec<u8> = (0..10 * BLOCK).map(|_| random.u8(..)).collect();
        let (pot, mut rest, mut back) = (Pot::new(4), sent.as_slice(), Slow(Vec::new(), 0));
        let mut owed = Owed::new(100, &pot);
        while back.0.len() < sent.len() {
            if random.bool() && owed.make_room() {
                let piece = rest.len().min(random.usize(1..2 * BLOCK));
                let n = owed.take_from(&rest[..piece]).unwrap();
                rest = &rest[n..];
            } else {
                back.1 = random.usize(1..2 * BLOCK);
                owed.give_to(&mut back).unwrap();
            }
        }
        assert!(back.0 == sent && owed.is_empty(), "seed {seed}");
        assert_eq!(pot.left(), 4, "seed {seed}");
    }

    #[test]
    fn a_connection_has_its_own_block_and_more_only_as_long_as_there_are_any() {
        let pot = Pot::new(3);
        let fill = |owed: &mut Owed| {
            let mut blocks = 0;
            while owed.make_room() {
                assert_eq!(owed.take_from(&[1; BLOCK][..]).unwrap(), BLOCK);
                blocks += 1;
            }
            blocks
        };
        let (mut first, mut second) = (Owed::new(3, &pot), Owed::new(3, &pot));
        assert_eq!((fill(&mut first), fill(&mut second)), (3, 2), "its own limit; then the pot is empty");
        assert_eq!(Owed::new(3, &pot).make_room() as usize, 1);
        drop(first);
        assert_eq!(fill(&mut second), 1);
        drop(second);
        assert_eq!(pot.left(), 3);
    }
}
