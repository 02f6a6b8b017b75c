//! Every limit of the lab protocol: one constant each, with its unit, its reason, and what happens when it is
//! reached.
//!
//! A limit is not a guess about what users need; it is a promise about what a stranger can cost us. Each length
//! that arrives in a [prefix](crate::frame) is compared with the limit *before* a byte is allocated for it.

use std::time::Duration;

/// Longest JSON header of a frame, in bytes. A header names a file or a statement's id; 16 KiB leaves room for
/// long names and a thousand column titles. A longer one is refused and the connection ends.
pub const MAX_HEADER: usize = 16 * 1024;

/// Longest body of a frame, in bytes: a chunk of a file, or a batch of rows. 4 MiB is large enough that the cost
/// per frame disappears and small enough to be held in memory. A longer one is refused and the connection ends.
pub const MAX_BODY: usize = 4 * 1024 * 1024;

/// Longest SQL statement, in bytes. A longer one is answered with `too-large`.
pub const MAX_SQL: usize = 1024 * 1024;

/// Longest name of a file a client may ask for, in bytes (most file systems stop at 255 a component). A longer
/// one is answered with `bad-request`.
pub const MAX_FILE_NAME: usize = 1024;

/// Longest id of a client or a server, in characters.
pub const MAX_ID: usize = 64;

/// Most columns in the answer to a query (SQLite's own default is 2,000). More are answered with `too-large`.
pub const MAX_COLUMNS: usize = 2_000;

/// How much of an answer the load balancer takes from a server before the client has read any of it, in bytes.
/// An answer up to this size frees its server at once, however slowly the client reads.
pub const EAGER_ANSWER: usize = 256 * 1024;

/// Size of the buffer with which bodies are relayed, in bytes; also the unit of [`BLOCK_TIME`].
pub const RELAY_BLOCK: usize = 256 * 1024;

/// How long one [`RELAY_BLOCK`] of a body may take to pass, in either direction: a least rate of 51 KiB/s. It
/// starts anew with each block, so a fast beginning earns no credit for a stall. A peer that is slower is cut off.
pub const BLOCK_TIME: Duration = Duration::from_secs(5);

/// How long a client waits for the next byte of an answer that has begun. Longer than [`BLOCK_TIME`], because the load
/// balancer may be looking for another server that goes on with a file in the middle of a chunk.
pub const CLIENT_PATIENCE: Duration = Duration::from_secs(30);

/// Longest outcome of a write that is recorded, and that the load balancer holds whole before it passes it on, in
/// bytes of its rows (`RETURNING`). A longer one is refused with `too-large` and not carried out.
pub const MAX_RECORDED: usize = 1024 * 1024;

/// How long the outcome of a write is recorded, in minutes. A repeat that comes later is refused, never carried out.
pub const RECORD_MINUTES: u64 = 24 * 60;

/// How far the number of a client may lie in the future of a server's clock, in minutes, before its writes are refused.
pub const CLOCK_SKEW_MINUTES: u64 = 10;

/// How long a frame's prefix and header may take to arrive once their first byte is there: the whole of it, not
/// the gap between two bytes. A client that sends one byte a second is cut off after this time.
pub const HEADER_TIME: Duration = Duration::from_secs(5);

/// How long an error is given to reach a peer before its connection is closed: what the peer has sent meanwhile
/// is read and dropped, because closing a socket with unread bytes resets it and may destroy the error in flight.
pub const LINGER_TIME: Duration = Duration::from_millis(500);

/// How long a server may take to answer the handshake or a heartbeat on its control port.
pub const CONTROL_TIME: Duration = Duration::from_secs(1);

/// How often a server says, or is asked, whether it lives, unless it is told otherwise.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// What an attempt gets beyond the server's processing time before the first byte of the answer must be there.
pub const ATTEMPT_GRACE: Duration = Duration::from_secs(2);

/// Connections that one listener serves at once. A thread costs about 18 KiB of memory while it waits, and far
/// above this number a process runs out of memory maps. More are refused with `busy` at once.
pub const MAX_CONNECTIONS: usize = 5_000;

/// Stack of a connection's thread, in bytes. Reserved, not used: only touched pages cost memory.
pub const CONNECTION_STACK: usize = 512 * 1024;
