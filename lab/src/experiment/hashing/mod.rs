//! `lab experiment hashing-a1`, `-a2`, `-a4`: how evenly a ring of hashes shares out requests. (And `-a3`: [what a killed replica
//! costs](a3).)
//!
//! **The question.** The coursework puts servers and requests on a ring of M = 512 slots, with K = 9 points for each server and
//! two polynomials, H for requests and Φ for points. Its authors sent 10,000 requests to three servers and counted 5,978,
//! 2,499 and 1,523. Why? And what would be better?
//!
//! **What theory says.** A ring is as even as its arcs. Three things make them uneven.
//!
//! *Few points.* The share of a server is the sum of K arcs drawn by lot, and differs by about 1/√K: a third for K = 9, 8 % for
//! K = 150. Even with a perfect hash the busiest of three servers has about 1.3 times its share with 9 points, of six about
//! 1.4 times; with 150 points 1.07 and 1.10.
//!
//! *Polynomials are no hashes.* H(i) = i² + 2i + 17 = (i + 1)² + 16, and modulo a power of two there are few squares: H reaches
//! 87 of 512 slots. Φ(i, j) = (j + 1)² + i² + 24: every server has the same nine squares, only turned by i². With random
//! numbers the patterns lie anywhere, and the busiest of three has 1.7 times its share in the median. With numbers 1, 2, 3 the
//! patterns lie on top of each other, between slots 26 and 114; whatever stands beyond goes all the way round to server 1's first
//! point: 84 %.
//!
//! *Requests are not alike.* Even on a fair ring a server may hold more than its share for a moment. *Bounded load* looks at
//! what is held: a server that holds more than 1.25 times its share is passed by.
//!
//! **How it is measured.** Never by the average alone ([`evenness`]). Requests are HTTP, through the load balancer, to server
//! processes. What each server must get is computed from the policy's own ring ([`ring`](super::ring)), and every count must be
//! within five standard deviations of it. One placement is luck, so `hashing-a4` looks at a thousand ([`placement`]). What is
//! held at a moment is read from the journal ([`held`]): there the totals say nothing.
//!
//! **When it is wrong.** A random placement that is good or bad by chance says nothing about its ring: compare the thousand.
//! Clients, load balancer and servers share a machine, which moves times, but no share of an unbounded ring.
//!
//! | experiment | its question |
//! |---|---|
//! | [`a1`] | 10,000 requests over three servers: a bar for each |
//! | [`a2`] | from two servers to six and down again: how even is it at each step? |
//! | [`a3`] | every call once, and the time until a killed replica is replaced |
//! | [`a4`] | other functions, points, slots and ways of probing, over a thousand placements |

mod evenness;
mod variant;
mod placement;
mod load;
mod held;
mod front;
mod measure;
pub mod a1;
pub mod a2;
pub mod a3;
pub mod a4;
