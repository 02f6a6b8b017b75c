//! What is changed through the administration is changed, while clients are at work.

use crate::kit::{Ask, FakeServer, Lab, Plan, SOON, echo, error_of, eventually};
use crossbeam_channel::bounded;
use loadbalancer::event::Event;
use protocol::http::{Method, Status};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

/// Drained, it finishes what it has and gets nothing new; in maintenance its death is no news; ready, it is back.
#[test]
fn a_server_is_drained_maintained_and_back() {
    let lab = Lab::new(&[]);
    let (go_on, waits) = bounded::<()>(1);
    let slow = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            let _ = waits.recv_timeout(SOON);
            ask.echo();
        }),
    );
    let _other = lab.weaker("2", echo());
    let mut first = lab.client();
    let id = first.sql("in hand");
    slow.expect_request("in hand");
    let shown = lab.admin().change("/servers/1/drain", "");
    assert_eq!((&shown["status"], &shown["admin"], &shown["active"]), (&"drain".into(), &"drain".into(), &1.into()));
    assert!(lab.client().ask("new").text().ends_with("from 2"));
    go_on.send(()).unwrap();
    assert!(first.answer(id).text().ends_with("from 1"), "what it had it has finished");
    assert_eq!(lab.admin().change("/servers/1/maintenance", "{}")["status"], "maintenance");
    assert!(lab.client().ask("new").text().ends_with("from 2"));
    slow.follow(echo());
    assert_eq!(lab.admin().change("/servers/1/ready", "")["status"], "idle");
    assert!(lab.client().ask("new").text().ends_with("from 1"));
    let asked = lab.until_event("who it was", |event| matches!(event, Event::AdminAsked { .. }));
    assert!(
        matches!(asked, Event::AdminAsked { asked, peer } if asked == "POST /servers/1/drain" && peer.ip().is_loopback())
    );
}

/// Weights and capacities are given and taken away.
#[test]
fn weights_and_capacities() {
    let lab = Lab::new(&[]);
    let _server = lab.planned(Plan { capacity: 8, ..Plan::new("1") }, echo());
    let weight = |body| lab.admin().change("/servers/1/weight", body)["weight"].clone();
    assert_eq!(weight(r#"{"weight": 256}"#), 256);
    assert_eq!(weight(r#"{"weight": 1}"#), 1);
    assert_eq!(weight(r#"{"weight": null}"#), serde_json::Value::Null);
    let capacity = |body| lab.admin().change("/servers/1/capacity", body)["capacity"].clone();
    assert_eq!(capacity(r#"{"capacity": 3}"#), 3);
    assert_eq!(capacity(r#"{"capacity": "unlimited"}"#), 8, "as many as the server takes");
}

/// The policy is another one from the next request on.
#[test]
fn the_policy_is_changed() {
    let lab = Lab::new(&["--balance", "power"]);
    let _servers = [lab.server("1", echo()), lab.weaker("2", echo())];
    let mut client = lab.client();
    let from = |client: &mut crate::kit::Client| client.ask("x").text().chars().last();
    assert_eq!([from(&mut client), from(&mut client)], [Some('1'), Some('1')]);
    let shown = lab.admin().change("/policy", r#"{"policy": "round-robin"}"#);
    assert_eq!(shown["policy"], "round-robin");
    assert!(shown["policies"].as_array().unwrap().iter().any(|name| name == "power"));
    let two = [from(&mut client), from(&mut client)];
    assert!(two.contains(&Some('1')) && two.contains(&Some('2')), "{two:?}");
    assert_eq!(lab.admin().json("/policy"), shown);
    // What is shown can be sent back, options and all.
    let again = serde_json::json!({ "policy": shown["policy"], "options": shown["options"] });
    assert_eq!(lab.admin().change("/policy", &again.to_string()), shown);
    lab.until_event("the change", |event| matches!(event, Event::PolicyChanged { .. }));
}

/// A server that nobody registered is added by its control address, works, and is removed again.
#[test]
fn a_server_is_added_and_removed() {
    let lab = Lab::new(&[]);
    let server = FakeServer::start(Plan::new("7"), echo());
    let body = format!(r#"{{"control": "{}"}}"#, server.entry().control);
    let reply = lab.admin().post("/servers", &body);
    assert_eq!(
        (reply.status, reply.headers.get("Location")),
        (Status::CREATED, Some("/servers/7")),
        "{}",
        reply.text()
    );
    assert_eq!(reply.json::<serde_json::Value>().unwrap()["id"], "7");
    lab.until_state("7", "idle");
    lab.client().assert_usable();
    assert_eq!(lab.admin().change("/servers/7/remove", "")["source"], "added");
    eventually("it is gone", || lab.admin().get("/servers/7").status == Status::NOT_FOUND);
    error_of(&lab.admin().post("/servers/7/remove", ""), Status::NOT_FOUND);
}

/// A server of the file can be removed, too, with DELETE; its entry does not bring it back.
#[test]
fn a_server_of_the_file_is_removed() {
    let lab = Lab::new(&[]);
    let _stays = lab.server("1", echo());
    let _goes = lab.weaker("2", echo());
    let reply = lab.admin().ask(&lab.admin().may(Method::Delete, "/servers/2"));
    assert_eq!(reply.json::<serde_json::Value>().unwrap(), serde_json::json!({ "removed": "2", "source": "file" }));
    eventually("it is gone", || lab.status("2").is_none());
    lab.client().assert_usable();
    assert!(lab.status("2").is_none());
}

/// The policy is changed a hundred times, servers are weighed and drained in turn, while eight clients ask: every request
/// gets its own right answer, and nothing is left over.
#[test]
fn changes_under_load_lose_nothing() {
    let lab = Lab::new(&[]);
    let _servers: Vec<_> =
        (1..=3).map(|n| lab.planned(Plan { capacity: 4, time: 0.0, ..Plan::new(&n.to_string()) }, echo())).collect();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8u64)
        .map(|number| {
            let (over, address) = (Arc::clone(&over), lab.address);
            thread::spawn(move || {
                let mut client = crate::kit::Client::connect(address);
                client.number = 100 + number;
                let mut asked = 0u64;
                while !over.load(SeqCst) || asked < 50 {
                    let word = format!("request {asked} of {number}");
                    let answer = client.ask(&word).text();
                    assert!(answer.contains(&word), "{word}: {answer}");
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    let names: Vec<String> = serde_json::from_value(lab.admin().json("/policy")["policies"].clone()).unwrap();
    for round in 0..100 {
        let name = &names[round % names.len()];
        let shown = lab.admin().change("/policy", &format!(r#"{{"policy": "{name}"}}"#));
        assert_eq!(shown["policy"], **name);
        let server = 1 + round % 3;
        lab.admin().change(&format!("/servers/{server}/weight"), &format!(r#"{{"weight": {}}}"#, 1 + round % 256));
        lab.admin().change(&format!("/servers/{server}/{}", ["drain", "maintenance"][round % 2]), "");
        lab.admin().change(&format!("/servers/{server}/ready"), "");
    }
    over.store(true, SeqCst);
    let asked: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    lab.until_counted();
    let shown = &lab.admin().json("/servers")["pools"][0];
    let total = |name: &str| shown["totals"][name].as_u64().unwrap();
    assert_eq!((total("requests"), total("answered"), total("failed"), total("in_doubt")), (asked, asked, 0, 0));
    let of_servers = |name: &str| {
        shown["servers"].as_array().unwrap().iter().map(|server| server[name].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((of_servers("active"), of_servers("answered"), total("in_hand")), (0, asked, 0));
    lab.assert_no_panic();
}
