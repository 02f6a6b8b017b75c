//! What a class does: files and SQL, small and large.

use super::*;

#[test]
fn the_walk_of_the_course() {
    let server = start(|_| ());
    server.file("colors.csv", b"Name,HEX,RGB\n");
    let mut client = server.client();
    let answer = client.file(&file_request("colors.csv"));
    assert_eq!(answer.head, Some(Head::File { name: "colors.csv".into(), size: 13 }));
    assert_eq!(answer.bytes(), b"Name,HEX,RGB\n");
    let end = answer.end.unwrap();
    assert_eq!((end.server.as_str(), end.size, end.sha256), ("1", Some(13), Some(sha256(b"Name,HEX,RGB\n"))));

    let answer = client.sql("SELECT * FROM COLORS LIMIT 3;");
    assert_eq!(
        answer.head,
        Some(Head::Rows { columns: vec!["Name".into(), "HEX".into(), "RGB".into()], recorded: false })
    );
    assert_eq!(answer.rows()[0][2], Value::Text("rgb(100,100,100)".into()));
    assert_eq!(answer.chunks[0].read::<RowsHeader>().rows, 3);
    assert_eq!(answer.end.unwrap().rows, Some(3));

    let answer = client.sql("UPDATE COLORS SET Name = 'Snow' WHERE Name = 'White'");
    assert_eq!((answer.head, answer.end.is_ok()), (Some(Head::Changed { rows: 1 }), true));
    let answer = client.sql("SELECT * FROM COLORS WHERE Name = 'White'");
    assert!(answer.head.is_some() && answer.chunks.is_empty() && answer.end.unwrap().rows == Some(0));
}

#[test]
fn failures_are_told_and_the_connection_goes_on() {
    let server = start(|_| ());
    let mut client = server.client();
    let failure = client.file(&file_request("nope.txt")).end.unwrap_err();
    assert_eq!(failure.message, "File nope.txt not found in server!");
    assert_eq!((failure.code, failure.definite, failure.server.as_deref()), (ErrorCode::NotFound, true, Some("1")));
    assert_eq!(client.file(&file_request("../database.sqlite")).code(), ErrorCode::Forbidden);
    assert_eq!(client.sql("SELECT * FROM nowhere").code(), ErrorCode::SqlError);
    assert_eq!(client.sql("DROP TABLE lab_identity").code(), ErrorCode::Forbidden);
    let id = client.ask(Kind::Query, FLAG_READ_ONLY, &query_header(), b"DELETE FROM COLORS");
    assert_eq!(client.answer(id).code(), ErrorCode::Forbidden);
    let id = client.ask(Kind::Query, 0, b"{not json", b"SELECT 1");
    assert_eq!(client.answer(id).code(), ErrorCode::BadRequest);
    let id = client.ask(Kind::Query, 0, &query_header(), b"SELECT '\xff'");
    assert_eq!(client.answer(id).code(), ErrorCode::BadRequest);
    let id = client.ask(Kind::Query, 0, &query_header(), &vec![b' '; 2 * 1024 * 1024]);
    assert_eq!(client.answer(id).code(), ErrorCode::TooLarge);
    assert!(client.sql("SELECT 1").end.is_ok());
}

#[test]
fn any_content_of_any_size_arrives_bit_for_bit() {
    let server = start(|_| ());
    let mut client = server.client();
    for size in [0, 1, 65_535, 65_536, 1_048_576, 5_000_001] {
        let content: Vec<u8> = (0..size).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        server.file("Grüße, alle.bin", &content);
        let answer = client.file(&file_request("Grüße, alle.bin"));
        assert!(answer.bytes() == content, "{size} bytes");
        assert_eq!(answer.end.as_ref().unwrap().sha256, Some(sha256(&content)));
        if let Some(last) = answer.chunks.last() {
            assert_eq!(last.read::<ChunkHeader>().sha256, sha256(&content));
        }
    }
}

#[test]
fn a_transfer_goes_on_where_it_broke_off_if_the_copies_agree() {
    let server = start(|_| ());
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    server.file("big", &content);
    let mut client = server.client();
    let from = |offset: usize, sha256| FileRequest { offset: offset as u64, sha256, ..file_request("big") };
    let answer = client.file(&from(1_500_000, Some(sha256(&content[..1_500_000]))));
    assert!(answer.bytes() == content[1_500_000..]);
    assert_eq!(answer.end.unwrap().sha256, Some(sha256(&content)));
    let whole = client.file(&from(content.len(), Some(sha256(&content))));
    assert!(whole.chunks.is_empty() && whole.end.is_ok());
    for (offset, digest) in [(1_500_000, Some(sha256(b"other"))), (5, None), (9_000_000, Some(sha256(&content)))] {
        assert_eq!(client.file(&from(offset, digest)).code(), ErrorCode::Damaged);
    }
}

#[test]
fn processing_takes_its_time_and_no_more_than_the_request_has() {
    let server = start(|config| config.processing_time = 0.2);
    let mut client = server.client();
    let begin = Instant::now();
    assert!(client.sql("SELECT 1").end.is_ok());
    assert!(begin.elapsed() >= Duration::from_millis(200));
    let header = QueryRequest { request: RequestId::NONE, client: String::new(), timeout_ms: Some(20), low_water: 0 };
    let id = client.ask(Kind::Query, 0, &to_header(&header), b"SELECT 1");
    assert_eq!(client.answer(id).code(), ErrorCode::Timeout);
}

#[test]
fn two_requests_sent_at_once_are_answered_in_turn() {
    let server = start(|config| config.processing_time = 0.01);
    let mut client = server.client();
    let ids: Vec<_> = (0..10).map(|n| client.query(&format!("SELECT {n}"))).collect();
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(client.answer(id).rows(), [[Value::Integer(n as i64)]]);
    }
}

/// Resident memory of this process, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[cfg(target_os = "linux")]
#[test]
fn a_million_rows_pass_a_slow_reader_in_the_memory_of_a_few_batches() {
    const ROWS: i64 = 1_000_000;
    // On a machine that tests other things, too, a million rows may take longer than statements usually may.
    let server = start(|config| config.statement_time = 10 * LONG);
    let mut client = server.client();
    let before = resident();
    let filler = "f".repeat(150);
    let sql = format!("{FOR_EVER} SELECT x, '{filler}' FROM c LIMIT {ROWS}");
    let id = client.query(&sql);
    let (mut expected, mut most) = (0, 0);
    loop {
        let frame = client.frame().unwrap();
        assert_eq!(frame.id, id);
        match frame.kind {
            Kind::Head => {}
            Kind::Data => {
                for row in frame.body.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
                    expected += 1;
                    assert!(row.starts_with(format!("[{expected},\"ff").as_bytes()));
                }
                most = most.max(resident());
            }
            Kind::End => break assert_eq!(frame.read::<End>().rows, Some(ROWS as u64)),
            kind => panic!("{kind:?}: {}", String::from_utf8_lossy(&frame.header)),
        }
    }
    assert_eq!(expected, ROWS);
    // The answer has 160 MB; other tests run beside this one.
    assert!(most.saturating_sub(before) < 100 * 1024 * 1024, "{before} grew to {most}");
}

#[test]
fn rows_larger_than_a_frame_are_refused_and_long_titles_are_cut() {
    let server = start(|_| ());
    let mut client = server.client();
    assert_eq!(
        client.sql("SELECT randomblob(1000000), randomblob(1000000), randomblob(1000000)").code(),
        ErrorCode::TooLarge
    );
    let large = client.sql("SELECT 1, hex(randomblob(500000)) UNION ALL SELECT 2, hex(randomblob(500000))");
    assert_eq!((large.rows().len(), large.end.unwrap().rows), (2, Some(2)));
    let Some(Head::Rows { columns, .. }) = client.sql(&format!("SELECT '{}'", "x".repeat(50_000))).head else {
        panic!()
    };
    assert!(columns[0].len() < 100 && columns[0].ends_with('…'));
}

#[test]
fn two_servers_write_through_one_file_side_by_side() {
    const EACH: usize = 40;
    let first = start(|_| ());
    let second = start(|config| {
        config.id = "2".into();
        config.registry = first.folder.path().join("servers.json");
        config.database = Some(DatabaseConfig::Sqlite { path: first.folder.path().join("database.sqlite") });
    });
    first.client().sql("CREATE TABLE t (a)").end.unwrap();
    thread::scope(|scope| {
        for server in [&first, &second] {
            scope.spawn(move || {
                let mut client = server.client();
                for n in 0..EACH {
                    client.sql(&format!("INSERT INTO t VALUES ({n})")).end.unwrap();
                }
            });
        }
    });
    let count = second.client().sql("SELECT count(*) FROM t").rows();
    assert_eq!(count, [[Value::Integer(2 * EACH as i64)]]);
}
