//! Clients that leave while something is being done for them.

use crate::kit::{Ask, Lab, Script, Seen, Told, echo, eventually};
use crossbeam_channel::bounded;
use std::{net::Shutdown, sync::Arc};

/// Computes until it is told that nobody wants the answer any more, and confirms that when `confirms` lets it.
fn confirming_when(confirms: crossbeam_channel::Receiver<()>) -> Script {
    Arc::new(move |ask: &mut Ask<'_>| {
        if ask.until_told() == Told::Cancel {
            let _ = confirms.recv_timeout(crate::kit::SOON);
            ask.confirm();
        }
    })
}

/// Whoever leaves the queue gives up his place in it: the server is never bothered.
#[test]
fn a_client_leaves_while_its_request_waits() {
    let lab = Lab::new(&[]);
    let (go_on, waits) = bounded(1);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            ask.until_told_or(&waits);
            ask.echo();
        }),
    );
    let mut first = lab.client();
    let id = first.sql("first");
    server.expect_request("first");
    let mut second = lab.client();
    second.sql("second");
    eventually("the second waits", || lab.waiting() == 1);
    drop(second);
    eventually("nobody waits any more", || lab.waiting() == 0);
    server.follow(echo());
    go_on.send(()).unwrap();
    assert!(first.answer(id).text().contains("first"));
    first.assert_usable();
    assert!(!server.so_far().contains(&Seen::Request("second".into())));
}

/// While the server computes for nobody it is told so; its place is free when it has confirmed that it stopped, and
/// not before.
#[test]
fn a_client_leaves_while_a_server_computes() {
    let lab = Lab::new(&[]);
    let (confirm, confirms) = bounded(1);
    let server = lab.server("1", confirming_when(confirms));
    let mut client = lab.client();
    client.sql("long");
    server.expect_request("long");
    drop(client);
    assert_eq!(server.next(), Seen::Cancel);
    server.follow(echo());
    let mut next = lab.client();
    let id = next.sql("next");
    eventually("the next waits", || lab.waiting() == 1);
    assert_eq!(server.so_far(), []);
    confirm.send(()).unwrap();
    assert!(next.answer(id).text().contains("next"));
    server.expect_request("next");
}

/// A client that ends its sending side has given its request up, though it could still read.
#[test]
fn a_client_ends_its_sending_side() {
    let lab = Lab::new(&[]);
    let (confirm, confirms) = bounded(1);
    confirm.send(()).unwrap();
    let server = lab.server("1", confirming_when(confirms));
    let mut client = lab.client();
    let id = client.sql("long");
    server.expect_request("long");
    client.connection.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.next(), Seen::Cancel);
    assert_eq!(client.answer(id).verdict(), (protocol::message::ErrorCode::Cancelled, true));
    lab.until_state("1", "idle");
}

/// In the middle of a file the server is told, or finds nobody there, and serves the next.
#[test]
fn a_client_leaves_in_the_middle_of_a_file() {
    let lab = Lab::new(&[]);
    let server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.begin(0);
            while !ask.nobody_listens() {
                if ask.connection.pending() != protocol::wire::Pending::Nothing && ask.until_told() == Told::Cancel {
                    return ask.confirm();
                }
                ask.piece(&[b'x'; 100_000]);
            }
        }),
    );
    let mut client = lab.client();
    let id = client.file("endless");
    server.expect_request("endless");
    for _ in 0..20 {
        client.frame(id);
    }
    drop(client);
    assert!(matches!(server.next(), Seen::Cancel | Seen::Gone));
    server.follow(echo());
    lab.until_state("1", "idle");
    lab.client().assert_usable();
}

/// Between two slow rows, too, it is noticed that nobody reads them any more.
#[test]
fn a_client_leaves_between_two_rows() {
    let lab = Lab::new(&[]);
    let server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.begin(0);
            ask.piece(b"[1]\n");
            if ask.until_told() == Told::Cancel {
                ask.confirm();
            }
        }),
    );
    let mut client = lab.client();
    let id = client.sql("slow rows");
    server.expect_request("slow rows");
    client.frame(id);
    assert_eq!(client.frame(id).2, b"[1]\n");
    drop(client);
    assert_eq!(server.next(), Seen::Cancel);
    lab.until_state("1", "idle");
}
