//! The PROXY header, both versions: it ends where it ends, whatever follows, and its ends come back from either version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loadbalancer::frontend::tcp::proxy_protocol::{LONGEST_BLOCK, Read, Version, header, read};

fuzz_target!(|bytes: &[u8]| {
    let Read::Header(len, ends) = read(bytes) else { return };
    assert!((1..=LONGEST_BLOCK).contains(&len) && len <= bytes.len());
    assert_eq!(read(&bytes[..len]), Read::Header(len, ends), "what follows it matters");
    (0..len).for_each(|part| assert_eq!(read(&bytes[..part]), Read::More, "it was there before its end"));
    let Some(ends) = ends else { return };
    for version in [Version::V1, Version::V2] {
        let written = header(version, ends);
        assert_eq!(read(&written), Read::Header(written.len(), Some(ends)));
    }
});
