//! The UUID of a database: by it a load balancer knows which servers share one.

/// A UUID of version 4 out of 16 random bytes.
pub(super) fn uuid_of(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex = protocol::value::to_hex(&random);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
