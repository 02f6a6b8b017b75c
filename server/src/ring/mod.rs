//! The ring: servers that elect one of them, now and then, to be down for a while.
//!
//! **The problem.** Servers that hold an outage drill must never hold two at once. They have no chief to ask, each knows its
//! left and right neighbour only, and datagrams are lost, doubled, overtake each other or come when everything is over. The
//! original system elects the server to go by messages round the ring. They carry no number, are said once, and are believed
//! whenever they come: so two are down together, or a ring waits for ever for a word that was lost.
//!
//! **The idea**, in four parts.
//!
//! 1. *Rounds.* Each election has a number, and each nominee draws a new value. The two and its address name a *term*,
//!    of which there is no second one. A message says which term it means; of a term that is over it is not believed.
//! 2. *A promise from all but one.* When a nominee has heard its own nomination from both sides it is elected. But it does not
//!    go yet. Its *result* travels round the ring, and whoever passes it on *promises* not to pass on any other until this
//!    term is over. Only when the result has been everywhere ([`reach`]) does the winner go.
//! 3. *Time.* A promise lasts for the time that the winner may wait and be down, and a twentieth more (for clocks that run
//!    unequally). The winner counts from before it asked anybody, so its time is over first, however late the messages were.
//! 4. *Repetition.* Ten times a second each server says to both neighbours what it knows: *nominated*, *elected*, *down*, or *the
//!    last one is up*. So nothing needs to be confirmed: what was lost is said again, what came twice changes nothing, a `u`
//!    that was lost is heard a tenth of a second later. It is the probe, too: a neighbour that says nothing for a second is
//!    taken for dead.
//!
//! **A worked example.** Servers 1, 2, 3; drills of 15 s. Server 1's clock goes off: `e,1,0.3,12` to 2 and 3. Server 3 draws 0.8
//! and nominates itself to both; 2 draws 0.5 and passes 3's nomination on to 1. It comes back to 3, all the way round: 3 is
//! elected. `r,3,0.8,12,15000` goes the same way; 1 and 2 promise for 18.9 s = (3 + 15) × 1.05. When it comes back, some
//! milliseconds later, 3 says `d` and answers nothing for 15 s, and then `u`: the promises end with that word, and the next
//! election may begin.
//!
//! # Why never two are down
//!
//! Say that server A goes down for a term *a* and B for a term *b*. Before going, each had the promises of all servers but
//! at most one ([`reach::is_everywhere`]), itself included. A ring has three servers or more, so at least one server, S, promised both,
//! one after the other, say *a* first. S promises *b* only after its promise for *a* has ended. There are three ways:
//!
//! * *By word*: it was told that *a* is over. That begins with A itself, which says so when it is up again and will not go down
//!   in this term any more; or with a server whose promise ran out (next point). It names *a*, so a late word about another
//!   term cannot be mistaken for it.
//! * *By time*: the promise ran out. It began after A had begun to count, and is longer than A waits and is down
//!   together. So A is up, by its own clock, though it may have been unable to say so.
//! * *By forgetting*: S was restarted. Then it is *quiet*: it promises nothing for as long as any promise of its former life can last.
//!
//! Either way A's outage is over when S promises *b*, and B goes down only after that. A server that crashes while it is down
//! is not down by election any more: it forgets its term, and will not be believed to be elected by an answer to its
//! former life, because the value is another one. No message's lateness enters into this, and no guess about who is dead.
//!
//! # Why a ring does not stick
//!
//! Whatever a server waits for has an end: an election after 5 s, the way of a result after 3 s, a promise by its time. A
//! dead neighbour is passed over after a second, so a ring that lost one goes on as a line. With two lost at different
//! places the pieces cannot know of each other, and nobody is elected until one is back. Of two that were elected at once, as
//! late messages make possible, the lesser gives way before either has left.
//!
//! # When it is wrong
//!
//! * All servers of a ring must be told the same ring and the same `--drill-for`. (Who is asked for a longer drill than his own
//!   refuses. But a server restarted with a shorter one is quiet for a shorter time than it may have promised.)
//! * Clocks may run unequally by a twentieth, not more; a machine that is suspended stops the clock of its servers.
//! * Neighbours are believed. Whoever can send in a neighbour's name can hold elections up, or forge a result.
//! * Two neighbours that die together stop the drills, though the rest of the ring could go on.
//!
//! **Simplified.** Production systems do not let servers elect anything in a ring: they take a lock with a lease from a store that
//! a majority must agree on (etcd, ZooKeeper), which is the promise of this module with any majority instead of all but one.
//!
//! Sources: E. Chang and R. Roberts, "An improved algorithm for decentralized extrema-finding" (1979), for the ring; C. Gray and
//! D. Cheriton, "Leases" (1989), for the promise with an end; G. Ricart and A. Agrawala (1981), for asking everybody; T. Chandra
//! and S. Toueg, "Unreliable failure detectors" (1996), for why a guess about the dead must not matter.

mod message;
mod reach;
mod story;
mod timing;
mod core;
mod member;

mod flags;
mod outage;
mod agents;
mod shell;

pub(crate) use agents::{Agents, Announcer, DOWN};
pub use flags::RingConfig;
pub(crate) use flags::RingFlags;
pub(crate) use outage::{CutOff, Outage};
pub(crate) use shell::Ring;

#[cfg(test)]
#[allow(clippy::print_stdout, reason = "tests that say with --nocapture how much they have tried")]
mod simulation;
#[cfg(test)]
#[allow(clippy::print_stdout, reason = "as above")]
mod model;
