//! The calls, to the byte.

use super::*;

const JSON: &str = "application/json";

fn told(status: u16, body: &str) -> Told {
    Told { status, content_type: JSON.to_owned(), body: body.to_owned() }
}

#[test]
fn every_call_is_answered_as_the_coursework_says() {
    let stage = Stage::with(3, &[]);
    let three = r#"{"message":{"N":3,"replicas":["Server 1","Server 2","Server 3"]},"status":"successful"}"#;
    assert_eq!(stage.ask("GET /rep", ""), told(200, three));
    let seven = r#"{"message":{"N":7,"replicas":["Server 1","Server 2","Server 3","S5","S4","S10","S11"]},"status":"successful"}"#;
    assert_eq!(stage.ask("POST /add", r#"{"n":4,"hostnames":["S5","S4","S10","S11"]}"#), told(200, seven));
    assert_eq!(stage.ask("GET /rep", ""), told(200, seven));
    let remains = stage.ask("DELETE /rm", r#"{"n":3,"hostnames":["S5","S4"]}"#);
    assert_eq!((remains.status, remains.names().len()), (200, 4));
    assert!(!remains.names().iter().any(|name| name == "S5" || name == "S4"), "{remains:?}");
    assert_eq!(stage.ask("GET /rep", ""), remains);
    let other = r#"{"message":"<Error> '/other' endpoint does not exist in server replicas","status":"failure"}"#;
    assert_eq!(stage.ask("GET /other", ""), told(400, other));
    assert_eq!(stage.ask("GET /heartbeat", ""), Told { status: 200, content_type: String::new(), body: String::new() });
    for _ in 0..20 {
        let home = stage.ask("GET /home", "");
        let hello = |id: &String| format!(r#"{{"message":"Hello from Server: {id}","status":"successful"}}"#);
        assert!(home.status == 200 && stage.ids().iter().map(hello).any(|hello| hello == home.body), "{home:?}");
    }
    assert!(stage.ask("GET /files/colors.csv", "").body.starts_with("Name,"));
}

#[test]
fn fewer_names_than_n_are_filled_up_with_six_random_digits() {
    let stage = Stage::with(1, &["--replica-ids", "random"]);
    let names = stage.ask("POST /add", r#"{"n":3,"hostnames":["S5"]}"#).names();
    assert!(names.len() == 4 && names[1] == "S5", "{names:?}");
    for name in [&names[0], &names[2], &names[3]] {
        let digits = name.strip_prefix("Server ").unwrap();
        assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{names:?}");
    }
    let remains = stage.ask("DELETE /rm", &format!(r#"{{"n":2,"hostnames":["{}"]}}"#, names[2])).names();
    assert!(remains.len() == 2 && !remains.contains(&names[2]), "what is listed can be removed: {remains:?}");
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_half_done() {
    let stage = Stage::with(2, &[]);
    let before = stage.ask("GET /rep", "");
    let add_longer = "Length of hostname list is more than newly added instances";
    let remove_longer = "Length of hostname list is more than removable instances";
    let number = "n is not a number from 1 to 64";
    for (line, body, status, why) in [
        ("POST /add", r#"{"n":1,"hostnames":["S5","S4"]}"#, 400, add_longer),
        ("DELETE /rm", r#"{"n":1,"hostnames":["Server 1","Server 2"]}"#, 400, remove_longer),
        ("POST /add", "", 400, "The body is not JSON"),
        ("POST /add", "{n:1}", 400, "The body is not JSON"),
        ("POST /add", "{}", 400, "The body has no n, the number of instances"),
        ("POST /add", r#"{"n":-1}"#, 400, number),
        ("POST /add", r#"{"n":1e99}"#, 400, number),
        ("POST /add", r#"{"n":1000000}"#, 400, number),
        ("POST /add", r#"{"n":63}"#, 400, "There are 2 replicas, and there may be 64"),
        ("POST /add", r#"{"n":2,"hostnames":["S5","S5"]}"#, 400, "Hostname 'S5' is there twice"),
        ("POST /add", r#"{"n":2,"hostnames":["S5","Server 1"]}"#, 400, "Hostname 'Server 1' is there already"),
        ("DELETE /rm", r#"{"n":2,"hostnames":["Server 1","S5"]}"#, 400, "Hostname 'S5' is no replica"),
        ("DELETE /rm", r#"{"n":3}"#, 400, "n is 3, and there are 2 replicas"),
        ("DELETE /rm", "[]", 400, "The body is not a JSON object"),
        ("GET /add", "", 405, "'/add' endpoint takes only POST"),
        ("POST /rm", r#"{"n":1}"#, 405, "'/rm' endpoint takes only DELETE"),
        ("GET /", "", 400, "'/' endpoint does not exist in server replicas"),
    ] {
        let failure = format!(r#"{{"message":"<Error> {why}","status":"failure"}}"#);
        assert_eq!(stage.ask(line, body), told(status, &failure), "{line} {body}");
        assert_eq!(stage.ask("GET /rep", ""), before, "{line} {body}");
    }
    let long = stage.ask("POST /add", &" ".repeat(20_000));
    assert_eq!(long.status, 413, "{long:?}");
    assert_eq!(stage.ask("GET /rep", ""), before);
}

#[test]
fn who_is_answered_and_then_left_is_told_so() {
    let stage = Stage::with(1, &[]);
    for (line, fields, closes) in [
        ("POST /other", "Content-Length: 10000000", true),
        ("POST /rep", "Content-Length: 5\r\nExpect: 100-continue", true),
        ("GET /rep", "Connection: close", true),
        ("GET /rep", "X-Nothing: special", false),
    ] {
        let head = caller::head(stage.http, &format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n"));
        assert_eq!(head.contains("\r\nConnection: close\r\n"), closes, "{line}: {head}");
    }
}

/// DNS rebinding: a page of `evil.example` lets this name point here, and is then a page of this site for the browser.
#[test]
fn a_page_whose_name_was_made_to_point_here_changes_nothing() {
    let stage = Stage::with(1, &[]);
    for line in ["POST /add", "DELETE /rm"] {
        let fields = "Host: evil.example\r\nOrigin: http://evil.example\r\nContent-Length: 7";
        let head = caller::head(stage.http, &format!("{line} HTTP/1.1\r\n{fields}\r\n\r\n{{\"n\":1}}"));
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    }
    assert_eq!(stage.ids().len(), 1);
}

#[test]
fn a_removed_replica_finishes_what_it_has() {
    let mut stage = Stage::with(2, &["--replica-time", "3"]);
    let (id, asking) = stage.begin_home();
    let remains = stage.ask("DELETE /rm", &format!(r#"{{"n":1,"hostnames":["Server {id}"]}}"#));
    assert_eq!(remains.names().len(), 1);
    assert!(!asking.is_finished(), "the request was answered too early for this test to show anything");
    let home = asking.join().unwrap();
    assert_eq!(home.body, format!(r#"{{"message":"Hello from Server: {id}","status":"successful"}}"#));
    let pid = stage.pids[&id];
    eventually("the removed replica has ended", || !lives(pid));
}

#[test]
fn without_the_flag_none_of_this_exists() {
    let world = World::new();
    let mut balancer =
        world.spawn(&["loadbalancer", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-journal"]);
    let http = address_in(&balancer.wait_for("Frontend http is listening on"));
    let _server = world.server_with("1", "0", &["--service", "http"]);
    balancer.wait_for("Connected to server 1");
    for line in ["GET /rep", "POST /add", "DELETE /rm", "GET /other"] {
        let answer = ask(http, line, r#"{"n":1}"#);
        assert!(answer.status == 404 && !answer.body.contains("<Error>"), "{line}: {answer:?}");
    }
    let output = world.command(&["loadbalancer", "--replicas", "3"]).output().unwrap();
    assert!(output.status.code() == Some(2) && kit::text(&output.stderr).contains("--http"), "{output:?}");
}

#[test]
fn many_add_and_remove_at_once_while_some_are_killed() {
    let mut stage = Stage::with(3, &["--max-queue=1000"]);
    let http = stage.http;
    let add_and_remove = move || {
        let (mut added, mut removed) = (0, 0);
        for _ in 0..8 {
            added += usize::from(ask(http, "POST /add", r#"{"n":2}"#).status == 200);
            removed += usize::from(ask(http, "DELETE /rm", r#"{"n":2}"#).status == 200);
        }
        (added, removed)
    };
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(add_and_remove)).collect();
    let mut victims = 0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        stage.look();
        // Who is listed may have been removed a moment later: then there is nobody to be killed.
        let pid = stage.ids().iter().find_map(|id| stage.pids.get(id).copied());
        let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).unwrap()));
        victims += usize::from(pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok()));
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let done: Vec<(usize, usize)> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let (added, removed) = done.iter().fold((0, 0), |(a, r), (added, removed)| (a + added, r + removed));
    protocol::output::show!("{added} added, {removed} removed, {victims} killed");
    assert_eq!(stage.ids().len(), 3 + 2 * added - 2 * removed);
    eventually("as many processes live as are listed", || {
        stage.look();
        let ids = stage.ids();
        let living = stage.pids.iter().filter(|(_, pid)| lives(**pid)).count();
        living == ids.len() && ids.iter().all(|id| stage.pids.contains_key(id))
    });
}
