//! Sending a file: its size, its bytes in chunks, its digest.
//!
//! Each chunk carries the SHA-256 of everything before and in it. So nothing waits for a hash of the whole file before the
//! first byte leaves, and when a transfer breaks off, another server can be told how far it came and with which
//! digest; it goes on from there only if its own copy has the same first bytes.
//!
//! Memory: one chunk, whatever the size of the file.

use super::{answer::Answer, requester::Lost};
use crate::{
    files::{FileError, FileRoom, OpenFile},
    sql::Interrupt,
};
use protocol::{
    frame::Kind,
    message::{ChunkHeader, End, ErrorCode, Failure, FileRequest, Head},
    output::{Plain, say},
    value::to_hex,
};
use sha2::{Digest, Sha256};

/// Size of a chunk, in bytes. The protocol allows 4 MiB; above 1 MiB nothing gets faster, and every request in process
/// holds one.
const CHUNK: usize = 1024 * 1024;

/// Why a file was not sent to its end.
enum Stop {
    /// The client can be told.
    Failed(Failure),
    /// There is nobody to be told.
    Lost,
}

impl From<FileError> for Stop {
    fn from(error: FileError) -> Self {
        Self::Failed(error.failure())
    }
}

impl From<Lost> for Stop {
    fn from(_: Lost) -> Self {
        Self::Lost
    }
}

impl From<Interrupt> for Stop {
    fn from(interrupt: Interrupt) -> Self {
        Self::Failed(Failure::definite(ErrorCode::Cancelled, interrupt.to_string()))
    }
}

/// Answers a request for a file.
pub(crate) fn answer_file(room: &FileRoom, request: &FileRequest, mut answer: Answer<'_>) -> Result<(), Lost> {
    match send(room, request, &mut answer) {
        Ok(end) => {
            answer.end(end)?;
            say!("File {} sent successfully", Plain(&request.name));
            Ok(())
        }
        Err(Stop::Failed(failure)) => {
            say!("{}", Plain(&failure.message));
            answer.fail(failure)
        }
        Err(Stop::Lost) => Err(Lost),
    }
}

fn send(room: &FileRoom, request: &FileRequest, answer: &mut Answer<'_>) -> Result<End, Stop> {
    let mut file = room.open(&request.name)?;
    let size = file.size();
    let mut chunk = vec![0; usize::try_from(size).map_or(CHUNK, |size| size.clamp(1, CHUNK))];
    let mut digest = Sha256::new();
    skip_what_arrived(&mut file, request, &mut digest, &mut chunk, answer)?;
    say!("Starting to send file");
    answer.frame(Kind::Head, &Head::File { name: request.name.clone(), size }, &[])?;
    let mut left = size - request.offset;
    while left > 0 {
        let block = next_block(&mut file, &mut left, &mut chunk, &mut digest)?;
        let header = ChunkHeader { sha256: hex(&digest) };
        answer.frame(Kind::Data, &header, block)?;
        go_on(answer)?;
    }
    file.unchanged()?;
    Ok(End { sha256: Some(hex(&digest)), size: Some(size), ..End::default() })
}

/// Reads the bytes that an earlier server has sent already, and checks that they are the same here.
fn skip_what_arrived(
    file: &mut OpenFile,
    request: &FileRequest,
    digest: &mut Sha256,
    chunk: &mut [u8],
    answer: &Answer<'_>,
) -> Result<(), Stop> {
    if request.offset == 0 {
        return Ok(());
    }
    let differs = || {
        let name = Plain(&request.name);
        let message = format!("This server's copy of {name} differs from the one that the transfer began with.");
        Stop::Failed(Failure::definite(ErrorCode::Damaged, message))
    };
    if request.offset > file.size() {
        return Err(differs());
    }
    let mut left = request.offset;
    while left > 0 {
        next_block(file, &mut left, chunk, digest)?;
        go_on(answer)?;
    }
    if request.sha256.as_deref() == Some(hex(digest).as_str()) { Ok(()) } else { Err(differs()) }
}

/// The next block of the file, at most as long as `left`, which becomes less.
fn next_block<'a>(
    file: &mut OpenFile,
    left: &mut u64,
    chunk: &'a mut [u8],
    digest: &mut Sha256,
) -> Result<&'a [u8], FileError> {
    let length = usize::try_from(*left).map_or(chunk.len(), |left| left.min(chunk.len()));
    let block = &mut chunk[..length];
    file.read_exact(block)?;
    digest.update(&*block);
    *left -= length as u64;
    Ok(block)
}

fn go_on(answer: &Answer<'_>) -> Result<(), Interrupt> {
    answer.requester().lock().lost_interest().map_or(Ok(()), Err)
}

fn hex(digest: &Sha256) -> String {
    to_hex(&digest.clone().finalize())
}
