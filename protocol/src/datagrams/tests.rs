//! Batches, and what does not fit into them.

use super::{BATCH, Inbox, LONGEST, Outbox, make_room};
use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

/// Longer than anything here takes, also on a busy machine.
const LONG: Duration = Duration::from_secs(20);

fn socket(address: &str) -> (Arc<UdpSocket>, SocketAddr) {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let address = socket.local_addr().unwrap();
    (Arc::new(socket), address)
}

/// What comes until so many have come.
fn collect(inbox: &mut Inbox, count: usize) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut all = Vec::new();
    while all.len() < count {
        assert!(inbox.receive().unwrap() > 0, "{} of {count} came", all.len());
        all.extend(inbox.iter_mut().map(|(bytes, from)| (bytes.to_vec(), from)));
    }
    all
}

#[test]
fn more_than_a_batch_goes_out_and_comes_in_whole_and_in_order() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let ((here, to), (sender, from)) = (socket(address), socket(address));
        make_room(&here, 1 << 20);
        let mut outbox = Outbox::new();
        let count = 2 * BATCH + 1;
        for number in 0..count {
            outbox.push_parts(&[&number.to_be_bytes(), &vec![7; number]], Some(to));
        }
        assert_eq!(outbox.len(), count);
        let sent = outbox.send(&sender);
        assert_eq!((sent.taken, sent.failed.len(), sent.refused, outbox.is_empty()), (count, 0, false, true));
        for (number, (bytes, sender)) in collect(&mut Inbox::new(here, BATCH, 1_000), count).into_iter().enumerate() {
            assert_eq!((bytes, sender), ([&number.to_be_bytes()[..], &vec![7; number]].concat(), from));
        }
    }
}

#[test]
fn empty_ones_and_the_longest_go_through() {
    let ((here, to), (sender, _)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let mut outbox = Outbox::new();
    outbox.push(&[], Some(to));
    outbox.push(&[1; LONGEST], Some(to));
    outbox.push(&[2; LONGEST + 1], Some(to));
    outbox.push(&[3], Some(to));
    let sent = outbox.send(&sender);
    assert_eq!((sent.taken, sent.failed.len(), sent.failed[0].0), (3, 1, 2), "{sent:?}");
    let lengths: Vec<_> = collect(&mut Inbox::new(here, 3, LONGEST), 3).iter().map(|(bytes, _)| bytes.len()).collect();
    assert_eq!(lengths, [0, LONGEST, 1]);
}

#[test]
fn what_is_too_long_is_left_out_and_counted() {
    let ((here, to), (sender, _)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let mut outbox = Outbox::new();
    for length in [4, 5, 2_000, 3] {
        outbox.push(&vec![9; length], Some(to));
    }
    assert_eq!(outbox.send(&sender).taken, 4);
    let mut inbox = Inbox::new(here, BATCH, 4);
    let mut lengths = Vec::new();
    while lengths.len() < 2 {
        inbox.receive().unwrap();
        lengths.extend(inbox.iter_mut().map(|(bytes, _)| bytes.len()));
    }
    assert_eq!((lengths, inbox.too_long()), (vec![4, 3], 2));
}

#[test]
fn a_wait_that_is_over_brings_nothing() {
    let (here, _) = socket("127.0.0.1:0");
    here.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut inbox = Inbox::new(here, BATCH, 100);
    assert_eq!((inbox.receive().unwrap(), inbox.iter_mut().count()), (0, 0));
}

#[test]
#[cfg(target_os = "linux")]
fn a_look_takes_what_is_there_and_does_not_wait() {
    let ((here, to), (sender, _)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let mut inbox = Inbox::new(here, BATCH, 100);
    assert_eq!(inbox.look().unwrap(), 0, "the socket's patience is 20 s");
    sender.send_to(&[1], to).unwrap();
    assert_eq!(inbox.receive_after(2).unwrap(), 1);
    sender.send_to(&[2], to).unwrap();
    while inbox.look().unwrap() == 0 {}
    assert_eq!(inbox.iter_mut().map(|(bytes, _)| bytes.to_vec()).collect::<Vec<_>>(), [[2]]);
    assert_eq!((inbox.look().unwrap(), inbox.iter_mut().count()), (0, 0));
}

#[test]
fn what_came_may_be_changed_where_it_is_and_sent_back() {
    let ((here, to), (sender, _)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    sender.send_to(&[1, 2, 3], to).unwrap();
    let mut inbox = Inbox::new(Arc::clone(&here), BATCH, 100);
    assert_eq!(inbox.receive().unwrap(), 1);
    let mut outbox = Outbox::new();
    for (bytes, from) in inbox.iter_mut() {
        bytes.reverse();
        outbox.push(bytes, Some(from));
    }
    assert_eq!(outbox.send(inbox.socket()).taken, 1);
    let mut answer = [0; 8];
    assert_eq!((sender.recv(&mut answer).unwrap(), &answer[..3]), (3, &[3, 2, 1][..]));
}

/// Nobody is at that port any more: the datagrams after the first are told so, and those that come are sent all the same.
#[test]
#[cfg(target_os = "linux")]
fn a_refusal_of_earlier_datagrams_does_not_keep_the_others_back() {
    let ((gone, to), (sender, _)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    sender.connect(to).unwrap();
    drop(gone);
    sender.send(&[1]).unwrap();
    let mut outbox = Outbox::new();
    for _ in 0..3 {
        outbox.push(&[2], None);
    }
    let sent = outbox.send(&sender);
    assert!(sent.refused && sent.taken >= 1, "{sent:?}");
    assert_eq!(Inbox::new(sender, BATCH, 10).receive().unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn room_is_what_the_system_says() {
    let (here, _) = socket("127.0.0.1:0");
    let (small, large) = (make_room(&here, 10_000), make_room(&here, 100_000));
    assert!(small >= 10_000 && large >= 100_000 && small < large, "{small} {large}");
}

#[test]
fn in_any_order_everything_arrives_where_it_belongs() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (one, other, (sender, from)) = (socket(address), socket(address), socket(address));
        let mut outbox = Outbox::in_any_order();
        // Alike and not, more alike than go together, longer than what is put together, and nothing at all.
        let lengths = [0, 0, 3, 40, 40, 41, 1_500, 1_500].into_iter().chain([50; BATCH + 1]).chain([60, 61, 60]);
        let lengths: Vec<usize> = lengths.collect();
        for (here, to) in [&one, &other] {
            make_room(here, 1 << 20);
            lengths.iter().for_each(|length| outbox.push(&vec![to.port() as u8; *length], Some(*to)));
        }
        let sent = outbox.send(&sender);
        assert_eq!((sent.taken, sent.failed.len(), outbox.is_empty()), (2 * lengths.len(), 0, true), "{sent:?}");
        for (here, to) in [one, other] {
            let came = collect(&mut Inbox::new(here, BATCH, 2_000), lengths.len());
            assert!(came.iter().all(|(bytes, sender)| *sender == from && bytes.iter().all(|b| *b == to.port() as u8)));
            let mut came: Vec<usize> = came.iter().map(|(bytes, _)| bytes.len()).collect();
            came.sort_unstable();
            let mut sent = lengths.clone();
            sent.sort_unstable();
            assert_eq!(came, sent);
        }
    }
}

#[test]
fn in_any_order_a_place_is_that_in_which_it_was_added() {
    let ((here, to), (sender, _)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let mut outbox = Outbox::in_any_order();
    outbox.push(&[2; LONGEST + 1], Some(to));
    (0..3).for_each(|_| outbox.push(&[1], Some(to)));
    let sent = outbox.send(&sender);
    assert_eq!((sent.taken, sent.failed.len(), sent.failed[0].0), (3, 1, 0), "{sent:?}");
    assert_eq!(collect(&mut Inbox::new(Arc::clone(&here), 3, 8), 3).len(), 3);
    let lengths = [4, 2, 3, 1];
    lengths.iter().for_each(|length| outbox.push(&vec![1; *length], Some(to)));
    assert_eq!(outbox.send(&sender).taken, lengths.len());
    let came = collect(&mut Inbox::new(here, 4, 8), 4);
    let came: Vec<usize> = came.iter().map(|(bytes, _)| bytes.len()).collect();
    assert_eq!(came, lengths, "those that are not alike are not moved");
}

#[test]
fn in_any_order_too_it_is_told_that_nobody_listens() {
    let ((gone, nowhere), (sender, _)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    sender.connect(nowhere).unwrap();
    drop(gone);
    let mut outbox = Outbox::in_any_order();
    let refused = (0..1_000).any(|_| {
        (0..4).for_each(|_| outbox.push(&[1; 9], None));
        outbox.send(&sender).refused
    });
    assert!(refused);
}
