//! Software that has never heard of us, through the TCP, the HTTP and the DNS frontend: PostgreSQL's and Redis's own clients,
//! OpenSSL, curl, a WebSocket library, dig and kdig.
//!
//! The programs are the machine's; the servers are the tests' own, on free ports, in temporary folders. Where a program is
//! missing, a line says what was not tested; with `REAL_CLIENTS=required` (as `.ci/run` has it where all of them are there) that
//! is a failure.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(unix)]

#[path = "../kit/mod.rs"]
mod kit;
mod front;
mod programs;
mod psql;
mod pgbench;
mod postgres;
mod mysql;
mod scenario;
mod database;
mod database_tls;
mod load_csv;
mod shards;
mod mysql_ready;
mod redis;
mod tls;
mod nginx;
mod curl;
mod smuggling;
mod websocket;
mod dig;
