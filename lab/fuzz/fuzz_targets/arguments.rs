//! What a person types: times, addresses, names. Names that would have to be looked up are left out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loadbalancer::membership::{network::Network, plain::Named};
use protocol::{
    flags::{
        capacity_in_words, parse_balancer, parse_capacity, parse_client_id, parse_duration, parse_join, parse_listen,
        parse_processing_time, parse_server_id, parse_timeout,
    },
    http::Authority,
};
use std::net::SocketAddr;

fuzz_target!(|text: &str| {
    let _ = (parse_duration(text), parse_timeout(text), parse_listen(text), parse_client_id(text));
    if let Ok(time) = parse_processing_time(text) {
        assert!(time.is_finite() && time >= 0.0);
    }
    if let Ok(capacity) = parse_capacity(text) {
        assert_eq!(parse_capacity(&capacity_in_words(capacity)), Ok(capacity));
    }
    if let Ok(id) = parse_server_id(text) {
        assert_eq!(parse_server_id(&id), Ok(id));
    }
    if let Ok(network) = text.parse::<Network>() {
        let base = text.split('/').next().expect("the first part").trim();
        assert!(base.parse().is_ok_and(|address| network.contains(address)), "{text}");
    }
    if let Ok(authority) = Authority::parse(text.as_bytes()) {
        let again = Authority::parse(authority.to_string().as_bytes()).expect("what we write we accept");
        assert!(again.is_same(&authority));
    }
    let place = text.split(',').next().and_then(|first| first.split('=').next_back()).unwrap_or_default();
    if let Ok(address) = place.parse::<SocketAddr>() {
        let _ = (parse_balancer(text), parse_join(text));
        if let Ok(named) = text.parse::<Named>() {
            assert!(named.address == address && named.capacity > 0, "{named:?}");
        }
    }
});
