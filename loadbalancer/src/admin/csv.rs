//! The statistics as HAProxy writes them (`show stat`), so that whatever reads HAProxy's reads these, too.
//!
//! A header that begins with `# `, then for each frontend its line, one for each of its servers, and one for its backend. All columns of
//! HAProxy 2.6 are there, in their order; those that have no meaning here are empty, as HAProxy leaves them where they have
//! none. Behind every value, also the last one, comes a comma. `docs/reference/admin.md` says what each column counts.
//!
//! Where a meaning differs a little: the unit is a request (HAProxy in TCP mode: a connection). `rtime` and `ttime` are
//! means since the start (HAProxy: of the last 1,024). `weight` is 1 where nobody gave one, whatever a policy makes of that.

use super::fronts::FrontSnapshot;
use crate::pool::{Admin, PoolSnapshot, ServerSnapshot, State};
use std::fmt::{self, Write as _};

/// The columns of HAProxy 2.6, in their order; those behind them belong to single modules of it (TLS, HTTP/2).
pub const COLUMNS: [&str; 103] = [
    "pxname",
    "svname",
    "qcur",
    "qmax",
    "scur",
    "smax",
    "slim",
    "stot",
    "bin",
    "bout",
    "dreq",
    "dresp",
    "ereq",
    "econ",
    "eresp",
    "wretr",
    "wredis",
    "status",
    "weight",
    "act",
    "bck",
    "chkfail",
    "chkdown",
    "lastchg",
    "downtime",
    "qlimit",
    "pid",
    "iid",
    "sid",
    "throttle",
    "lbtot",
    "tracked",
    "type",
    "rate",
    "rate_lim",
    "rate_max",
    "check_status",
    "check_code",
    "check_duration",
    "hrsp_1xx",
    "hrsp_2xx",
    "hrsp_3xx",
    "hrsp_4xx",
    "hrsp_5xx",
    "hrsp_other",
    "hanafail",
    "req_rate",
    "req_rate_max",
    "req_tot",
    "cli_abrt",
    "srv_abrt",
    "comp_in",
    "comp_out",
    "comp_byp",
    "comp_rsp",
    "lastsess",
    "last_chk",
    "last_agt",
    "qtime",
    "ctime",
    "rtime",
    "ttime",
    "agent_status",
    "agent_code",
    "agent_duration",
    "check_desc",
    "agent_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "agent_rise",
    "agent_fall",
    "agent_health",
    "addr",
    "cookie",
    "mode",
    "algo",
    "conn_rate",
    "conn_rate_max",
    "conn_tot",
    "intercepted",
    "dcon",
    "dses",
    "wrew",
    "connect",
    "reuse",
    "cache_lookups",
    "cache_hits",
    "srv_icur",
    "src_ilim",
    "qtime_max",
    "ctime_max",
    "rtime_max",
    "ttime_max",
    "eint",
    "idle_conn_cur",
    "safe_conn_cur",
    "used_conn_cur",
    "need_conn_est",
    "uweight",
    "agg_server_status",
    "agg_server_check_status",
    "agg_check_status",
];

/// A line: names of columns, and what they have.
type Line = Vec<(&'static str, String)>;

/// Makes a line out of names and what they have.
macro_rules! line {
    ($($name:literal: $value:expr,)*) => { vec![$(($name, $value.to_string())),*] };
}

/// All lines.
#[must_use]
pub fn csv(fronts: &[FrontSnapshot]) -> String {
    let mut text = format!("# {},\n", COLUMNS.join(","));
    for (at, front) in fronts.iter().enumerate() {
        let servers = front.pool.servers.iter().enumerate().map(|(at, server)| server_line(at + 1, server));
        let lines = std::iter::once(frontend_line(front)).chain(servers).chain([backend_line(&front.pool)]);
        for mut line in lines {
            // The name of a section `listen` of HAProxy is that of its frontend and of its backend.
            let mode = if front.name == "http" { "http" } else { "tcp" };
            line.extend(line! { "pxname": front.name, "pid": 1, "iid": at + 2, "mode": mode, });
            push_line(&mut text, &line);
        }
    }
    text
}

fn push_line(text: &mut String, line: &Line) {
    for column in COLUMNS {
        let value = line.iter().find(|(name, _)| *name == column).map_or("", |(_, value)| value);
        // Writing into memory cannot fail.
        let _written = write!(text, "{},", Field(value));
    }
    text.push('\n');
}

/// A value, in quotes where it has characters that separate values.
struct Field<'a>(&'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains([',', '"', '\n', '\r']) {
            return write!(f, "\"{}\"", self.0.replace('"', "\"\"").replace(['\n', '\r'], " "));
        }
        f.write_str(self.0)
    }
}

fn frontend_line(front: &FrontSnapshot) -> Line {
    let all = &front.pool.totals;
    line! {
        "svname": "FRONTEND",
        "scur": all.clients, "smax": all.most_clients, "slim": front.max_clients, "stot": all.connections,
        "bin": all.bytes_in, "bout": all.bytes_out, "dreq": 0, "dresp": 0, "ereq": all.malformed + all.client_errors,
        "status": "OPEN", "sid": 0, "type": 0,
        "req_tot": all.requests, "conn_tot": all.connections, "dcon": all.refused, "dses": 0,
    }
}

fn server_line(sid: usize, server: &ServerSnapshot) -> Line {
    let weight = server.weight.unwrap_or(1);
    let mut line = line! {
        "svname": server.id,
        "scur": server.active, "smax": server.most_active, "stot": server.chosen,
        "bin": server.bytes_in, "bout": server.bytes, "dresp": 0,
        "econ": server.connect_errors, "eresp": server.failed,
        "wretr": server.retries, "wredis": server.redispatches,
        "status": status_of(server), "weight": weight, "uweight": weight, "act": 1, "bck": 0,
        "chkfail": server.probes_failed, "chkdown": server.downs,
        "lastchg": whole(server.since_s), "downtime": whole(server.downtime_s),
        "sid": sid, "lbtot": server.chosen, "type": 2,
        "cli_abrt": server.cancelled, "addr": server.address,
    };
    line.extend(server.capacity.map(|capacity| ("slim", capacity.to_string())));
    line.extend(server.reason.as_ref().map(|why| ("last_chk", why.clone())));
    line.extend(
        server.mean_ms.map(whole).into_iter().flat_map(|ms| [("rtime", ms.to_string()), ("ttime", ms.to_string())]),
    );
    line
}

fn backend_line(pool: &PoolSnapshot) -> Line {
    let all = &pool.totals;
    let up = || pool.servers.iter().filter(|server| is_up(server));
    let weight: u32 = up().map(|server| server.weight.unwrap_or(1)).sum();
    let sum = |count: fn(&ServerSnapshot) -> u64| pool.servers.iter().map(count).sum::<u64>();
    let mut line = line! {
        "svname": "BACKEND",
        "qcur": pool.waiting, "qmax": pool.most_waiting,
        "scur": all.in_hand, "smax": all.most_in_hand, "stot": all.requests,
        "bin": all.bytes_in, "bout": all.bytes_out, "dreq": 0, "dresp": 0,
        "econ": sum(|server| server.connect_errors), "eresp": sum(|server| server.failed),
        "wretr": all.retries, "wredis": all.redispatches,
        "status": if up().next().is_some() { "UP" } else { "DOWN" }, "weight": weight, "uweight": weight,
        "act": up().count(), "bck": 0, "sid": 0, "lbtot": sum(|server| server.chosen), "type": 1,
        "cli_abrt": all.cancelled, "algo": pool.policy,
    };
    if let Some(ms) = all.times.mean_ms() {
        let waited = all.waited_s * 1e3 / all.times.count().max(1) as f64;
        line.extend([("qtime", whole(waited).to_string()), ("ttime", whole(ms).to_string())]);
    }
    line
}

/// Whether it takes requests, now or when it has room.
pub(super) fn is_up(server: &ServerSnapshot) -> bool {
    server.state == State::Up && server.admin == Admin::Ready && !server.ejected
}

/// HAProxy's words. NOLB: it lives, and gets nothing new for a reason of its own.
fn status_of(server: &ServerSnapshot) -> &'static str {
    match (server.state, server.admin) {
        (_, Admin::Maintenance) => "MAINT",
        (State::Down, _) => "DOWN",
        (_, Admin::Drain) | (State::Draining, _) => "DRAIN",
        _ if is_up(server) => "UP",
        _ => "NOLB",
    }
}

/// HAProxy's seconds and milliseconds are whole.
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_separates_values_is_quoted() {
        let shown = |text| Field(text).to_string();
        assert_eq!(shown("plain; words"), "plain; words");
        assert_eq!(shown("a, \"b\"\nc"), "\"a, \"\"b\"\" c\"");
    }

    #[test]
    fn no_column_is_twice_there() {
        let mut sorted = COLUMNS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), COLUMNS.len());
    }
}
