use super::*;
use clap::{CommandFactory, Parser};
use std::net::Ipv6Addr;

#[derive(Parser, Debug)]
#[command(name = "program")]
struct All {
    #[command(flatten)]
    registry: RegistryFlag,
    #[command(flatten)]
    database: DatabaseFlag,
    #[command(flatten)]
    files: FilesFlag,
    #[command(flatten)]
    received: ReceivedFlag,
    #[command(flatten)]
    listen: ListenFlag,
    #[command(flatten)]
    balancer: BalancerFlag,
    #[command(flatten)]
    capacity: CapacityFlag,
    #[command(flatten)]
    queue_timeout: QueueTimeoutFlag,
    #[command(flatten)]
    request_timeout: RequestTimeoutFlag,
    #[command(flatten)]
    connect_timeout: ConnectTimeoutFlag,
    #[command(flatten)]
    quiet: QuietFlag,
    #[command(flatten)]
    lifeline: LifelineFlag,
}

fn args(line: &str) -> Vec<OsString> {
    std::iter::once("program").chain(line.split_whitespace()).map(OsString::from).collect()
}

fn refusal(line: &str) -> String {
    All::try_parse_from(args(line)).unwrap_err().to_string()
}

#[test]
fn all_flags_fit_together_and_have_their_defaults() {
    All::command().debug_assert();
    let all = All::try_parse_from(args("")).unwrap();
    let places = Places { root: "/lab".into(), found: true };
    assert_eq!(all.registry.path(&places), places.registry());
    assert_eq!(all.database.path(&places), places.database());
    assert_eq!(all.files.path(&places), places.files());
    assert_eq!(all.received.path(&places), places.received());
    assert_eq!(all.listen.listen.or_port(5050), "127.0.0.1:5050".parse().unwrap());
    assert_eq!(all.balancer.balancer, "127.0.0.1:5050".parse().unwrap());
    assert_eq!(all.capacity.capacity, None);
    assert_eq!(all.queue_timeout.queue_timeout, Duration::from_secs(30));
    assert_eq!(all.request_timeout.request_timeout, Duration::from_secs(60));
    assert_eq!(all.connect_timeout.connect_timeout, Duration::from_secs(2));
    assert!(!all.quiet.quiet && all.lifeline.lifeline.is_none());
}

#[test]
fn a_given_path_is_taken_as_it_is() {
    let all = All::try_parse_from(args("--registry ../r.json --received in --listen :0 --capacity 4")).unwrap();
    let places = Places { root: "/lab".into(), found: true };
    assert_eq!(all.registry.path(&places), PathBuf::from("../r.json"));
    assert_eq!(all.received.path(&places), PathBuf::from("in"));
    assert_eq!(all.listen.listen.or_port(5050).port(), 0);
    assert_eq!(all.capacity.capacity, Some(4));
}

#[test]
fn a_capacity_is_a_number_or_unlimited() {
    for (text, capacity) in [("1", 1), ("100000", MAX_CAPACITY), ("unlimited", UNLIMITED)] {
        assert_eq!(parse_capacity(text), Ok(capacity));
        assert_eq!(capacity_in_words(capacity), text);
    }
}

#[test]
fn refusals_name_the_flag_and_the_reason() {
    for (line, expected) in [
        ("--queue-timeout -2s", "'-2s' is negative"),
        ("--request-timeout 0", "A limit of no time"),
        ("--connect-timeout soon", "'soon' is not a time"),
        ("--capacity 0", "from 1 to 100000, or 'unlimited'"),
        ("--capacity 100001", "from 1 to 100000, or 'unlimited'"),
        ("--capacity -1", "'-1' is not a number of requests"),
        ("--listen localhost", "'localhost' is not an address to listen on"),
        ("--balancer 127.0.0.1:0", "Port 0 is nobody's"),
        ("--lifeline 127.0.0.1:1", "A lifeline is IP:PORT/TOKEN"),
    ] {
        let refusal = refusal(line);
        assert!(refusal.contains(expected) && refusal.contains("--"), "{line}: {refusal}");
    }
}

#[test]
fn help_gives_0_and_a_wrong_command_line_2() {
    let code = |line| format!("{:?}", run_parsed::<All>(args(line), |_| ExitCode::from(7)));
    assert_eq!(code("--help"), format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(code("--hepl"), format!("{:?}", ExitCode::from(2)));
    assert_eq!(code("--quiet"), format!("{:?}", ExitCode::from(7)));
}

#[test]
fn durations() {
    for (text, ms) in [
        ("2s", 2_000),
        ("500ms", 500),
        ("1m", 60_000),
        ("1h", 3_600_000),
        ("1.5", 1_500),
        (".5", 500),
        ("0", 0),
        ("2 s", 2_000),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for text in ["", ".", "s", "1.2.3", "1e5", "nan", "inf", "NaN", "infinity", "2d", "1s1", "0x1", "½", "\u{661}"] {
        assert!(parse_duration(text).unwrap_err().contains("is not a time"), "{text}");
    }
    for text in ["-1", "-0.5s", "-inf"] {
        assert!(parse_duration(text).unwrap_err().contains("is negative"), "{text}");
    }
    for text in ["99999999999", "99999999h", &"9".repeat(400)] {
        assert!(parse_duration(text).unwrap_err().contains("longer than a year"), "{text}");
    }
}

#[test]
fn processing_times() {
    for (text, seconds) in [("0", 0.0), ("0.1", 0.1), ("10", 10.0), ("3600", 3600.0), ("250ms", 0.25)] {
        assert_eq!(parse_processing_time(text), Ok(seconds));
    }
    for text in ["3601", "-1", "fast", "nan", "61m"] {
        assert!(parse_processing_time(text).is_err(), "{text}");
    }
}

#[test]
fn ids() {
    for text in ["1", "server-2", "a.b_c", &"x".repeat(64)] {
        assert_eq!(parse_server_id(text), Ok(text.to_owned()));
    }
    for text in ["", "a b", "ä", "a/b", "1\n", &"x".repeat(65)] {
        assert!(parse_server_id(text).is_err(), "{text:?}");
    }
    assert!(parse_client_id("Zoë 1").is_ok() && parse_client_id(&"ä".repeat(64)).is_ok());
    assert!(parse_client_id("").is_err() && parse_client_id("\u{1b}[2J").is_err());
}

#[test]
fn addresses_to_listen_on() {
    let v6 = Ipv6Addr::LOCALHOST.into();
    assert_eq!(parse_listen("[::1]:5050"), Ok(Listen { ip: v6, port: Some(5050) }));
    assert_eq!(parse_listen("::1"), Ok(Listen { ip: v6, port: None }));
    assert_eq!(parse_listen("[::1]"), Ok(Listen { ip: v6, port: None }));
    assert_eq!(parse_listen("0.0.0.0:0").map(|listen| listen.or_port(1).port()), Ok(0));
    assert_eq!(parse_listen(":80"), Ok(Listen { port: Some(80), ..Listen::default() }));
    for text in ["", ":", "1.2.3.4:", "1.2.3.4:65536", "1.2.3", "::1:x", "host:1", "[1.2.3.4", "127.0.0.1:-1"] {
        assert!(parse_listen(text).is_err(), "{text}");
    }
}

#[test]
fn addresses_of_the_load_balancer() {
    let local = |port| Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(parse_balancer("127.0.0.1"), local(5050));
    assert_eq!(parse_balancer("localhost:7"), local(7));
    assert_eq!((parse_join("127.0.0.1"), parse_join("localhost:7")), (local(5051), local(7)));
    assert_eq!(parse_balancer(":7"), local(7));
    assert_eq!(parse_balancer("[::1]:7").map(|address| address.is_ipv6()), Ok(true));
    for text in ["localhost:", "localhost:x", "a b", "[::1", "127.0.0.1:0", "http://127.0.0.1:5050"] {
        assert!(parse_balancer(text).is_err(), "{text}");
    }
}
