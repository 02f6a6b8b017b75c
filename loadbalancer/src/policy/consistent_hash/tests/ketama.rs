//! The same ring as somebody else's: nginx's "ketama", in Cloudflare's port, with its point function plugged in here.

use super::*;
use crate::policy::ServerKey;
use pingora_ketama::{Bucket, Continuum};
use std::net::SocketAddr;

/// Points of 32 bits: the CRC of the server's address and of the point before. The number of a server is its port.
#[derive(Debug)]
struct Ketama;

impl PointFunction for Ketama {
    /// Keys are hashed by the caller, as everywhere; here with the same CRC.
    fn request(&self, key: u64) -> u64 {
        key
    }

    fn server(&self, number: u64, _twin: u32, count: u32) -> Vec<u64> {
        let mut bytes = format!("127.0.0.1\0{number}").into_bytes();
        let name = bytes.len();
        let mut before = 0_u32;
        let mut point = |_| {
            bytes.truncate(name);
            bytes.extend(before.to_le_bytes());
            before = crc32(&bytes);
            u64::from(before)
        };
        (0..count).map(&mut point).collect()
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

fn address(port: u64) -> SocketAddr {
    format!("127.0.0.1:{port}").parse().unwrap()
}

#[test]
fn ten_thousand_keys_have_the_same_owners() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926, "the check value of this CRC");
    let weights = [(5_001, 1), (5_002, 2), (5_003, 3), (5_004, 1), (5_005, 7)];
    let buckets: Vec<Bucket> = weights.iter().map(|(port, weight)| Bucket::new(address(*port), *weight)).collect();
    let theirs = Continuum::new(&buckets);

    let mut all = servers(&weights.map(|(port, _)| port));
    all.iter_mut().zip(weights).for_each(|(server, (port, weight))| {
        (server.weight, server.key) = (Some(weight), ServerKey(port));
    });
    // 160 points for a weight of 1, and a weight is out of 256 here.
    let mut ours = ConsistentHash::on(Layout { function: Box::new(Ketama), points: 160 * FULL, slots: None }, None);
    ours.servers_changed(&all, Duration::ZERO);

    let mut owners = std::collections::BTreeMap::new();
    for n in 0..10_000 {
        let key = format!("key {n}");
        let index = ask(&mut ours, &all, crc32(key.as_bytes()).into(), 0, all.len()).index;
        assert_eq!(Some(address(all[index].number)), theirs.node(key.as_bytes()), "{key:?}");
        *owners.entry(all[index].number).or_insert(0) += 1;
    }
    assert_eq!(owners.len(), 5, "everybody owns some: {owners:?}");
}
