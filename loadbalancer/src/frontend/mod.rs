//! Frontends: how clients reach the pool.
//!
//! | frontend | unit that is balanced | module   |
//! |----------|-----------------------|----------|
//! | lab      | a request             | [`lab`]  |
//! | tcp      | a connection          | [`tcp`]  |
//! | http     | a request             | [`http`] |
//! | dns      | a query               | [`dns`]  |
//! | udp      | a datagram, or a flow | [`udp`]  |
//!
//! All share the pool, the policies and the events; a frontend knows how its clients speak, and nothing else.

pub mod lab;
pub mod tcp;
pub mod side;
pub mod http;
pub mod dns;
pub mod udp;

use std::io;

/// Whether a socket or a thread cannot be had because this machine is short of something, or this process may have no more: then
/// it is no failure of the server that it was meant for.
#[cfg(unix)]
fn is_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let short = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::AGAIN, Errno::ADDRINUSE];
    error.raw_os_error().is_some_and(|code| short.contains(&Errno::from_raw_os_error(code)))
}

#[cfg(not(unix))]
fn is_ours(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use protocol::dns::socket_to;
    use std::{env, process::Command};

    /// In a process of its own, which may have as many descriptors as it has.
    #[test]
    fn a_descriptor_that_cannot_be_had_is_no_failure_of_a_server() {
        const ALONE: &str = "LAB_TEST_WITHOUT_DESCRIPTORS";
        if env::var_os(ALONE).is_some() {
            let mut taken = Vec::new();
            let error = loop {
                match socket_to(([127, 0, 0, 1], 9).into()) {
                    Ok(socket) => taken.push(socket),
                    Err(error) => break error,
                }
            };
            assert!(is_ours(&error), "{error:?}");
            return;
        }
        let name = "frontend::tests::a_descriptor_that_cannot_be_had_is_no_failure_of_a_server";
        let shell = format!("ulimit -n 64; exec '{}' --exact {name}", env::current_exe().unwrap().display());
        assert!(Command::new("sh").args(["-c", &shell]).env(ALONE, "1").status().unwrap().success());
        // A broadcast address may not be connected to: that is the server's.
        assert!(!is_ours(&socket_to(([255, 255, 255, 255], 9).into()).unwrap_err()));
    }
}
