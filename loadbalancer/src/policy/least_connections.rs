//! `least-connections`: the server that holds the fewest requests.
//!
//! **The problem.** Round robin deals requests out evenly, but requests do not end evenly. Where one takes a
//! millisecond and the next one ten seconds, some server has three long ones while its neighbour has none.
//!
//! **The idea.** Count what each server holds now and give the next request to the one that holds least. That is
//! feedback: a server that is slow, for whatever reason, keeps its requests longer, looks fuller and gets less.
//!
//! **Worked example.** Servers a and b; a needs 1 s for each request, b 0.1 s, and always eleven are in hand. a and b
//! hold five or six each, so that in a second b answers 50 to 60 and a 5 or 6: each its own speed, and nobody told
//! the policy any. When all are idle they take turns: of equals, the one that was chosen longest ago.
//!
//! **What counts.** A request counts from the moment its server was chosen until it is over, also while it waits
//! inside the server's process. There is one queue for the whole pool, before the choice, and nobody waits there
//! while any server has room; so no server has waiting requests of its own to be counted, as in HAProxy, where each
//! server has a queue. With capacity 1 all candidates are idle and this is round robin over them; with unlimited
//! capacity nothing waits in the pool, and what is counted is each server's own backlog.
//!
//! **Weights.** If a person gave weights, requests are counted per weight: with 256 and 128 the first holds twice as
//! many. This is felt under load only: an idle server is as good as any other, whatever its weight.
//!
//! **When to use it, and when it is wrong.** For equal servers and long or uneven requests. A server that fails at once
//! holds nothing and draws everything ("black hole"): failing servers must be taken out, which is the business of
//! `health`. A server that has just come back is idle and draws the whole crowd: hence slow start. Of ten
//! requests a minute it learns nothing, since everybody is idle each time.
//!
//! **Simplified here.** A choice looks at every candidate; HAProxy keeps a tree. LVS has this as `wlc`, and also `sed`,
//! which counts the request to come (active + 1, per weight), so that weights are felt by idle servers too.
//!
//! **Production.** nginx `least_conn`, HAProxy `leastconn`, Envoy `LEAST_REQUEST` (which draws two where weights are
//! equal).
//!
//! **Sources.** The theory is "join the shortest queue": Winston 1977, *Optimality of the shortest line discipline*.

use super::{Candidate, Choice, Circumstances, Name, Policy, weight};

/// The policy `least-connections`. It needs no memory of its own: the pool counts.
#[derive(Debug)]
pub struct LeastConnections;

impl Policy for LeastConnections {
    fn name(&self) -> Name {
        Name::LeastConnections
    }

    fn choose(&mut self, candidates: &[Candidate], _circumstances: &mut Circumstances<'_>) -> Choice {
        // Of several smallest, `min_by_key` takes the first.
        let order = |(_, server): &(usize, &Candidate)| (weight::load(server), server.last_chosen);
        Choice::plain(candidates.iter().enumerate().min_by_key(order).map_or(0, |(at, _)| at))
    }

    /// The requests the server holds, for a full weight.
    fn score(&self, candidate: &Candidate, _circumstances: &Circumstances<'_>) -> Option<f64> {
        Some(weight::shown_load(candidate))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::*, *};

    fn holding(active: &[u32]) -> Vec<Candidate> {
        let mut servers = idle(&vec![100; active.len()]);
        servers.iter_mut().zip(active).for_each(|(server, active)| server.active = *active);
        servers
    }

    #[test]
    fn the_one_that_holds_fewest() {
        assert_eq!(choice(&mut LeastConnections, &holding(&[3, 1, 2])), 1);
        assert_eq!(choice(&mut LeastConnections, &holding(&[3, 2, 0])), 2);
    }

    #[test]
    fn equals_take_turns() {
        assert_eq!(picks(&mut LeastConnections, &mut idle(&[400, 100, 200]), 7), [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn under_load_weights_are_shares() {
        let mut servers = holding(&[0, 0, 0]);
        servers.iter_mut().zip([256, 128, 64]).for_each(|(server, weight)| server.weight = Some(weight));
        for count in 1..=70 {
            let at = choice(&mut LeastConnections, &servers);
            servers[at].active += 1;
            servers[at].last_chosen = count;
        }
        assert_eq!(servers.iter().map(|server| server.active).collect::<Vec<_>>(), [40, 20, 10]);
    }
}
