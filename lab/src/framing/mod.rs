//! `lab framing` and `lab relay`: where one message ends and the next begins.
//!
//! **The problem.** TCP carries bytes in their order, and nothing else: what one side writes at once may be read in pieces, and
//! what it writes in pieces may be read at once. So a relay that reads "a request", sends it on, reads "the answer" and
//! sends it back has to know where each ends. Everybody's first relay guesses. Two guesses, both from a classroom:
//!
//! * *until nothing comes*: `recv(1024)` in a loop, until it returns nothing. It returns nothing when the other side has ended
//!   its half of the connection. A client that waits for its answer has not: both wait for each other.
//! * *until a short chunk*: the repair, to stop at the first chunk of less than 1,024 bytes. A request of 1,024 or 2,048 bytes
//!   has none, so the relay waits for more. And a chunk is also short when the rest is still on its way.
//!
//! **The idea.** Do not guess. Either a relay does not need to know: it passes bytes on in both directions at once, and each
//! end behind the last byte (*streams*). Or the messages say how long they are (*framed*), and it counts.
//!
//! **Worked example.** A head of 100 bytes comes, and 50 ms later a body of 1,024. Until a short chunk: 100 is less than
//! 1,024, so the request is over; the server answers 100 bytes, the client gets them and the end, and the body finds
//! nobody. Streams: 100 bytes go on, then 1,024. Framed: the first four bytes say 1,120, so the relay waits for the rest.
//!
//! **When it is wrong.** A relay of streams cannot repeat a request elsewhere or share a connection between clients, because it
//! does not know what a request is. A length must be known before the first byte is sent; who does not know it sends pieces
//! that say their lengths (HTTP's chunked body, the chunks of this lab's files). And a length is only claimed: no memory is
//! taken for it before the bytes are there.
//!
//! **Simplified.** The framed relay asks and answers in turn on each connection, and a dead server is told by the end of the
//! connection. The load balancer (`--tcp`), which is in the table for comparison, tries another server.
//!
//! | file | what is in it |
//! |---|---|
//! | [`relay`] | `lab relay`: listens, and serves each connection in one of four ways |
//! | [`naive`] | the two guesses |
//! | [`right`] | streams, and a length |
//! | [`request`] | what a client sends, and what comes back |
//! | `lesson` | `lab framing`: all requests through all relays |
//!
//! | thread | role | blocks on | what stops it |
//! |---|---|---|---|
//! | main | starts everything, waits for the answers | the clients | their patience |
//! | `relay-N` | a connection of a relay | whatever its guess waits for | the end of either side |
//! | `down` | the way back of a relay of streams | the server | its end |
//! | `client` | a request, and who reads its answer | the answer | its patience |
//!
//! Sources: RFC 9293 §3.8 (a stream, no records); W. R. Stevens, *UNIX Network Programming* I, §3.9 and §6.6.

pub mod naive;
pub mod right;
pub mod relay;
pub mod request;
mod lesson;

pub use lesson::{Framing, run};
