//! The DNS frontend: any name server. The unit is a query.
//!
//! **The problem.** A name server that does not know a name may say nothing at all; one that is slow looks the same, and so
//! does a datagram that was lost. Whoever asks one server and waits has lost the time-out. Whoever asks all of them and
//! takes the first datagram that comes for the answer gives sooner or later everybody somebody else's address.
//!
//! **The idea.** Each query gets servers from the same pool, by the same policies, as everything else here: one, or several at
//! once (`--duplicate`), or a second one when the first is late (`--hedge-after`). What makes that safe is bookkeeping: each
//! copy has an id of its own and is in a table until it is answered ([`flights`]). Nobody waits for a query; threads wait for
//! datagrams and for the clock ([`relay`]), so that a miss of five seconds holds up nobody.
//!
//! **What is passed on.** The question, under an id of our own and with our own EDNS; and the answer as it came, under the
//! asker's id, no longer than the asker can take. Strangers get at most twice what they sent (see
//! [`protocol::dns::Cookies`]); what does not fit is left out, and they ask again over TCP.
//!
//! **Its own names.** Of zones that it is given (`--dns-zone`) it answers itself, with the addresses of servers: [`zone`].
//!
//! Answers are kept by flag only ([`cache`]), and networks are limited by flag ([`limit`]).
//!
//! **How it is fast.** Threads take all datagrams that have come and send all that they have to send, in a system call each
//! ([`mail`]); nothing is handed from thread to thread; no query has a timer of its own ([`flights`]).
//!
//! **When it is wrong.** One thread receives all queries, and the table has one lock. Two cores are busy with that; on more,
//! several sockets on one port (`SO_REUSEPORT`) with a table each would be needed.
//!
//! Sources: RFC 1035, RFC 5452, RFC 7766; A. Vulimiri et al., *Low Latency via Redundancy*, CoNEXT 2013, whose first example
//! is DNS; dnsdist.

pub mod flags;
pub mod flights;
pub mod ids;
pub mod agenda;
pub mod cache;
pub mod limit;
pub mod zone;
pub mod zones;
pub mod mail;
pub mod upstream;
pub mod relay;
mod door;
mod whole;

pub use self::{door::Door, flags::DnsFlags, relay::Relay};
