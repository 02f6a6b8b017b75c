//! What the processes of the laboratory agree on, and what all of them need.
//!
//! The protocol, from the bottom up: [`limits`], [`id`], [`frame`], [`value`], [`message`] are pure; [`deadline`] and
//! [`wire`] put frames on a connection with a deadline for every wait; [`listener`] serves connections with threads
//! that take turns; [`handshake`] asks a server who it is, [`join`] is how one on another machine registers, and [`token`]
//! how either proves that it may. [`http`] speaks HTTP/1.1 on the same wire and listener, [`dns`] reads and writes DNS
//! messages, [`shard`] says which rows a sharded table takes, [`datagrams`] takes and sends many at a time. Then the files that the
//! programs share ([`registry`], [`database`], [`places`], [`runs`]), and what makes a program one: [`flags`], [`stop`],
//! [`lifeline`], [`holder`], [`descriptors`], [`output`].
//!
//! # Threads
//!
//! | thread     | role                                  | blocks on            | locks it takes     | what stops it             |
//! |------------|---------------------------------------|----------------------|--------------------|---------------------------|
//! | `NAME-N`   | one of a listener's crew              | `accept`, its peer   | the crew's book    | drain; too many at rest   |
//! | `signals`  | Ctrl-C: drain, then end               | a signal             | –                  | the end of the process    |
//! | `lifeline` | parent: keeps its children's sockets  | `accept`             | the list of these  | the lifeline is dropped   |
//! | `lifeline` | child: notices its parent's end       | a socket             | –                  | the parent's end          |

pub mod limits;
pub mod id;
pub mod frame;
pub mod value;
pub mod message;
pub mod deadline;
pub mod wire;
pub mod listener;
pub mod token;
pub mod handshake;
pub mod join;
pub mod http;
pub mod datagrams;
pub mod dns;
pub mod shard;

pub mod registry;
pub mod database;
pub mod places;
pub mod runs;
pub mod flags;
pub mod stop;
pub mod lifeline;
pub mod holder;
pub mod descriptors;
pub mod output;
