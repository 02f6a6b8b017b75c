//! How far a file has come, and how another server goes on with it.
//!
//! **The problem.** A server dies when it has sent 700 MB of a gigabyte. To begin again wastes what has arrived; to go
//! on from another server may join the halves of two different files, and nobody would notice.
//!
//! **The idea.** Every chunk carries the SHA-256 of all bytes so far. The load balancer remembers that of the last
//! chunk that was passed whole, and tells the next server "go on from byte N, provided that your first N bytes have
//! this digest". That server hashes its own copy up to N, and either continues or says that its copy differs. The
//! chunk that was cut in its middle comes again, from the other server: if it carries the same digest it is the same
//! chunk, so its bytes that the client has already are skipped and the rest fills the frame up.
//!
//! **Worked example.** Chunks of 1 MiB. The server is lost when 3 chunks are whole and 700,000 bytes of the fourth
//! have been passed. The next server is asked for offset 3,145,728 with the third chunk's digest. Its first chunk
//! has the digest that the cut one announced: 700,000 bytes of it are dropped, 348,576 passed on, and the client sees
//! an ordinary stream.
//!
//! **When it is wrong.** Never silently: whoever receives the file checks the digest of the whole before he believes
//! it. It is slow when the file is huge and its bytes are not in the page cache, because the new server reads and
//! hashes everything before N (about a second a gigabyte).
//!
//! Sources: the idea of resuming under a validator is HTTP's `If-Range` (RFC 9110 §13.1.5); here the validator covers
//! just the bytes that matter.

use protocol::message::{ChunkHeader, Head};

/// The passage of one file, over as many servers as it takes.
#[derive(Debug, Default)]
pub struct Transfer {
    /// The size that the client was told.
    size: Option<u64>,
    /// Bytes in chunks that were passed whole.
    whole: u64,
    /// SHA-256 of these bytes.
    digest: Option<String>,
    /// The chunk that is being passed.
    open: Option<OpenChunk>,
}

/// A chunk of which the client knows the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenChunk {
    sha256: String,
    len: usize,
    passed: usize,
}

/// Another server has another file under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differs;

impl Transfer {
    /// A passage that begins at this byte, because the client has those before, with this digest.
    #[must_use]
    pub fn from(offset: u64, digest: Option<String>) -> Self {
        Self { whole: offset, digest, ..Self::default() }
    }

    /// Whether the client has been told anything of this file.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.size.is_some()
    }

    /// Where the next server has to go on, and the digest of what is before.
    #[must_use]
    pub fn resume_at(&self) -> (u64, Option<String>) {
        (self.whole, self.digest.clone())
    }

    /// Bytes that the frame in passing still owes the client.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.open.as_ref().map_or(0, |chunk| chunk.len - chunk.passed)
    }

    /// A head has come. True: pass it on; false: the client has it already.
    ///
    /// # Errors
    /// If this server's file has another size than the client was told.
    pub fn head(&mut self, head: &Head) -> Result<bool, Differs> {
        let Head::File { size, .. } = head else { return Ok(true) };
        match self.size {
            None => {
                self.size = Some(*size);
                Ok(true)
            }
            Some(told) if told == *size => Ok(false),
            Some(_) => Err(Differs),
        }
    }

    /// A chunk has come. `None`: it is a new one, pass it on. `Some(n)`: it is the one that was cut; the client has
    /// its prefix, its header and its first `n` bytes.
    ///
    /// # Errors
    /// If it is not the chunk that was cut.
    pub fn chunk(&mut self, header: ChunkHeader, len: usize) -> Result<Option<usize>, Differs> {
        match &self.open {
            None => {
                self.open = Some(OpenChunk { sha256: header.sha256, len, passed: 0 });
                Ok(None)
            }
            Some(cut) if cut.sha256 == header.sha256 && cut.len == len => Ok(Some(cut.passed)),
            Some(_) => Err(Differs),
        }
    }

    /// The client has got this many further bytes of the chunk.
    pub fn passed(&mut self, bytes: usize) {
        let Some(chunk) = &mut self.open else { return };
        chunk.passed += bytes;
        if chunk.passed >= chunk.len {
            self.whole += chunk.len as u64;
            self.digest = self.open.take().map(|chunk| chunk.sha256);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(size: u64) -> Head {
        Head::File { name: "f".into(), size }
    }

    fn header(digest: &str) -> ChunkHeader {
        ChunkHeader { sha256: digest.into() }
    }

    #[test]
    fn a_cut_chunk_is_filled_up_by_the_next_server() {
        let mut transfer = Transfer::default();
        assert_eq!(transfer.head(&head(300)), Ok(true));
        assert_eq!(transfer.chunk(header("a"), 100), Ok(None));
        transfer.passed(100);
        assert_eq!(transfer.chunk(header("b"), 100), Ok(None));
        transfer.passed(70);
        assert_eq!((transfer.resume_at(), transfer.owed()), ((100, Some("a".into())), 30));
        assert_eq!(transfer.head(&head(300)), Ok(false), "the client has it");
        assert_eq!(transfer.chunk(header("b"), 100), Ok(Some(70)));
        transfer.passed(30);
        assert_eq!((transfer.resume_at(), transfer.owed()), ((200, Some("b".into())), 0));
    }

    #[test]
    fn another_file_is_never_joined_to_this_one() {
        let mut transfer = Transfer::default();
        transfer.head(&head(300)).unwrap();
        assert_eq!(transfer.head(&head(301)), Err(Differs));
        transfer.chunk(header("b"), 100).unwrap();
        transfer.passed(70);
        assert_eq!(transfer.chunk(header("x"), 100), Err(Differs));
        assert_eq!(transfer.chunk(header("b"), 99), Err(Differs));
    }

    #[test]
    fn an_empty_chunk_is_whole_at_once() {
        let mut transfer = Transfer::default();
        transfer.head(&head(0)).unwrap();
        transfer.chunk(header("e"), 0).unwrap();
        transfer.passed(0);
        assert_eq!(transfer.owed(), 0);
    }
}
