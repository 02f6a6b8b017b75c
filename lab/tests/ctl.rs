//! Real processes, changed while they run, with `loadbalancer ctl` as a person types it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{Asking, Lab, World, text};
use protocol::http::client;
use std::process::Output;

/// Runs `loadbalancer ctl …` in the folder of the lab.
fn ctl(world: &World, line: &str) -> Output {
    let args: Vec<&str> = ["loadbalancer", "ctl"].into_iter().chain(line.split_whitespace()).collect();
    world.command(&args).output().unwrap()
}

/// The administration of this lab is there: clients are served a moment before.
fn administered(mut lab: Lab) -> Lab {
    lab.balancer.must_say("Administration at http://");
    lab
}

/// What it prints when it succeeds.
fn done(world: &World, line: &str) -> String {
    let output = ctl(world, line);
    assert!(output.status.success(), "{line}: {} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What it says when it does not, after this status.
fn refused(world: &World, line: &str, status: i32) -> String {
    let output = ctl(world, line);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(status), String::new()), "{line}");
    text(&output.stderr)
}

/// Finds the load balancer and its token by itself; whatever is changed shows at once.
#[test]
fn a_load_balancer_is_changed_while_it_runs() {
    let lab = administered(Lab::start(&["0", "0.01", "0.02"], &[]));
    let (world, mut asking) = (&lab.world, Asking::connect(lab.address));
    assert_eq!(asking.query("SELECT 1").server(), "1");
    let shown = done(world, "servers");
    let titles = shown.lines().nth(1).unwrap();
    assert!(shown.starts_with("Pool lab, policy power, 0 waiting\n") && titles.starts_with("ID  ADDRESS"), "{shown}");
    assert_eq!(shown.lines().count(), 5, "{shown}");
    assert!(done(world, "drain 1").contains("drain"));
    assert_eq!(asking.query("SELECT 1").server(), "2");
    done(world, "maintenance 2");
    assert_eq!(asking.query("SELECT 1").server(), "3");
    done(world, "ready 1");
    assert_eq!(asking.query("SELECT 1").server(), "1");
    assert!(done(world, "weight 1 256").contains("256"));
    done(world, "weight 1 none");
    assert!(refused(world, "capacity 1 5", 1).contains("itself takes 1 request at once"));
    let told = done(world, "capacity 1 unlimited");
    assert!(told.contains("server 1 itself takes 1 request at once"), "{told}");
    assert!(done(world, "policy round-robin").starts_with("Pool lab: policy round-robin"));
    assert!(done(world, "remove 3").contains("removed"));
    let json: serde_json::Value = serde_json::from_str(&done(world, "servers --json")).unwrap();
    assert_eq!(json["pools"][0]["servers"].as_array().unwrap().len(), 2, "{json}");
    let control = std::fs::read_to_string(world.path("servers.json")).unwrap();
    let entries: serde_json::Value = serde_json::from_str(&control).unwrap();
    let third = entries.as_array().unwrap().iter().find(|entry| entry["id"] == "3").unwrap();
    assert!(done(world, &format!("add {}", third["control"].as_str().unwrap())).contains("Server 3 at "));
    assert!(done(world, "stats").contains("requests"));
    assert!(done(world, "stats --csv").starts_with("# pxname,svname,"));
    assert!(done(world, "metrics").ends_with("# EOF\n"));
}

/// What is wrong is said, with the status that says whose fault it is; and nothing is changed.
#[test]
fn what_is_wrong_is_said() {
    let world = World::new();
    assert!(refused(&world, "servers", 1).contains("No load balancer with administration runs here"));
    assert!(refused(&world, "servers --admin 127.0.0.1:1", 1).contains("does not answer"));
    let lab = administered(Lab::start_in(world, &["0"], &[]));
    let (world, policy) = (&lab.world, done(&lab.world, "policy --json"));
    assert!(refused(world, "drain 7", 1).contains("There is no server 7."));
    assert!(refused(world, "add 127.0.0.1:1", 1).contains("No server answers"));
    assert!(refused(world, &format!("add {}", lab.address), 1).contains("load balancer's own"));
    assert!(refused(world, "policy strongest", 2).contains("strongest"));
    assert!(refused(world, "weight 1 300", 2).contains("1 to 256"));
    assert!(refused(world, "drain 1 --pool udp", 1).contains("no such pool"));
    std::fs::write(world.path("wrong"), "0123456789abcdef").unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(world.path("wrong"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(refused(world, "drain 1 --token-file wrong", 1).contains("not the token"));
    std::fs::set_permissions(world.path("wrong"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(world, "drain 1 --token-file wrong", 1).contains("chmod 600"));
    assert_eq!(done(world, "policy --json"), policy);
    assert!(done(world, "servers").contains("idle"));
}

/// Two load balancers of one folder do not want the same port; one that was killed leaves nothing that misleads.
#[test]
fn load_balancers_are_told_apart() {
    let world = World::new();
    let start = || world.spawn(&["loadbalancer", "--listen", "127.0.0.1:0", "--no-journal"]);
    let (mut first, mut second) = (start(), start());
    let mut addresses = [&mut first, &mut second].map(|process| {
        let line = process.wait_for("Administration at http://");
        line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
    });
    assert_ne!(addresses[0], addresses[1]);
    let output = ctl(&world, "policy random");
    assert!(output.status.success() && text(&output.stderr).contains("2 load balancers run here"), "{output:?}");
    for address in &addresses {
        done(&world, &format!("policy round-robin --admin {address}"));
    }
    first.kill();
    addresses.swap(0, 1);
    assert_eq!(text(&ctl(&world, "policy random").stderr), "");
    second.signal(rustix::process::Signal::INT);
    assert!(second.wait().success());
    assert!(refused(&world, "policy", 1).contains("No load balancer"));
}

/// Why a request went where it went, asked of the load balancer that carried it.
#[test]
fn why_is_answered_while_it_runs() {
    let world = World::new();
    let _server = world.server("1", "0");
    let args = ["loadbalancer", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut balancer = world.spawn(&args);
    balancer.wait_for("Connected to server 1");
    let line = balancer.seen.iter().find(|line| line.contains("Load balancer is listening on")).unwrap().clone();
    let address = line.split_once('(').unwrap().1.split_once(')').unwrap().0.replace(", ", ":");
    let mut asking = Asking::connect(address.parse().unwrap());
    assert_eq!(asking.query("SELECT 1").server(), "1");
    balancer.wait_for("Sent response to client!");
    let until = std::time::Instant::now() + kit::LONG;
    let told = loop {
        let output = ctl(&world, "why last");
        if output.status.success() {
            break text(&output.stdout);
        }
        // The journal is written a moment after the terminal.
        assert!(std::time::Instant::now() < until, "{}", text(&output.stderr));
    };
    assert!(told.contains("server 1"), "{told}");
    // Bytes of the file are counted, and not those of the frames around them.
    assert!(matches!(asking.file("colors.csv"), kit::Answer::File { .. }));
    let whole = include_str!("../../server/files/colors.csv").len();
    kit::eventually("the journal has the file", || {
        text(&ctl(&world, "why last").stdout).contains(&format!("The file had been passed on whole: {whole} bytes."))
    });
    assert_eq!(asking.query("SELECT 1").server(), "1");
    kit::eventually("the journal has the statement", || text(&ctl(&world, "why last").stdout).contains("SELECT 1"));
    let told = done(&world, "why last");
    let json: serde_json::Value = serde_json::from_str(&done(&world, "why last --json")).unwrap();
    let id = json["explanation"]["request"].as_str().unwrap_or_else(|| panic!("{json}")).to_owned();
    assert_eq!(done(&world, &format!("why {id}")), told);
    assert!(refused(&world, "why nonsense", 1).contains("is not the id of a request"));
    // It may be told after the first request was answered.
    balancer.must_say("Administration at http://");
    let line = balancer.seen.iter().find(|line| line.contains("Administration at http://")).unwrap().clone();
    let admin = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let ask = |path: &str| client::ask(admin, &client::Ask::get(path), kit::LONG).unwrap();
    let events: serde_json::Value = ask("/events?since=0").json().unwrap();
    let names: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| event["event"].clone()).collect();
    assert!(names.contains(&"server-chosen".into()) && events["more"] == false, "{events}");
    let later: serde_json::Value = ask(&format!("/events?since={}", events["next"])).json().unwrap();
    assert!(later["next"].as_u64() >= events["next"].as_u64(), "{later}");
    for wrong in ["/events?since=yesterday", "/events?since=-1", "/events?until=5", "/events?since=1&since=2"] {
        assert_eq!(ask(wrong).status.code(), 400, "{wrong}");
    }
}

/// Clients may take all descriptors that they can get: administration still answers, the servers stay known, and who comes
/// too late is told so.
#[test]
fn administration_works_when_clients_have_taken_everything() {
    let world = World::new();
    let _server = world.server("1", "0");
    let lab = env!("CARGO_BIN_EXE_lab");
    let mut command = std::process::Command::new("sh");
    let line =
        format!("ulimit -n 200; exec '{lab}' loadbalancer --listen 127.0.0.1:0 --admin 127.0.0.1:0 --no-journal");
    command.args(["-c", &line]).current_dir(world.path("."));
    let mut balancer = kit::Process::start(command, "loadbalancer");
    balancer.wait_for("Connected to server 1");
    let line = balancer.seen.iter().find(|line| line.contains("Load balancer is listening on")).unwrap().clone();
    let address = line.split_once('(').unwrap().1.split_once(')').unwrap().0.replace(", ", ":");
    balancer.must_say("Administration at http://");
    let join_the_crowd = |_| {
        let client = std::net::TcpStream::connect(&address).unwrap();
        let mut reading = client.try_clone().unwrap();
        // Who is sent away goes; the others stay until the test lets them go.
        std::thread::spawn(move || {
            let _said = std::io::copy(&mut reading, &mut std::io::sink());
            reading.shutdown(std::net::Shutdown::Both)
        });
        client
    };
    let crowd: Vec<_> = (0..300).map(join_the_crowd).collect();
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(&done(&world, line)).unwrap();
    let totals = || json("servers --json")["pools"][0]["totals"].clone();
    let until = std::time::Instant::now() + kit::LONG;
    // All of them have been seen, and most of them sent away.
    while totals()["connections"].as_u64().unwrap() + totals()["refused"].as_u64().unwrap() < 300 {
        assert!(std::time::Instant::now() < until, "{}", totals());
    }
    assert_eq!(totals()["clients"], 20, "{}", totals());
    assert!(done(&world, "weight 1 5").contains("idle"));
    crowd.iter().for_each(|client| drop(client.shutdown(std::net::Shutdown::Both)));
    while totals()["clients"] != 0 {
        assert!(std::time::Instant::now() < until, "{}", totals());
    }
    assert_eq!(Asking::connect(address.parse().unwrap()).query("SELECT 1").server(), "1");
}
