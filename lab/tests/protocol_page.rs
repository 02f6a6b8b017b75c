//! The hex dump in `docs/reference/protocol.md` is a real exchange.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{Lab, World};
use protocol::{
    frame::Kind,
    id::RequestId,
    join::{Challenge, Claim, JoinRequest, Register, Registered, Renewed},
    registry::Entry,
    token::{Role, Token, said},
    wire::{push_frame, to_header},
};
use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
    sync::Mutex,
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
    compare_with_page((BEGIN, END), &shown);
}

/// A server joins, with nonces that were chosen for the page: what the code makes of them, to the byte, and the text under
/// its proof, from which `openssl` makes the same.
#[test]
fn the_hex_dump_of_joining_is_what_the_code_sends() {
    let token = Token::new(b"correct horse battery staple").unwrap();
    let (server_nonce, balancer_nonce) = ("00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100");
    let (address, control) = (([10, 0, 0, 5], 6001).into(), ([10, 0, 0, 5], 6002).into());
    let service = "lab".into();
    let entry = Entry { id: "4".into(), address, service, processing_time: 0.1, capacity: 1, control, pid: Some(7) };
    let claim = Claim { server_nonce, balancer_nonce, entry: &entry, incarnation: 5 };
    let (proof, answer) = (Some(claim.prove_as_server(&token)), Some(claim.prove_as_balancer(&token)));
    assert!(claim.is_from_server(&token, proof.as_deref()));
    let mut shown = String::from("```text\n");
    let mut show = |arrow, kind, header: Vec<u8>| {
        let mut frame = Vec::new();
        push_frame(&mut frame, kind, RequestId::NONE, &header, &[]);
        dump(&mut shown, arrow, &frame);
    };
    show('→', Kind::Join, to_header(&JoinRequest { nonce: server_nonce.into() }));
    show('←', Kind::Challenge, to_header(&Challenge { nonce: balancer_nonce.into(), token: true }));
    show('→', Kind::Register, to_header(&Register { entry: entry.clone(), incarnation: 5, proof }));
    show('←', Kind::Registered, to_header(&Registered { lease_ms: 3_000, proof: answer }));
    show('→', Kind::Lease, b"{}".to_vec());
    show('←', Kind::Renewed, to_header(&Renewed { why: None }));
    let parts = claim.parts();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    writeln!(shown, "Under the proof of the R:\n\n{}```", said(Role::JoiningServer, &parts)).unwrap();
    compare_with_page(("<!-- joining -->\n", "<!-- end of joining -->"), &shown);
}

/// Compares what stands between two marks of the page with this; with `UPDATE_DOCS=1` it is written there instead.
fn compare_with_page((begin, end): (&str, &str), shown: &str) {
    // Both tests may write the page, each its own part.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let path = kit::repository().join("docs/reference/protocol.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(begin).unwrap();
    let (between, after) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{begin}{shown}{end}{after}")).unwrap();
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
