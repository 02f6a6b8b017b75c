//! A server whose files cost as little as they can, so that what is measured is what stands before it.
//!
//! A server of ours hashes each file it sends, and a disk may be slow. For measuring a load balancer both are in the
//! way. This one speaks the same frames and sends a block from the page cache over and over (on Linux with `sendfile`,
//! which copies nothing through the process). Its digests are no digests: only a client that does not verify files
//! should ask it.

use anyhow::Context;
use clap::Args;
use protocol::{
    deadline::Phase,
    frame::{Kind, Prefix, VERSION},
    id::RequestId,
    lifeline::{self, LifelineAddress},
    limits::{HEADER_TIME, MAX_CONNECTIONS},
    listener::{Crew, CrewOptions, Handler, Refusal, Visit},
    message::{Alive, ChunkHeader, End, FileRequest, Head, Identify, Identity},
    registry::{Entry, LAB, Registry},
    stop::Stop,
    wire::{Connection, WireError, from_header, push_frame, to_header},
};
use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

/// Size of a chunk in bytes, as our servers have it.
const CHUNK: usize = 1024 * 1024;
/// What stands where a digest belongs.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Options of `lab source`.
#[derive(Args, Debug)]
pub struct SourceArgs {
    /// The id of the server
    id: String,
    /// How large every file is, in bytes
    size: u64,
    /// Where to register
    #[arg(long)]
    registry: PathBuf,
    /// A file of at least a chunk, which is sent again and again
    #[arg(long)]
    block: PathBuf,
    /// What to hold on to
    #[arg(long)]
    lifeline: LifelineAddress,
}

/// Serves until the lifeline ends.
///
/// # Errors
/// If it cannot listen or register.
pub fn run(args: &SourceArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::new();
    let ending = stop.clone();
    lifeline::hold(&args.lifeline, move || ending.drain())?;
    let (service, control) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    let (address, control_address) = (service.local_addr()?, control.local_addr()?);
    let incarnation = fastrand::u64(..);
    let block = File::open(&args.block).with_context(|| format!("{} cannot be read", args.block.display()))?;
    let source = Arc::new(Source { id: args.id.clone(), size: args.size, block, address, incarnation });
    let crew = |name, listener| {
        let handler: Arc<dyn Handler> = Arc::clone(&source) as Arc<dyn Handler>;
        Crew::start(listener, CrewOptions { name, max_connections: MAX_CONNECTIONS }, handler)
    };
    let _crews = (crew("service", service)?, crew("control", control)?);
    Registry::new(&args.registry).register(&Entry {
        id: args.id.clone(),
        address,
        service: LAB.to_owned(),
        processing_time: 0.0,
        capacity: CAPACITY,
        control: control_address,
        pid: Some(std::process::id()),
    })?;
    stop.wait();
    Ok(ExitCode::SUCCESS)
}

/// More requests at once than anybody sends.
const CAPACITY: u32 = 100_000;

/// Answers on both ports.
struct Source {
    id: String,
    size: u64,
    block: File,
    address: SocketAddr,
    incarnation: u64,
}

impl Handler for Source {
    fn serve(&self, visit: &Visit) {
        // Whoever is not answered any more has ended the connection.
        let _ended = self.converse(visit);
    }

    fn refuse(&self, _stream: &TcpStream, _why: Refusal) {}
}

impl Source {
    fn converse(&self, visit: &Visit) -> Result<(), WireError> {
        let mut peer = Connection::new(Arc::clone(visit.stream()))?;
        let (mut header, mut body) = (Vec::new(), Vec::new());
        while let Some(prefix) = visit.wait_for_request(|| peer.next(&mut header, Phase::Idle, None, HEADER_TIME))? {
            body.clear();
            peer.append_body(prefix.body_len as usize, &mut body)?;
            match prefix.kind {
                Kind::Identify => {
                    let question: Identify = from_header(peer.peer(), &prefix, &header)?;
                    peer.send_message(Kind::Identity, prefix.id, &self.identity(question.nonce))?;
                }
                Kind::Heartbeat => {
                    let alive = Alive { incarnation: self.incarnation, active: 0, draining: false };
                    peer.send_message(Kind::Alive, prefix.id, &alive)?;
                }
                Kind::File => {
                    let asked: FileRequest = from_header(peer.peer(), &prefix, &header)?;
                    self.file(&mut peer, prefix.id, asked.name)?;
                }
                kind => return Err(WireError::Unexpected { peer: peer.peer(), kind }),
            }
        }
        Ok(())
    }

    fn identity(&self, nonce: String) -> Identity {
        Identity {
            nonce,
            id: self.id.clone(),
            incarnation: self.incarnation,
            service: LAB.to_owned(),
            address: self.address,
            processing_time: 0.0,
            capacity: CAPACITY,
            database: None,
            min_version: VERSION,
            max_version: VERSION,
            pid: std::process::id(),
        }
    }

    fn file(&self, peer: &mut Connection, id: RequestId, name: String) -> Result<(), WireError> {
        let mut frames = Vec::new();
        push_frame(&mut frames, Kind::Head, id, &to_header(&Head::File { name, size: self.size }), &[]);
        let chunk_header = to_header(&ChunkHeader { sha256: NO_DIGEST.into() });
        let mut left = self.size;
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
            frames.extend(Prefix::new(Kind::Data, id, chunk_header.len(), length).encode());
            frames.extend(&chunk_header);
            peer.send_raw(&frames)?;
            frames.clear();
            let address = peer.peer();
            send_block(peer.stream(), &self.block, length).map_err(|source| WireError::Broken {
                peer: address,
                phase: Phase::Send,
                source,
            })?;
            left -= length as u64;
        }
        let end = End { server: self.id.clone(), sha256: Some(NO_DIGEST.into()), size: Some(self.size), rows: None };
        push_frame(&mut frames, Kind::End, id, &to_header(&end), &[]);
        peer.send_raw(&frames)
    }
}

/// Sends the first bytes of the block.
#[cfg(target_os = "linux")]
fn send_block(to: &TcpStream, block: &File, length: usize) -> io::Result<()> {
    let (mut at, mut left) = (0, length);
    while left > 0 {
        match rustix::fs::sendfile(to, block, Some(&mut at), left) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => left -= sent,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Sends as many bytes as the block begins with; which ones does not matter.
#[cfg(not(target_os = "linux"))]
fn send_block(mut to: &TcpStream, _block: &File, length: usize) -> io::Result<()> {
    static BLOCK: [u8; CHUNK] = [b'x'; CHUNK];
    io::Write::write_all(&mut to, &BLOCK[..length])
}
