//! A client stays at its server by a cookie, as long as that server is there.

use super::kit::{Front, Origin, Said, hello};

fn ask(front: &Front, cookie: Option<&str>) -> Said {
    let cookie = cookie.map(|cookie| format!("Cookie: other=1; {cookie}\r\n")).unwrap_or_default();
    front.caller().say(format!("GET / HTTP/1.1\r\nHost: a\r\n{cookie}\r\n")).hear()
}

#[test]
fn requests_with_the_cookie_go_to_the_server_that_set_it() {
    let origins = ["1", "2", "3"].map(|id| Origin::start(id, hello));
    let front = Front::new(&["--http-sticky", "lab"]);
    let servers = [0, 1, 2].map(|at| front.join(&origins[at]));
    let first = ask(&front, None);
    let set = first.field("set-cookie").unwrap().to_owned();
    let own = origins.iter().position(|origin| !origin.heard().is_empty()).unwrap();
    assert!(set.starts_with("lab=") && set.contains("HttpOnly") && !set.contains("127.0.0.1"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    for _ in 0..9 {
        assert_eq!(ask(&front, Some(&cookie)).field("set-cookie"), None);
    }
    assert_eq!(origins[own].heard().len(), 10);
    // It is down: another one takes over, and sets the cookie anew.
    origins[own].kill();
    front.pool.down(&servers[own], "the test says so");
    let other = ask(&front, Some(&cookie));
    assert_eq!(other.text(), "hello");
    assert_ne!(other.field("set-cookie").unwrap().split(';').next(), Some(&*cookie));
}

#[test]
fn a_cookie_that_names_nobody_is_no_cookie() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &["--http-sticky", "lab"]);
    assert!(ask(&front, Some("lab=0123456789abcdef0123456789abcdef")).field("set-cookie").is_some());
}
