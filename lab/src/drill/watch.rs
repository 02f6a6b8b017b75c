//! How soon a server that returns gets requests again, as the load balancer's own list tells it.

use super::strike::Return;
use crate::process::{List, is_up};
use protocol::stop::Stop;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How often the load balancer is asked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it may take to accept.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// Which servers were up, at each look.
#[derive(Debug, Default)]
pub struct Watched {
    looks: Vec<(Instant, Vec<SocketAddr>)>,
}

/// Looks at the list until it is `enough` (thread "watch"). Blocks in the load balancer's answer and between looks.
#[must_use]
pub fn watch(balancer: SocketAddr, enough: &Stop) -> Watched {
    let mut watched = Watched::default();
    let mut list = None;
    let mut last = false;
    loop {
        // While the load balancer is away there is nothing to see.
        list = list.or_else(|| List::connect(balancer, CONNECT_TIME).ok());
        if let Some(servers) = list.as_mut().and_then(|list| list.ask().ok()) {
            let up = servers.iter().filter(|server| is_up(server)).map(|server| server.address).collect();
            watched.looks.push((Instant::now(), up));
        } else {
            list = None;
        }
        if last {
            return watched;
        }
        // One more look after the last return.
        last = enough.wait_timeout(LOOK_EVERY);
    }
}

impl Watched {
    /// The time from each return to the first look that shows the server up, in milliseconds. One that was struck
    /// again before that counts until its next return only.
    #[must_use]
    pub fn recoveries_ms(&self, returns: &[Return]) -> Vec<u64> {
        let recovery = |(at, back): (usize, &Return)| {
            let again = returns[at + 1..].iter().find(|next| next.address == back.address).map(|next| next.at);
            let up = self.looks.iter().find(|(when, up)| *when >= back.at && up.contains(&back.address))?.0;
            (again.is_none_or(|again| up < again)).then(|| up - back.at)
        };
        let all = returns.iter().enumerate().filter_map(recovery);
        all.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_lasts_until_the_first_look_that_shows_the_server_up() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let (one, two) = (SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 2)));
        let looks = vec![(at(0), vec![one, two]), (at(20), vec![two]), (at(120), vec![one, two]), (at(140), vec![one])];
        let back = |address, ms| Return { address, at: at(ms) };
        let watched = Watched { looks };
        assert_eq!(watched.recoveries_ms(&[back(one, 10), back(two, 15)]), [110, 5]);
        assert_eq!(watched.recoveries_ms(&[back(one, 10), back(one, 30)]), [90], "struck again before it was up");
        assert_eq!(watched.recoveries_ms(&[back(two, 130)]), [0; 0], "never seen up");
    }
}
