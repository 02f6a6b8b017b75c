//! The formats in which programs read the statistics, read as strictly as a program would.

use crate::kit::{Lab, Plan, echo};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What HAProxy 2.6.12 of Debian 12 answered to `show stat`, as far as the columns go that it has without TLS and HTTP/2.
const HAPROXY: &str = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,\
weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,\
check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,\
req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,\
ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise,\
agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,\
cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,\
used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,agg_check_status,";

/// The rows of a table of values in the manner of HAProxy, each by column.
fn rows(text: &str) -> Vec<HashMap<&str, String>> {
    let (header, rest) = text.split_once('\n').unwrap();
    let columns: Vec<&str> = header.strip_prefix("# ").unwrap().strip_suffix(',').unwrap().split(',').collect();
    let row = |line| {
        let values = values(line);
        assert_eq!(values.len(), columns.len() + 1, "a comma behind each: {line}");
        assert_eq!(values.last().unwrap(), "");
        columns.iter().copied().zip(values).collect()
    };
    rest.lines().map(row).collect()
}

/// The values of a line (RFC 4180).
fn values(line: &str) -> Vec<String> {
    let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = line.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '"' if quoted && rest.peek() == Some(&'"') => value.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(std::mem::take(&mut value)),
            other => value.push(other),
        }
    }
    assert!(!quoted, "{line}");
    values.push(value);
    values
}

/// A load balancer with an idle server, one that is drained and one that is down, after six requests.
fn lab() -> (Lab, Vec<crate::kit::FakeServer>) {
    let lab = Lab::new(&["--max-connections", "77"]);
    let mut servers = vec![lab.planned(Plan { capacity: 4, ..Plan::new("1") }, echo())];
    let mut client = lab.client();
    (0..6).for_each(|_| client.assert_usable());
    lab.until_counted();
    servers.push(lab.weaker("2", echo()));
    servers.push(lab.weaker("3", echo()));
    servers[2].fall_silent(true);
    lab.until_state("3", "down");
    lab.admin().change("/servers/2/drain", "");
    lab.admin().change("/servers/1/weight", r#"{"weight": 9}"#);
    (lab, servers)
}

#[test]
fn what_reads_haproxys_statistics_reads_these() {
    let (lab, _servers) = lab();
    let text = lab.admin().text("/stats.csv");
    assert_eq!(text.lines().next(), Some(HAPROXY));
    let rows = rows(&text);
    let names: Vec<_> = rows.iter().map(|row| (&row["pxname"][..], &row["svname"][..], &row["type"][..])).collect();
    assert_eq!(
        names,
        [("lab", "FRONTEND", "0"), ("lab", "1", "2"), ("lab", "2", "2"), ("lab", "3", "2"), ("lab", "BACKEND", "1")]
    );
    let all = |row: usize, columns: &[&str]| columns.iter().map(|name| rows[row][name].clone()).collect::<Vec<_>>();
    assert_eq!(all(0, &["status", "slim", "stot", "req_tot", "conn_tot"]), ["OPEN", "77", "1", "6", "1"]);
    assert_eq!(
        all(1, &["status", "stot", "lbtot", "slim", "weight", "scur", "smax"]),
        ["UP", "6", "6", "4", "9", "0", "1"]
    );
    assert_eq!((&rows[2]["status"][..], &rows[3]["status"][..], &rows[4]["status"][..]), ("DRAIN", "DOWN", "UP"));
    assert_eq!(
        all(4, &["algo", "act", "weight", "stot", "qcur", "qmax", "econ"]),
        ["power", "1", "9", "6", "0", "0", "0"]
    );
    assert!(rows[3]["chkfail"].parse::<u64>().unwrap() >= 1 && rows[3]["chkdown"] == "1");
    assert!(rows[3]["last_chk"].contains("its check failed"), "{}", rows[3]["last_chk"]);
    // Whatever HAProxy has as a number is one here, or is left empty as there.
    for row in &rows {
        for name in
            ["qcur", "scur", "smax", "stot", "bin", "bout", "econ", "wretr", "weight", "lastchg", "downtime", "rtime"]
        {
            assert!(row[name].is_empty() || row[name].parse::<u64>().is_ok(), "{name}: {}", row[name]);
        }
    }
}

/// A metric: its type and its samples, by labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: BTreeMap<String, f64>,
}

/// Reads OpenMetrics text (the parts of it that counters, gauges and histograms use), and refuses whatever is not that.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut current, mut seen) = (String::new(), BTreeSet::new());
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let [word, name, value] = comment.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let family = families.entry(name.to_owned()).or_default();
            match word {
                "TYPE" => {
                    assert!(family.kind.is_empty() && family.samples.is_empty(), "twice: {line}");
                    family.kind = value.to_owned();
                }
                "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                "HELP" => assert!(!value.is_empty()),
                _ => panic!("{line}"),
            }
            if name != current {
                assert!(seen.insert(name.to_owned()), "not in one piece: {name}");
                current = name.to_owned();
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').unwrap();
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase()) && value.starts_with('"') && value.ends_with('"'),
                "{line}"
            );
        }
        let family = families.get_mut(&current).unwrap_or_else(|| panic!("no type before {line}"));
        let suffix = name.strip_prefix(&current[..]).unwrap_or_else(|| panic!("{name} among {current}"));
        let suffixes: &[&str] = match &family.kind[..] {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_sum", "_count", "_bucket"],
            kind => panic!("{kind}"),
        };
        assert!(suffixes.contains(&suffix), "{line}");
        let before = family.samples.insert(format!("{suffix}{{{labels}}}"), value);
        assert!(before.is_none(), "twice: {line}");
    }
    families
}

#[test]
fn prometheus_reads_the_metrics() {
    let (lab, _servers) = lab();
    let families = families(&lab.admin().text("/metrics"));
    let value = |name: &str, sample: &str| families[name].samples[sample];
    assert_eq!(value("lab_requests", "_total{pool=\"lab\"}"), 6.0);
    assert_eq!(value("lab_requests_answered", "_total{pool=\"lab\"}"), 6.0);
    assert_eq!((value("lab_servers", "{pool=\"lab\"}"), value("lab_servers_up", "{pool=\"lab\"}")), (3.0, 1.0));
    assert_eq!(value("lab_server_answered", "_total{pool=\"lab\",server=\"1\"}"), 6.0);
    assert_eq!(
        [1, 2, 3].map(|id| value("lab_server_up", &format!("{{pool=\"lab\",server=\"{id}\"}}"))),
        [1.0, 0.0, 0.0]
    );
    assert_eq!(
        [1, 2, 3].map(|id| value("lab_server_ready", &format!("{{pool=\"lab\",server=\"{id}\"}}"))),
        [1.0, 0.0, 1.0]
    );
    assert_eq!(value("lab_server_weight", "{pool=\"lab\",server=\"1\"}"), 9.0);
    let times = &families["lab_answer_seconds"];
    let bucket = |le: &str| times.samples[&format!("_bucket{{le=\"{le}\",pool=\"lab\"}}")];
    assert_eq!((times.samples["_count{pool=\"lab\"}"], bucket("+Inf")), (6.0, 6.0));
    assert!(bucket("10.0") >= bucket("0.001"));
    assert!(families.values().all(|family| !family.samples.is_empty()), "{families:?}");
}

/// The three formats are of one snapshot, so they agree when nothing happens in between.
#[test]
fn all_formats_agree() {
    let (lab, _servers) = lab();
    let (text, metrics) = (lab.admin().text("/stats.csv"), families(&lab.admin().text("/metrics")));
    let (rows, shown) = (rows(&text), lab.admin().json("/servers"));
    let backend = rows.last().unwrap();
    assert_eq!(backend["bin"], shown["pools"][0]["totals"]["bytes_in"].to_string());
    assert_eq!(
        metrics["lab_received_bytes"].samples["_total{pool=\"lab\"}"],
        shown["pools"][0]["totals"]["bytes_in"].as_f64().unwrap()
    );
    for (row, server) in rows[1..4].iter().zip(shown["pools"][0]["servers"].as_array().unwrap()) {
        assert_eq!(row["svname"], server["id"].as_str().unwrap());
        assert_eq!(row["bout"], server["bytes"].to_string());
        let sample = format!("_total{{pool=\"lab\",server=\"{}\"}}", row["svname"]);
        assert_eq!(metrics["lab_server_sent_bytes"].samples[&sample], server["bytes"].as_f64().unwrap());
    }
}

/// The page about it names every metric and every column that is there, and no metric that is not.
#[test]
fn the_page_is_complete() {
    let (lab, _servers) = lab();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/admin.md")).unwrap();
    let words: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let metrics: BTreeSet<String> = families(&lab.admin().text("/metrics")).into_keys().collect();
    let described: BTreeSet<String> = words
        .iter()
        .filter(|word| word.starts_with("lab_") && !word.contains(['[', '(']))
        .map(|word| (*word).to_owned())
        .collect();
    assert_eq!(described, metrics);
    let text = lab.admin().text("/stats.csv");
    for (column, _) in rows(&text).iter().flatten().filter(|(_, value)| !value.is_empty()) {
        assert!(words.contains(column), "{column}");
    }
    for line in lab.admin().text("/").lines().filter(|line| line.starts_with("GET") || line.starts_with("POST")) {
        let path = line.split_whitespace().nth(1).unwrap().replace("REQUEST", "ID");
        assert!(words.contains(&path[..]), "{path}");
    }
}
