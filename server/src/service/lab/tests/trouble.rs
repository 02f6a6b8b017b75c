//! Everybody who misbehaves, goes away, or does not read.

use super::*;
use crate::{
    files::FileRoom,
    service::{Terms, lab::Lab},
    slots::Slots,
    sql::{Database, Outcome, RowSink, SqlError, Statement, Watch},
};
use protocol::listener::{Crew, CrewOptions};
use std::{net::TcpListener, sync::Arc};

#[test]
fn a_file_that_shrinks_while_it_is_sent_does_not_end_like_a_success() {
    let server = start(|_| ());
    let size = 64 * 1024 * 1024;
    let file = server.large_file("big", size as u64);
    let mut client = server.client();
    let id = client.ask(Kind::File, 0, &to_header(&file_request("big")), &[]);
    assert_eq!(client.frame().unwrap().kind, Kind::Head);
    // What fits into the sockets' buffers may have left; most of the file has not.
    file.set_len(1).unwrap();
    let mut received = 0;
    let end = loop {
        let frame = client.frame().unwrap();
        assert_eq!(frame.id, id);
        received += frame.body.len();
        if frame.kind != Kind::Data {
            break frame;
        }
    };
    assert!(end.kind == Kind::Error && received < size);
    assert_eq!(end.read::<Failure>().code, ErrorCode::Damaged);
}

#[test]
fn a_request_that_is_taken_back_while_it_is_processed_frees_its_place_at_once() {
    let server = slow();
    let mut client = server.client();
    let begin = Instant::now();
    let id = client.query("SELECT 1");
    server.until_active(1);
    client.cancel(RequestId { client: 1, sequence: 1 });
    client.cancel(id);
    assert_eq!(client.answer(id).code(), ErrorCode::Cancelled);
    assert_eq!(server.running.active(), 0, "free before the client knows");
    let id = client.ask(Kind::File, 0, &to_header(&file_request("x")), &[]);
    client.cancel(id);
    assert_eq!(client.answer(id).code(), ErrorCode::Cancelled);
    assert!(begin.elapsed() < LONG);
}

#[test]
fn a_client_that_goes_away_while_its_request_is_processed_frees_its_place() {
    let server = slow();
    for ends_only_its_side in [true, false] {
        let mut client = server.client();
        client.query("SELECT 1");
        server.until_active(1);
        let side = if ends_only_its_side { Shutdown::Write } else { Shutdown::Both };
        client.connection.stream().shutdown(side).unwrap();
        server.until_active(0);
    }
}

#[test]
fn a_full_server_says_so_at_once_and_lives() {
    let server = start(|config| {
        config.processing_time = 60.0;
        config.capacity = 2;
    });
    let (mut first, mut second, mut third) = (server.client(), server.client(), server.client());
    first.query("SELECT 1");
    second.query("SELECT 2");
    server.until_active(2);
    let failure = third.sql("SELECT 3").end.unwrap_err();
    assert_eq!((failure.code, failure.definite, failure.retry_after_ms), (ErrorCode::Busy, true, Some(60_000)));
    let id = third.ask(Kind::Ping, 0, &[], &[]);
    let pong = third.frame().unwrap();
    assert_eq!((pong.kind, pong.id, pong.header.len(), pong.body.len()), (Kind::Pong, id, 0, 68));
    let mut control = Control::connect(server.running.control(), LONG).unwrap();
    let identity = control.identify(LONG).unwrap();
    assert_eq!((identity.id.as_str(), identity.address), ("1", server.running.address()));
    let alive = control.heartbeat(LONG).unwrap();
    assert_eq!((alive.active, alive.draining, alive.incarnation), (2, false, identity.incarnation));
    drop(first);
    server.until_active(1);
}

#[test]
fn a_statement_that_would_run_for_ever_is_ended_by_time_by_word_and_by_silence() {
    let server = start(|config| config.statement_time = Duration::from_millis(300));
    let endless = format!("{FOR_EVER} SELECT count(*) FROM c");
    assert_eq!(server.client().sql(&endless).code(), ErrorCode::Timeout);
    let patient = start(|_| ());
    let mut client = patient.client();
    let id = client.query(&endless);
    patient.until_active(1);
    client.cancel(id);
    assert_eq!(client.answer(id).code(), ErrorCode::Cancelled);
    let id = client.query(&format!("{FOR_EVER} SELECT x FROM c"));
    assert_eq!(client.frame().unwrap().kind, Kind::Head);
    client.cancel(id);
    let end = std::iter::from_fn(|| client.frame()).find(|frame| frame.kind != Kind::Data).unwrap();
    assert_eq!(end.read::<Failure>().code, ErrorCode::Cancelled);
    client.query(&endless);
    patient.until_active(1);
    drop(client);
    patient.until_active(0);
}

#[test]
fn strangers_are_told_what_is_spoken_here() {
    let server = start(|_| ());
    let valid = Prefix::new(Kind::Ping, RequestId::NONE, 0, 0).encode();
    let with = |at: usize, byte: u8| {
        let mut bytes = valid.to_vec();
        bytes[at] = byte;
        bytes
    };
    let unexpected = Prefix::new(Kind::Head, RequestId::NONE, 0, 0).encode().to_vec();
    for (bytes, code, words) in [
        (with(4, 9), ErrorCode::Version, "speaks version 9"),
        (with(5, b'?'), ErrorCode::BadRequest, "no frame of kind"),
        (with(24, 0xff), ErrorCode::TooLarge, "header of"),
        (with(28, 0xff), ErrorCode::TooLarge, "body of"),
        (unexpected, ErrorCode::BadRequest, "no meaning"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), ErrorCode::BadRequest, "GET"),
        (vec![0xA7; 5000], ErrorCode::BadRequest, "begins with LABP"),
    ] {
        let mut raw = server.raw();
        raw.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        raw.read_to_end(&mut answer).unwrap();
        let header = 32 + u32::from_be_bytes(answer[24..28].try_into().unwrap()) as usize;
        let failure: Failure = serde_json::from_slice(&answer[32..header]).unwrap();
        assert_eq!((answer[5], failure.code), (b'x', code), "{}", failure.message);
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    assert!(server.client().sql("SELECT 1").end.is_ok());
}

#[test]
fn a_frame_cut_at_any_byte_is_carried_out_never() {
    let server = start(|_| ());
    let mut frame = Vec::new();
    push_frame(&mut frame, Kind::Query, RequestId::NONE, &query_header(), b"DELETE FROM COLORS");
    for cut in 0..frame.len() {
        let mut raw = server.raw();
        raw.write_all(&frame[..cut]).unwrap();
        raw.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _either_way = raw.read_to_end(&mut answer);
        assert!(answer.is_empty(), "cut at {cut}");
    }
    assert_eq!(server.client().sql("SELECT count(*) FROM COLORS").rows(), [[Value::Integer(139)]]);
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_a_length_that_lies_costs_its_own_connection() {
    let server = start(|_| ());
    server.large_file("big", 32 * 1024 * 1024);
    let mut deaf = server.client();
    deaf.ask(Kind::File, 0, &to_header(&file_request("big")), &[]);
    server.until_active(1);
    let mut liar = server.raw();
    liar.write_all(&Prefix::new(Kind::Query, RequestId::NONE, 2, 1000).encode()).unwrap();
    liar.write_all(b"{}SELECT 1").unwrap();
    server.until_active(0);
    let mut answer = Vec::new();
    liar.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.get(5), Some(&b'x'), "told that its body never came");
    assert!(server.client().sql("SELECT 1").end.is_ok());
}

/// A database with a defect.
struct Defect;

impl Database for Defect {
    fn identity(&self) -> &str {
        "00000000-0000-4000-8000-000000000000"
    }

    fn run(&self, _: &Statement<'_>, _: &Arc<dyn Watch>, _: &mut dyn RowSink) -> Result<Outcome, SqlError> {
        panic!("a defect, on purpose")
    }
}

#[test]
fn a_panic_costs_its_own_request_and_is_never_called_definite() {
    let (slots, folder) = (Slots::new(1), tempfile::tempdir().unwrap());
    let service = Lab {
        terms: Terms::new(&config(folder.path()), &slots),
        statement_time: LONG,
        room: FileRoom::new("/nowhere".into()),
        database: Box::new(Defect),
    };
    let options = CrewOptions { name: "service", max_connections: 10 };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let crew = Crew::start(listener, options, Arc::new(service)).unwrap();
    for _ in 0..2 {
        let mut client = Client::connect(crew.address());
        let failure = client.sql("SELECT 1").end.unwrap_err();
        assert_eq!((failure.code, failure.definite), (ErrorCode::Internal, false));
        assert!(client.frame().is_none(), "closed");
        assert_eq!(slots.taken(), 0);
    }
    assert_eq!(Client::connect(crew.address()).file(&file_request("x")).code(), ErrorCode::NotFound);
}
