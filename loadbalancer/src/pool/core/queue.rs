//! The queue: who comes next when a server becomes free?
//!
//! **The problem.** First come, first served is fair between requests, not between clients: one client that sends a
//! thousand requests at once makes everybody behind it wait for all of them.
//!
//! **The idea.** Each client has a queue of its own, and the clients take turns: the one that has been served goes to the
//! end of the line of clients. Within a client it is first come, first served. (Round-robin fair queueing; J. Nagle,
//! RFC 970, 1985.) A request whose server was lost has waited its turn already and comes before all others.
//!
//! **Worked example.** Client A sends three requests, then B one, then C one. First come, first served: A A A B C. In
//! turns: A B C A A.
//!
//! **When it is wrong.** Requests that cost differently: a client of long requests gets more of the servers' time than
//! one of short ones. (Deficit round robin counts the cost; here nobody knows it beforehand.) And a client that calls
//! itself by a thousand names has a thousand turns.

use super::Wanted;
use std::collections::VecDeque;

/// Names a waiting request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    wanted: Wanted,
}

/// Those who wait. None of the clients' queues is ever empty.
#[derive(Debug, Default)]
pub struct Queue {
    /// Requests that have lost a server, in the order of their coming back.
    returned: VecDeque<Waiting>,
    /// The clients in the order of their turns, each with its requests.
    clients: VecDeque<(u64, VecDeque<Waiting>)>,
    len: usize,
}

impl Queue {
    /// How many requests wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a request in its place. Returns how many will be served before it, if nobody else comes or leaves.
    pub fn push(&mut self, ticket: Ticket, wanted: Wanted) -> usize {
        self.len += 1;
        let (client, waiting) = (wanted.client, Waiting { ticket, wanted });
        if !waiting.wanted.avoid.is_empty() {
            self.returned.push_back(waiting);
            return self.returned.len() - 1;
        }
        let at = self.clients.iter().position(|(other, _)| *other == client).unwrap_or_else(|| {
            self.clients.push_back((client, VecDeque::new()));
            self.clients.len() - 1
        });
        let turn = self.clients[at].1.len();
        self.clients[at].1.push_back(waiting);
        // Before its turn number `turn`, each client ahead in the line has had one more turn than those behind it.
        let before =
            |(place, (_, queue)): (usize, &(u64, VecDeque<Waiting>))| queue.len().min(turn + usize::from(place < at));
        self.returned.len() + self.clients.iter().enumerate().map(before).sum::<usize>()
    }

    /// Goes through those whose turn it is, in order, until one of them can be served with something that `try_it`
    /// finds for it, and takes it out.
    pub fn serve<T>(&mut self, mut try_it: impl FnMut(&Wanted) -> Option<T>) -> Option<(Ticket, T)> {
        for at in 0..self.returned.len() {
            if let Some(found) = try_it(&self.returned[at].wanted) {
                self.len -= 1;
                return self.returned.remove(at).map(|waiting| (waiting.ticket, found));
            }
        }
        for at in 0..self.clients.len() {
            let Some(found) = self.clients[at].1.front().and_then(|waiting| try_it(&waiting.wanted)) else { continue };
            let (client, mut queue) = self.clients.remove(at)?;
            let first = queue.pop_front()?;
            if !queue.is_empty() {
                self.clients.push_back((client, queue));
            }
            self.len -= 1;
            return Some((first.ticket, found));
        }
        None
    }

    /// A request gives up. False if it is not waiting (any more).
    pub fn remove(&mut self, ticket: Ticket) -> bool {
        let before = self.len;
        self.returned.retain(|waiting| waiting.ticket != ticket);
        self.clients.iter_mut().for_each(|(_, queue)| queue.retain(|waiting| waiting.ticket != ticket));
        self.clients.retain(|(_, queue)| !queue.is_empty());
        self.len = self.returned.len() + self.clients.iter().map(|(_, queue)| queue.len()).sum::<usize>();
        self.len < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ServerKey;

    /// A queue in which these clients have asked, in this order; tickets are 1, 2, 3 …
    fn queue(clients: &[u64]) -> (Queue, Vec<usize>) {
        let mut queue = Queue::default();
        let ask = |(at, client): (usize, &u64)| {
            queue.push(Ticket(at as u64 + 1), Wanted { client: *client, ..Wanted::default() })
        };
        let ahead = clients.iter().enumerate().map(ask).collect();
        (queue, ahead)
    }

    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.serve(|_| Some(()))).map(|(ticket, ())| ticket.0).collect()
    }

    #[test]
    fn clients_take_turns_and_each_keeps_its_own_order() {
        let (mut queue, ahead) = queue(&[7, 7, 7, 8, 9]);
        assert_eq!(ahead, [0, 1, 2, 1, 2], "the fourth is second in line, because the first client waits for its turn");
        assert_eq!(order(&mut queue), [1, 4, 5, 2, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_has_lost_a_server_comes_first() {
        let (mut queue, _) = queue(&[7, 8]);
        let lost = Wanted { avoid: vec![ServerKey(1)], client: 8, ..Wanted::default() };
        assert_eq!(queue.push(Ticket(3), lost.clone()), 0);
        assert_eq!(queue.push(Ticket(4), lost), 1);
        assert_eq!(order(&mut queue), [3, 4, 1, 2]);
    }

    #[test]
    fn who_cannot_be_served_lets_the_next_one_pass_and_keeps_its_place() {
        let (mut queue, _) = queue(&[7, 8]);
        assert_eq!(queue.serve(|wanted| (wanted.client == 8).then_some(())), Some((Ticket(2), ())));
        assert_eq!((order(&mut queue), queue.len()), (vec![1], 0));
    }

    #[test]
    fn who_gives_up_is_gone_and_its_client_with_it() {
        let (mut queue, _) = queue(&[7, 8, 8]);
        assert!(queue.remove(Ticket(1)) && !queue.remove(Ticket(1)));
        assert_eq!(queue.push(Ticket(4), Wanted { client: 7, ..Wanted::default() }), 1, "its client is the last now");
        assert_eq!(order(&mut queue), [2, 4, 3]);
    }
}
