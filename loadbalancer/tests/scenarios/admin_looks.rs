//! Whoever looks at a load balancer through its administration sees what is.

use crate::kit::{Admin, Ask, FakeServer, Lab, Plan, SOON, echo, error_of, eventually};
use crossbeam_channel::bounded;
use loadbalancer::event::Event;
use protocol::http::{
    Method, Status,
    client::{Ask as Question, Client},
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
};

/// Each path shows what it says, also to HEAD, and to a connection that is kept.
#[test]
fn every_path_is_there() {
    let lab = Lab::new(&[]);
    let _server = lab.server("1", echo());
    lab.client().assert_usable();
    let admin = lab.admin();
    let mut kept = Client::connect(admin.address, SOON).unwrap();
    for (path, content_type) in [
        ("/", "text/plain; charset=utf-8"),
        ("/servers", "application/json"),
        ("/servers/1", "application/json"),
        ("/policy", "application/json"),
        ("/health", "application/json"),
        ("/stats.csv", "text/csv; charset=utf-8"),
        ("/stats;csv", "text/csv; charset=utf-8"),
        ("/metrics", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ] {
        let reply = kept.ask(&Question::get(path), SOON).unwrap();
        assert_eq!((reply.status, reply.headers.get("Content-Type")), (Status::OK, Some(content_type)), "{path}");
        assert_eq!(reply.headers.get("Cache-Control"), Some("no-store"));
        assert!(!reply.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control")));
        let head = kept.ask(&Question::new(Method::Head, path), SOON).unwrap();
        assert_eq!((head.status, head.body.len()), (Status::OK, 0), "{path}");
    }
}

/// The JSON of a server tells what happened to it; the totals tell what happened to all.
#[test]
fn what_happened_is_counted() {
    let lab = Lab::new(&[]);
    let mut first = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.until_told();
        }),
    );
    let _second = lab.weaker("2", echo());
    let mut client = lab.client();
    let id = client.file("file");
    first.expect_request("file");
    assert_eq!(lab.admin().json("/servers/1")["active"], 1);
    first.kill();
    assert!(client.answer(id).text().contains("file"));
    client.assert_usable();
    lab.until_counted();
    let shown = lab.admin().json("/servers");
    let totals = &shown["pools"][0]["totals"];
    let counted = ["connections", "clients", "requests", "answered", "failed", "redispatches", "retries", "in_hand"];
    let counted = counted.map(|name| totals[name].as_u64().unwrap());
    assert_eq!(counted, [1, 1, 2, 2, 0, 1, 0, 0], "{totals}");
    assert!(totals["bytes_in"].as_u64() > Some(0) && totals["bytes_out"].as_u64() > Some(0), "{totals}");
    let second = lab.admin().json("/servers/2");
    assert_eq!(
        (&second["answered"], &second["most_active"], &second["status"]),
        (&2.into(), &1.into(), &"idle".into())
    );
    let classes: u64 = second["times"]["classes"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(classes, 2);
}

/// The queue is seen while it is there, and how long it was.
#[test]
fn the_queue_is_seen() {
    let lab = Lab::new(&["--max-queue", "2"]);
    let (go_on, waits) = bounded::<()>(8);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            let _ = waits.recv_timeout(SOON);
            ask.echo();
        }),
    );
    let mut clients: Vec<_> = (0..4).map(|_| lab.client()).collect();
    let first = clients[0].sql("0");
    server.expect_request("0");
    let others: Vec<_> = [1, 2].map(|at| clients[at].sql("x")).into();
    eventually("two wait", || lab.waiting() == 2);
    let refused = clients[3].ask("y").failure();
    assert!(refused.message.contains("Too many"), "{refused:?}");
    let shown = lab.admin().json("/servers");
    let shown = &shown["pools"][0];
    let at = |name: &str| shown["totals"][name].as_u64().unwrap();
    assert_eq!((&shown["waiting"], &shown["most_waiting"], &shown["max_queue"]), (&2.into(), &2.into(), &2.into()));
    assert_eq!((at("queued"), at("queue_full"), at("in_hand"), at("failed")), (2, 1, 3, 1));
    (0..3).for_each(|_| go_on.send(()).unwrap());
    clients[0].answer(first).text();
    (0..2).for_each(|at| drop(clients[at + 1].answer(others[at]).text()));
    lab.until_counted();
    let shown = &lab.admin().json("/servers")["pools"][0];
    assert_eq!((&shown["waiting"], &shown["most_waiting"]), (&0.into(), &2.into()));
    assert!(shown["totals"]["waited_s"].as_f64() > Some(0.0));
}

/// A server that is known and not in the pool is shown with the reason.
#[test]
fn who_is_not_believed_is_shown_too() {
    let lab = Lab::new(&[]);
    let stranger = FakeServer::start(Plan::new("9"), echo());
    let impostor = protocol::registry::Entry { id: "1".into(), ..stranger.entry().clone() };
    lab.registry.register(&impostor).unwrap();
    lab.until_event("the explanation", |event| matches!(event, Event::ServerNotBelieved { .. }));
    let shown = lab.admin().json("/servers");
    let (outside, servers) = (shown["outside"].as_array().unwrap(), shown["pools"][0]["servers"].as_array().unwrap());
    assert_eq!((outside.len(), servers.len(), &outside[0]["id"]), (1, 0, &"1".into()), "{shown}");
    assert!(outside[0]["why"].as_str().unwrap().contains("answers as server 9"), "{shown}");
    let sentence = error_of(&lab.admin().get("/servers/1"), Status::NOT_FOUND);
    assert!(sentence.contains("known, but not in the pool: "), "{sentence}");
    assert!(error_of(&lab.admin().get("/servers/7"), Status::NOT_FOUND).contains("There is no server 7."));
}

/// Whether there is anybody to send requests to is told by a status that programs understand.
#[test]
fn health_has_a_status() {
    let lab = Lab::new(&[]);
    let health = || {
        let reply = lab.admin().get("/health");
        let body: serde_json::Value = reply.json().unwrap();
        (reply.status.code(), body["health"].as_str().unwrap().to_owned(), body["pid"].clone())
    };
    assert_eq!(health(), (503, "no-server".to_owned(), std::process::id().into()));
    let _server = lab.server("1", echo());
    assert_eq!(health().0, 200);
    lab.admin().change("/servers/1/drain", "");
    assert_eq!((health().0, health().1), (503, "no-server".to_owned()));
}

/// While the load balancer ends, and requests in hand finish, that can be watched.
#[test]
fn the_end_can_be_watched() {
    let mut lab = Lab::new(&[]);
    let (go_on, waits) = bounded::<()>(1);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            let _ = waits.recv_timeout(SOON);
            ask.echo();
        }),
    );
    let mut client = lab.client();
    let id = client.sql("x");
    server.expect_request("x");
    let balancer = lab.take_balancer();
    let ending = std::thread::spawn(move || balancer.end());
    let admin = lab.admin();
    eventually("it says so", || admin.get("/health").json::<serde_json::Value>().unwrap()["health"] == "ending");
    assert_eq!(admin.json("/servers")["pools"][0]["totals"]["in_hand"], 1);
    go_on.send(()).unwrap();
    client.answer(id).text();
    ending.join().unwrap();
    assert!(TcpListener::bind(admin.address).is_ok(), "its port is free again");
    assert!(!admin.token_file.exists() && !admin.token_file.parent().unwrap().exists());
}

/// The note that a load balancer leaves leads to it, and says no secret.
#[test]
fn the_note_leads_there() {
    let lab = Lab::new(&[]);
    let found = loadbalancer::admin::notice::find(&lab.folder().join("runs"));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].address, found[0].token_file.as_ref()), (lab.admin().address, Some(&lab.admin().token_file)));
    let note = fs::read_to_string(lab.admin().token_file.with_file_name("admin.json")).unwrap();
    assert!(!note.contains(&lab.admin().token), "{note}");
}

/// Without administration there is no port, and no file.
#[test]
fn without_administration() {
    let lab = Lab::new(&["--no-admin"]);
    assert!(lab.admin.is_none() && !lab.folder().join("runs").exists());
    let _server = lab.server("1", echo());
    lab.client().assert_usable();
}

/// When all clients' connections are taken, administration still answers; and a crowd before the administration harms no
/// client.
#[test]
fn a_crowd_on_one_side_is_none_on_the_other() {
    let lab = Lab::new(&["--max-connections", "3"]);
    let _server = lab.server("1", echo());
    let mut clients: Vec<_> = (0..3).map(|_| lab.client()).collect();
    clients.iter_mut().for_each(crate::kit::Client::assert_usable);
    let busy = crate::kit::farewell(lab.raw()).unwrap();
    assert!(busy.message.contains("as many connections"), "{busy:?}");
    let totals = &lab.admin().json("/servers")["pools"][0]["totals"];
    assert_eq!((&totals["clients"], &totals["refused"]), (&3.into(), &1.into()));
    let crowd: Vec<_> = (0..loadbalancer::admin::MAX_CONNECTIONS).map(|_| idle(lab.admin())).collect();
    let reply = lab.admin().get("/health");
    assert_eq!((reply.status, reply.headers.get("Retry-After")), (Status::SERVICE_UNAVAILABLE, Some("1")));
    clients.iter_mut().for_each(crate::kit::Client::assert_usable);
    drop(crowd);
    eventually("there is room again", || lab.admin().get("/health").status == Status::OK);
}

/// A connection that is kept and says nothing more.
fn idle(admin: &Admin) -> Client {
    let mut client = Client::connect(admin.address, SOON).unwrap();
    assert_eq!(client.ask(&Question::get("/health"), SOON).unwrap().status, Status::OK);
    client
}

/// A frontend beside the first has a pool of its own; both are seen, and each can be meant alone.
#[test]
fn two_frontends_are_two_pools() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let named = format!("1={address}");
    let plain = ["--tcp", "127.0.0.1:0", "--server", &named];
    let mut lab = Lab::new(&plain);
    let _server = lab.server("1", echo());
    let shown = lab.admin().json("/servers");
    let names: Vec<_> = shown["pools"].as_array().unwrap().iter().map(|pool| pool["pool"].as_str().unwrap()).collect();
    assert_eq!(names, ["lab", "tcp"]);
    let sentence = error_of(&lab.admin().post("/servers/1/weight", r#"{"weight": 5}"#), Status::CONFLICT);
    assert!(sentence.contains("lab and tcp"), "{sentence}");
    assert_eq!(lab.admin().change("/servers/1/weight?pool=tcp", r#"{"weight": 5}"#)["pool"], "tcp");
    assert_eq!(lab.admin().json("/servers/1?pool=lab")["weight"], serde_json::Value::Null);
    lab.admin().change("/policy?pool=tcp", r#"{"policy": "random"}"#);
    let pools = lab.admin().json("/policy")["pools"].clone();
    assert_eq!((&pools[0]["policy"], &pools[1]["policy"]), (&"power".into(), &"random".into()));
    assert_eq!(lab.admin().json("/policy?pool=tcp")["policy"], "random");
    lab.admin().change("/policy", r#"{"policy": "round-robin"}"#);
    let pools = lab.admin().json("/policy")["pools"].clone();
    assert_eq!((&pools[0]["policy"], &pools[1]["policy"]), (&"round-robin".into(), &"round-robin".into()));
    error_of(&lab.admin().get("/servers?pool=udp"), Status::NOT_FOUND);
    let balancer = lab.take_balancer();
    let mut caller = std::net::TcpStream::connect(balancer.side("tcp").unwrap().address()).unwrap();
    // The first visitor may be a probe, which says nothing.
    let answered = std::thread::spawn(move || {
        for visitor in server.incoming().flatten() {
            let (mut visitor, mut word) = (visitor, [0; 4]);
            if visitor.read_exact(&mut word).is_ok() {
                return visitor.write_all(b"hello").unwrap();
            }
        }
    });
    caller.write_all(b"word").unwrap();
    let mut said = String::new();
    caller.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello");
    drop(caller);
    answered.join().unwrap();
    let totals = || lab.admin().json("/servers?pool=tcp")["pools"][0]["totals"].clone();
    eventually("it is counted", || totals()["answered"] == 1);
    let totals = totals();
    let counted =
        ["connections", "requests", "bytes_in", "bytes_out", "in_hand"].map(|name| totals[name].as_u64().unwrap());
    assert_eq!(counted, [1, 1, 4, 5, 0], "{totals}");
    let text = lab.admin().text("/stats.csv");
    let names: Vec<_> =
        text.lines().skip(1).map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(names, ["lab FRONTEND", "lab 1", "lab BACKEND", "tcp FRONTEND", "tcp 1", "tcp BACKEND"]);
    balancer.end();
}
