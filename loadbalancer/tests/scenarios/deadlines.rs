//! Scenarios that end only when a deadline of seconds passes. They stand where they belong by their subject, and run
//! here, side by side, because one after the other they would take a minute.

use crate::{hanging_servers, lying_servers, membership, queue, slow_clients, strangers};
use std::thread;

/// Whatever hangs, drips or stays away is waited for as long as was promised, and no longer.
#[test]
fn whatever_hangs_is_waited_for_as_long_as_was_promised() {
    let scenarios: &[(&str, fn())] = &[
        ("a_client_that_drips", slow_clients::a_client_that_drips),
        ("a_client_that_never_reads", slow_clients::a_client_that_never_reads),
        (
            "a_request_cut_at_any_byte_by_a_client_that_waits",
            strangers::a_request_cut_at_any_byte_by_a_client_that_waits,
        ),
        ("a_server_that_hangs_in_the_middle_of_a_piece", hanging_servers::a_server_that_hangs_in_the_middle_of_a_piece),
        ("a_server_that_does_not_read", hanging_servers::a_server_that_does_not_read),
        (
            "a_server_that_is_too_slow_and_stops_when_told",
            hanging_servers::a_server_that_is_too_slow_and_stops_when_told,
        ),
        (
            "a_server_that_hangs_is_left_alone_until_it_is_idle",
            hanging_servers::a_server_that_hangs_is_left_alone_until_it_is_idle,
        ),
        ("a_server_falls_silent_and_returns", membership::a_server_falls_silent_and_returns),
        ("an_endless_stream_of_other_answers", lying_servers::an_endless_stream_of_other_answers),
        ("no_server_at_all", queue::no_server_at_all),
        ("all_servers_go_while_a_request_waits", queue::all_servers_go_while_a_request_waits),
    ];
    let running: Vec<_> = scenarios
        .iter()
        .map(|(name, scenario)| thread::Builder::new().name((*name).to_owned()).spawn(scenario).unwrap())
        .collect();
    let ended = running.into_iter().zip(scenarios).map(|(thread, (name, _))| (thread.join(), name));
    let failed: Vec<&str> = ended.filter(|(ended, _)| ended.is_err()).map(|(_, name)| *name).collect();
    assert!(failed.is_empty(), "{failed:?}");
}
