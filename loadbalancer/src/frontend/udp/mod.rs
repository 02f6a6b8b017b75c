//! The UDP frontend: datagrams. The unit is a datagram that is a request, or a flow of them.
//!
//! **The problem.** A datagram has no connection that would lead its answer back, and nobody says when it is lost, or over. The
//! original remembered who had asked last, and slept ten milliseconds between two looks at its sockets; so a late answer went to
//! somebody else, and each request took two sleeps.
//!
//! **The idea**, in two modes ([`flags::Mode`]):
//!
//! * *tagged*: each datagram is a request with one answer. A tag is appended to it, which the server leaves as it is
//!   ([`tags`]), and a table says whose it is ([`requests`]). So each request gets a server of its own by the policy, and
//!   another one when that is silent, refuses, or says that it goes down ([`relay`]).
//! * *flows*: nothing is known of the protocol. The first datagram of a client's address gets a server, and a socket to it of
//!   their own, so that what comes there is that client's; the others follow ([`flows`]). When nothing was said for a
//!   while the flow is over. A lost datagram is the ends' concern, as it is without a load balancer.
//!
//! **How a server is found dead.** By its control port, as all that register. Besides: nobody listens at its port (ICMP); it says so
//! (`d`, tagged mode only, from its own address); it is silent while others answer (then it is asked, and its failures count as
//! those of any frontend: [`outlier`](crate::health::outlier)). It comes back by its control port or its probe only: a
//! forged `u` has it asked, and that is all.
//!
//! **Speed.** Datagrams are taken and sent in batches ([`protocol::datagrams`]), the table is locked once for each, and nothing is
//! allocated for a request that has a place in it. One thread takes what clients send, one for each server what it answers.
//!
//! **When it is wrong.** The sender of a datagram can be forged, and its answer goes there; it is as long as the server makes it.
//! On a machine of several addresses answers leave from the one that the system chooses, unless `--udp` names one. One
//! thread takes all requests: about 100,000 a second on one core.
//!
//! Sources: RFC 768, RFC 8085; system E of the coursework; HAProxy, nginx (`proxy_pass` in `stream`, whose sessions are flows), dnsdist.

pub mod flags;
pub mod line;
pub mod tags;
pub mod requests;
pub mod relay;
pub mod flows;
mod draw;
mod outgoing;
mod upstream;
mod back;
mod clock;
mod kernel;
mod door;

pub use self::{
    door::Door,
    flags::{Mode, UdpFlags},
};
