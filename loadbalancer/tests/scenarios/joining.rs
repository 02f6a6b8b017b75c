//! Servers that join over the network: those that may, those that may not, and those that fall silent.

use crate::kit::{FakeServer, Joiner, Lab, Plan, Refusal, echo, eventually, farewell};
use loadbalancer::{
    event::Event,
    membership::{NotAdded, Source, joining::MAX_JOINED},
};
use protocol::{
    frame::{Kind, Prefix},
    id::RequestId,
    join::{LEASE, Registered},
    message::ErrorCode,
    registry::Entry,
    token::Token,
};
use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Instant,
};

const SECRET: &str = "0123456789abcdef of the class";

fn token(text: &str) -> Token {
    Token::new(text.as_bytes()).unwrap()
}

fn open() -> Lab {
    Lab::new(&["--join-listen", "127.0.0.1:0"])
}

/// A load balancer with a token, and the folder that holds it.
fn guarded() -> (Lab, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, SECRET).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    (Lab::new(&["--join-listen", "127.0.0.1:0", "--token-file", path.to_str().unwrap()]), folder)
}

fn join(lab: &Lab, server: &FakeServer) -> Result<Joiner, Refusal> {
    Joiner::join(lab.join_address(), server.entry(), server.incarnation(), None)
}

/// What somebody is told who may not join; and that nobody has joined.
fn refused(lab: &Lab, refusal: Result<impl Sized, Refusal>) -> (ErrorCode, String) {
    let failure = refusal.err().expect("let in").expect("told why");
    assert!(failure.definite && lab.members().list().is_empty(), "{failure:?} {:?}", lab.members().list());
    (failure.code, failure.message)
}

/// A joined server is like any other; the end of its connection is the end of its membership, at once.
#[test]
fn a_server_joins_works_and_is_gone_with_its_connection() {
    let lab = open();
    let server = FakeServer::start(Plan::new("7"), echo());
    let mut joiner = join(&lab, &server).unwrap();
    lab.until_state("7", "idle");
    lab.client().assert_usable();
    assert_eq!(joiner.beat().unwrap().why, None);
    assert!(lab.registry.read().unwrap().entries.is_empty(), "the file has nothing to do with it");
    drop(joiner);
    lab.until_event("the end of the lease", |event| matches!(event, Event::LeaseEnded { server, .. } if server == "7"));
    eventually("it has left", || lab.status("7").is_none());
}

/// A machine without power closes no connection: after three seconds without a word the server is out, and is told so.
#[test]
fn a_lease_ends_when_nobody_renews_it() {
    let lab = open();
    let server = FakeServer::start(Plan::new("7"), echo());
    let mut joiner = join(&lab, &server).unwrap();
    joiner.beat().unwrap();
    let silent = Instant::now();
    let failure = joiner.last_word().unwrap();
    assert!(silent.elapsed() >= LEASE, "{:?}", silent.elapsed());
    assert!(
        failure.message.contains("not heard of this server for 3 seconds") && failure.retry_after_ms.is_some(),
        "{failure:?}"
    );
    eventually("it has left", || lab.status("7").is_none());
}

/// The same process on a new connection is the same server, and the end of the old connection does not matter.
#[test]
fn a_server_that_joins_again_keeps_its_place() {
    let lab = open();
    let server = FakeServer::start(Plan::new("7"), echo());
    let mut old = join(&lab, &server).unwrap();
    lab.client().assert_usable();
    let mut new = join(&lab, &server).unwrap();
    assert!(old.beat().unwrap_err().unwrap().message.contains("another connection"));
    drop(old);
    new.beat().unwrap();
    lab.client().assert_usable();
    assert_eq!(lab.status("7").unwrap().answered, 2, "it is the same server");
}

/// With a token: who proves it is in, and is proved to; any other is not.
#[test]
fn only_who_knows_the_token_joins() {
    let (lab, _folder) = guarded();
    let knows = |id: &str| Plan { token: Some(token(SECRET)), ..Plan::new(id) };
    let server = FakeServer::start(knows("7"), echo());
    let (address, entry, incarnation) = (lab.join_address(), server.entry(), server.incarnation());
    let (code, why) = refused(&lab, Joiner::join(address, entry, incarnation, None));
    assert!(code == ErrorCode::Forbidden && why.contains("--token-file"), "{why}");
    let wrong = token("0123456789abcdef of another");
    let (code, why) = refused(&lab, Joiner::join(address, entry, incarnation, Some(&wrong)));
    assert!(code == ErrorCode::Forbidden && why.contains("not the one of this load balancer"), "{why}");
    assert!(!why.contains(SECRET));
    let joined = Joiner::join(address, entry, incarnation, Some(&token(SECRET))).map_err(|why| format!("{why:?}"));
    lab.until_state("7", "idle");
    drop(joined.unwrap());

    // A server that knows the token, and one of the file that does not.
    let stranger = FakeServer::start(Plan::new("8"), echo());
    lab.registry.register(stranger.entry()).unwrap();
    let not_believed = |event: &Event| matches!(event, Event::ServerNotBelieved { server, why, .. } if server == "8" && why.contains("token"));
    lab.until_event("that a server of the file must prove it, too", not_believed);
    assert!(lab.status("8").is_none());
}

/// Whoever has seen a proof can do nothing with it: not with another entry, not later, and not by returning ours.
#[test]
fn a_proof_that_was_overheard_opens_nothing() {
    let (lab, _folder) = guarded();
    let server = FakeServer::start(Plan { token: Some(token(SECRET)), ..Plan::new("7") }, echo());
    let (entry, incarnation) = (server.entry(), server.incarnation());
    let mut honest = Joiner::connect(lab.join_address());
    let challenge = honest.challenge().unwrap();
    let proof = honest.claim(&challenge, entry, incarnation).prove_as_server(&token(SECRET));
    let elsewhere = Entry { address: SocketAddr::from(([127, 0, 0, 1], 9)), ..entry.clone() };
    // The thief sits on the path: first other words under the same proof, then the same words later.
    let (code, _) = refused(&lab, honest.register(&elsewhere, incarnation, Some(proof.clone())));
    assert_eq!(code, ErrorCode::Forbidden);
    let mut later = Joiner::connect(lab.join_address());
    later.server_nonce = honest.server_nonce.clone();
    later.challenge().unwrap();
    let (code, _) = refused(&lab, later.register(entry, incarnation, Some(proof)));
    assert_eq!(code, ErrorCode::Forbidden);
    // The load balancer's own words, from a conversation that a friend had, are not a server's.
    let mut friend = Joiner::connect(lab.join_address());
    let challenge = friend.challenge().unwrap();
    let proof = friend.claim(&challenge, entry, incarnation).prove_as_balancer(&token(SECRET));
    assert_eq!(refused(&lab, friend.register(entry, incarnation, Some(proof))).0, ErrorCode::Forbidden);
}

/// Addresses that nobody may have: the load balancer's own, and those of a network that is not allowed.
#[test]
fn an_address_must_be_allowed_and_not_ours() {
    let lab = open();
    let server = FakeServer::start(Plan::new("7"), echo());
    let far: SocketAddr = "10.9.9.9:6001".parse().unwrap();
    for (address, words) in [
        (lab.address, "own"),
        (lab.join_address(), "own"),
        (far, "--allow"),
        ("0.0.0.0:9".parse().unwrap(), "nobody's"),
    ] {
        for entry in [Entry { address, ..server.entry().clone() }, Entry { control: address, ..server.entry().clone() }]
        {
            let (code, why) = refused(&lab, Joiner::join(lab.join_address(), &entry, server.incarnation(), None));
            assert!(code == ErrorCode::Forbidden && why.contains(words), "{entry:?}: {why}");
            assert!(matches!(lab.members().add(entry), Err(NotAdded::NotAllowed(why)) if why.contains(words)));
        }
    }
    let strict = Lab::new(&["--join-listen", "127.0.0.1:0", "--allow", "127.0.0.2"]);
    let (code, why) = refused(&strict, Joiner::connect(strict.join_address()).challenge());
    assert!(code == ErrorCode::Forbidden && why.contains("127.0.0.1"), "{why}");
    // In the file, too, our own address is nobody's.
    lab.registry.register(&Entry { address: lab.address, ..server.entry().clone() }).unwrap();
    lab.until_event(
        "that it is passed over",
        |event| matches!(event, Event::RegistryTrouble { why } if why.contains("address of this load balancer")),
    );
    assert!(lab.members().list().is_empty());
}

/// A claim that nobody answers for: the server is told, the event says it, and nothing has changed.
#[test]
fn a_control_port_that_does_not_answer_is_not_believed() {
    let lab = open();
    let (silent, other) = (FakeServer::start(Plan::new("7"), echo()), FakeServer::start(Plan::new("8"), echo()));
    silent.fall_silent(true);
    let not_believed = |event: &Event| matches!(event, Event::ServerNotBelieved { .. });
    for (entry, incarnation, words) in [
        (silent.entry().clone(), silent.incarnation(), "took too long"),
        (Entry { id: "9".into(), ..other.entry().clone() }, other.incarnation(), "answers as server 8"),
        (
            Entry { address: silent.entry().address, ..other.entry().clone() },
            other.incarnation(),
            "and it says it is at",
        ),
        (other.entry().clone(), other.incarnation() ^ 1, "another process"),
        (Entry { control: SocketAddr::from(([127, 0, 0, 1], 1)), ..other.entry().clone() }, 1, "onnect"),
    ] {
        let (code, why) = refused(&lab, Joiner::join(lab.join_address(), &entry, incarnation, None));
        assert!(code == ErrorCode::Unavailable && why.contains(words), "{why}");
        lab.until_event("that it is not believed", not_believed);
        // By hand the same, except that a person does not say which of its lives is meant.
        if words != "another process" {
            let added = lab.members().add(entry);
            assert!(matches!(added, Err(NotAdded::NotBelieved { .. })), "{added:?}");
        }
    }
    assert!(lab.members().list().is_empty());
}

/// Who lives keeps its id; when it is dead the newcomer may have it.
#[test]
fn an_id_belongs_to_who_lives() {
    let lab = open();
    let mut first = lab.server("7", echo());
    let second = FakeServer::start(Plan::new("7"), echo());
    let failure = join(&lab, &second).err().unwrap().unwrap();
    assert!(failure.code == ErrorCode::Forbidden && failure.message.contains("lives"), "{failure:?}");
    assert_eq!(lab.members().list().len(), 1);
    lab.client().assert_usable();
    first.kill();
    eventually("the dead one gives way", || {
        let joined = join(&lab, &second);
        // The lease ends with the connection; the next look is at the pool.
        joined.is_ok_and(|mut joiner| joiner.beat().is_ok() && lab.status("7").is_some())
    });
}

/// What is no registration is answered with a sentence and costs nobody else anything.
#[test]
fn strangers_at_the_registration_port() {
    let lab = open();
    let server = FakeServer::start(Plan::new("7"), echo());
    let mut member = join(&lab, &server).unwrap();
    let told = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(lab.join_address()).unwrap();
        stream.write_all(bytes).unwrap();
        farewell(stream).unwrap_or_else(|| panic!("cut off without a word: {}", bytes.escape_ascii()))
    };
    let frame = |kind, header: &[u8]| {
        let mut bytes = Prefix::new(kind, RequestId::NONE, header.len(), 0).encode().to_vec();
        bytes.extend_from_slice(header);
        bytes
    };
    let mut long = frame(Kind::Join, b"{}");
    long[24..28].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut with_body = frame(Kind::Join, br#"{"nonce":"00112233445566778899"}"#);
    with_body[28..32].copy_from_slice(&1_u32.to_be_bytes());
    for (bytes, code) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), ErrorCode::BadRequest),
        (long, ErrorCode::TooLarge),
        (with_body, ErrorCode::BadRequest),
        (frame(Kind::Join, b"{}"), ErrorCode::BadRequest),
        (frame(Kind::Join, br#"{"nonce":"short"}"#), ErrorCode::BadRequest),
        (frame(Kind::Join, b"not json"), ErrorCode::BadRequest),
        (frame(Kind::Register, b"{}"), ErrorCode::BadRequest),
        (frame(Kind::File, b"{}"), ErrorCode::BadRequest),
    ] {
        let failure = told(&bytes);
        assert_eq!(failure.code, code, "{}: {failure:?}", bytes.escape_ascii());
        member.beat().unwrap();
    }
    let mut entry = serde_json::to_value(server.entry()).unwrap();
    entry["processing_time"] = (-1).into();
    let mut joiner = Joiner::connect(lab.join_address());
    joiner.challenge().unwrap();
    let register = serde_json::json!({"entry": entry, "incarnation": 1});
    let refusal = joiner.say::<Registered>(Kind::Register, &register, Kind::Registered).unwrap_err().unwrap();
    assert!(refusal.code == ErrorCode::BadRequest && refusal.message.contains("processing_time"), "{refusal:?}");
    assert_eq!(lab.members().list().len(), 1);
    lab.assert_no_panic();
}

/// Whoever connects and says nothing is cut off after the time for a header; the member beside it notices nothing.
#[test]
fn a_peer_that_says_nothing_is_cut_off() {
    let lab = open();
    let begin = Instant::now();
    let stream = TcpStream::connect(lab.join_address()).unwrap();
    assert_eq!(farewell(stream).unwrap().code, ErrorCode::Timeout);
    assert!(begin.elapsed() >= protocol::limits::HEADER_TIME, "{:?}", begin.elapsed());
}

/// A full registration port says so at once; clients have nothing to do with it.
#[test]
fn a_full_registration_port_refuses() {
    let lab = open();
    let server = lab.server("1", echo());
    let mut crowd: Vec<Joiner> = (0..MAX_JOINED).map(|_| Joiner::connect(lab.join_address())).collect();
    // Each of them has been accepted when it has its challenge.
    crowd.iter_mut().for_each(|joiner| drop(joiner.challenge().unwrap()));
    let failure = Joiner::connect(lab.join_address()).challenge().unwrap_err().unwrap();
    assert!(failure.code == ErrorCode::Busy && failure.retry_after_ms.is_some(), "{failure:?}");
    lab.client().assert_usable();
    drop((crowd, server));
}

/// A person adds a server by its control address, and removes it; the pool follows.
#[test]
fn servers_are_added_and_removed_by_hand() {
    let lab = open();
    let server = FakeServer::start(Plan::new("7"), echo());
    let entry = lab.members().add_at(server.entry().control).unwrap();
    assert_eq!((&entry.id, entry.address), (&server.entry().id, server.entry().address));
    lab.client().assert_usable();
    assert_eq!(lab.members().list()[0].source, Source::Added);
    assert!(matches!(lab.members().add(entry), Ok(())), "once more is no harm");
    assert_eq!(lab.members().remove("7").unwrap().source, Source::Added);
    eventually("it has left", || lab.status("7").is_none());
    assert!(lab.members().remove("7").is_none());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(lab.members().add_at(nobody), Err(NotAdded::Nobody { .. })));
    assert!(matches!(lab.members().add_at(lab.address), Err(NotAdded::NotAllowed(_))));
}

/// A server that was removed stays away, whichever way it came, until it is added.
#[test]
fn what_was_removed_by_hand_does_not_come_back_by_itself() {
    let lab = open();
    let of_file = lab.server("1", echo());
    let joined = FakeServer::start(Plan::new("7"), echo());
    let mut joiner = join(&lab, &joined).unwrap();
    assert_eq!(lab.members().remove("7").unwrap().source, Source::Joined);
    assert_eq!(lab.members().remove("1").unwrap().source, Source::File);
    assert!(joiner.beat().unwrap_err().unwrap().message.contains("removed by hand"));
    assert!(refused(&lab, join(&lab, &joined)).1.contains("removed by hand"));
    // The file is read anew, and still names the one; it does not count.
    let other = lab.server("2", echo());
    eventually("it has left", || lab.status("1").is_none());
    assert_eq!(lab.members().list().len(), 1);
    lab.members().add(of_file.entry().clone()).unwrap();
    lab.until_state("1", "idle");
    drop(other);
}

/// A load balancer that ends tells its members that they should come again soon.
#[test]
fn the_end_of_the_load_balancer_is_told() {
    let mut lab = open();
    let server = FakeServer::start(Plan::new("7"), echo());
    let mut joiner = join(&lab, &server).unwrap();
    let ending = std::thread::spawn({
        let balancer = lab.take_balancer();
        move || balancer.end()
    });
    let failure = joiner.last_word().unwrap();
    assert!(failure.code == ErrorCode::Draining && failure.retry_after_ms.is_some(), "{failure:?}");
    drop(joiner);
    ending.join().unwrap();
}

/// Other machines need a token: that is refused before anything begins.
#[test]
fn other_machines_are_not_allowed_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let registry = folder.path().join("servers.json");
    let args = ["loadbalancer", "--listen", "127.0.0.1:0", "--allow", "10.0.0.0/8", "--no-journal", "--registry"];
    let args = args.into_iter().chain([registry.to_str().unwrap()]);
    let config = <loadbalancer::config::Config as clap::Parser>::try_parse_from(args).unwrap();
    let error = loadbalancer::LoadBalancer::start(&config).err().expect("it must not start").to_string();
    assert!(error.contains("--token-file"), "{error}");
}
