//! `servers.json`: whatever stands in it, no two entries share an id or an address, and the good ones can be written anew.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::registry::Reading;
use std::collections::HashSet;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reading) = Reading::parse(bytes) else { return };
    let ids: HashSet<_> = reading.entries.iter().map(|entry| &entry.id).collect();
    let addresses: HashSet<_> = reading.entries.iter().map(|entry| entry.address).collect();
    assert_eq!((ids.len(), addresses.len()), (reading.entries.len(), reading.entries.len()));
    reading.rejected.iter().for_each(|rejected| drop(rejected.to_string()));
    let written = serde_json::to_vec(&reading.entries).expect("what was read can be written");
    let again = Reading::parse(&written).expect("what we write we accept");
    assert_eq!((again.entries, again.rejected.len()), (reading.entries, 0));
});
