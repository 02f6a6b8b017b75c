//! The hex dump in `docs/reference/protocol.md` is a real exchange.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{Lab, World};
use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
};

const BEGIN: &str = "<!-- exchange -->\n";
const END: &str = "<!-- end of exchange -->";

/// Asks with known ids and compares every byte with the page. With `UPDATE_DOCS=1` the page is written instead.
#[test]
fn the_hex_dump_of_the_protocol_page_is_a_real_exchange() {
    let world = World::new();
    std::fs::write(world.path("files/hello.txt"), "Hello, world!\n").unwrap();
    let lab = Lab::start_in(world, &["0"], &["--quiet"]);
    let mut client = TcpStream::connect(lab.address).unwrap();
    client.set_read_timeout(Some(kit::LONG)).unwrap();
    let file =
        frame(b'F', 1, br#"{"request":"00000000000000ab-0000000000000001","client":"2","name":"hello.txt"}"#, b"");
    let query = frame(b'Q', 2, br#"{"request":"00000000000000ab-0000000000000002","client":"2"}"#, b"SELECT 1 AS one");
    let mut shown = String::from("```text\n");
    for request in [file, query] {
        client.write_all(&request).unwrap();
        dump(&mut shown, '→', &request);
        while !dump_frame(&mut shown, &mut client) {}
    }
    shown.push_str("```\n");

    let path = kit::repository().join("docs/reference/protocol.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (between, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{shown}{END}{after}")).unwrap();
    } else {
        assert_eq!(between, shown, "the page shows another exchange; UPDATE_DOCS=1 writes this one");
    }
}

/// A frame, put together by hand from the page's table.
fn frame(kind: u8, sequence: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = b"LABP\x01".to_vec();
    bytes.extend([kind, 0, 0]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 0xab, 0, 0, 0, 0, 0, 0, 0, sequence]);
    bytes.extend(u32::try_from(header.len()).unwrap().to_be_bytes());
    bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(body);
    bytes
}

/// Reads one frame and shows it. Says whether it ends the answer.
fn dump_frame(shown: &mut String, client: &mut TcpStream) -> bool {
    let mut bytes = vec![0; 32];
    client.read_exact(&mut bytes).unwrap();
    let length = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut rest = vec![0; length(24) + length(28)];
    client.read_exact(&mut rest).unwrap();
    bytes.extend(rest);
    dump(shown, '←', &bytes);
    b"ex".contains(&bytes[5])
}

fn dump(shown: &mut String, arrow: char, bytes: &[u8]) {
    for (at, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let readable = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' };
        let text: String = line.iter().map(readable).collect();
        writeln!(shown, "{arrow} {:04x}  {:<47}  {text}", at * 16, hex.join(" ")).unwrap();
    }
    shown.push('\n');
}
