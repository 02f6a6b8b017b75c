//! Every limit of HTTP: one constant each, with its unit, its reason, and what happens when it is reached.
//!
//! The deadlines are those of the lab protocol ([`crate::limits`]): a head has
//! [`HEADER_TIME`](crate::limits::HEADER_TIME), each 256 KiB of a body [`BLOCK_TIME`](crate::limits::BLOCK_TIME).

use std::time::Duration;

/// Longest head of a message, in bytes, with its first line and the empty line at the end. As HAProxy's and Node's
/// default; browsers with many cookies send about 4 KiB. A longer one is refused with 431.
pub const MAX_HEAD: usize = 16 * 1024;

/// Longest first line, in bytes: RFC 9112 §3 asks for at least 8,000. A longer one is refused with 414.
pub const MAX_FIRST_LINE: usize = 8 * 1024;

/// Longest method, in bytes. The longest that is registered (`UPDATEREDIRECTREF`) has 17. A longer one is refused
/// with 400.
pub const MAX_METHOD: usize = 32;

/// Most fields in a head or in a trailer. More are refused with 431.
pub const MAX_FIELDS: usize = 100;

/// Most digits of a chunk's size: 16 hexadecimal digits are 64 bits. More are refused with 400, zeros too.
pub const MAX_SIZE_DIGITS: u8 = 16;

/// Longest extensions of one chunk, in bytes. Nobody uses them; they are passed over. Longer ones are refused with 400.
pub const MAX_EXTENSION: usize = 256;

/// Longest extensions of all chunks of a body together, in bytes: else every byte of a body could cost 256 more that
/// no limit on the body sees. More are refused with 400.
pub const MAX_EXTENSIONS: usize = 16 * 1024;

/// Longest trailer, in bytes: a digest and a few more. A longer one is refused with 431.
pub const MAX_TRAILER: usize = 4 * 1024;

/// How much of a body that nobody wanted is read and dropped so that its connection can be kept, in bytes. A new
/// connection is cheaper than reading more; then the connection ends.
pub const MAX_UNWANTED: u64 = 64 * 1024;

/// How long reading and dropping a body that nobody wanted may take. After it, the connection ends.
pub const UNWANTED_TIME: Duration = Duration::from_secs(2);

/// How long a connection may wait for its next request before it is ended without a word.
pub const IDLE_TIME: Duration = Duration::from_secs(60);

/// How long a refusal may take to be written to someone who is not served. The thread that refuses is the last one
/// that accepts, so it must not wait for a peer that does not read.
pub const REFUSE_TIME: Duration = Duration::from_millis(100);

/// How many interim answers (1xx) a client takes before the final one. More are refused.
pub const MAX_INTERIM: usize = 8;

/// Size of the buffer in which an answer is gathered before it is written, in bytes: a small one leaves in one write.
pub const WRITE_BUFFER: usize = 16 * 1024;
