//! What a load balancer must do among servers and clients that do what they should not.
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

#[path = "../kit/mod.rs"]
mod kit;

mod strangers;
mod slow_clients;
mod leaving_clients;
mod taken_back;
mod lost_servers;
mod lying_servers;
mod hanging_servers;
mod membership;
mod joining;
mod queue;
mod many_clients;
mod ending;
mod copies;
mod deadlines;
mod admin_looks;
mod admin_changes;
mod admin_refuses;
mod admin_formats;
mod why;
