//! Which flows there are: by client, each until nothing was said in it for a while. Pure.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The flows (`F`) of clients.
#[derive(Debug)]
pub struct Book<F> {
    flows: HashMap<SocketAddr, (F, Instant)>,
    most: usize,
    idle: Duration,
}

impl<F> Book<F> {
    /// Of at most so many, each of which ends when nothing was said for so long.
    #[must_use]
    pub fn new(most: usize, idle: Duration) -> Self {
        Self { flows: HashMap::new(), most, idle }
    }

    /// The flow of this client, in which something is said now.
    pub fn touch(&mut self, client: SocketAddr, now: Instant) -> Option<&F> {
        let (flow, said) = self.flows.get_mut(&client)?;
        *said = (*said).max(now);
        Some(flow)
    }

    /// The flow of this client.
    #[must_use]
    pub fn get(&self, client: SocketAddr) -> Option<&F> {
        self.flows.get(&client).map(|(flow, _)| flow)
    }

    /// Whether another one may begin; if there are too many, those that should be over are taken out.
    pub fn has_room(&mut self, now: Instant) -> bool {
        if self.flows.len() >= self.most {
            self.tidy(now);
        }
        self.flows.len() < self.most
    }

    /// Takes out those in which nothing was said for too long. Nobody else does that for what is in the place of a flow.
    pub fn tidy(&mut self, now: Instant) {
        self.flows.retain(|_, (_, said)| *said + self.idle > now);
    }

    /// A flow begins.
    ///
    /// # Errors
    /// The flow, if there are as many as there may be.
    pub fn enter(&mut self, client: SocketAddr, flow: F, now: Instant) -> Result<(), F> {
        if !self.flows.contains_key(&client) && !self.has_room(now) {
            return Err(flow);
        }
        self.flows.insert(client, (flow, now));
        Ok(())
    }

    /// How long this client's flow may still be silent; zero if it is over, `None` if there is none.
    #[must_use]
    pub fn left(&self, client: SocketAddr, now: Instant) -> Option<Duration> {
        let (_, said) = self.flows.get(&client)?;
        Some((*said + self.idle).saturating_duration_since(now))
    }

    /// This client's flow is over, if it is the one meant.
    pub fn leave(&mut self, client: SocketAddr, is_meant: impl Fn(&F) -> bool) -> Option<F> {
        if self.flows.get(&client).is_some_and(|(flow, _)| is_meant(flow)) {
            return self.flows.remove(&client).map(|(flow, _)| flow);
        }
        None
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_lasts_as_long_as_something_is_said_and_there_are_only_so_many() {
        let (mut book, now) = (Book::new(2, Duration::from_secs(30)), Instant::now());
        let (client, at) = (|port| SocketAddr::from(([127, 0, 0, 1], port)), |s| now + Duration::from_secs(s));
        assert_eq!((book.enter(client(1), 'a', now), book.enter(client(2), 'b', now)), (Ok(()), Ok(())));
        assert_eq!(book.enter(client(3), 'c', now), Err('c'));
        assert_eq!(book.touch(client(1), at(20)), Some(&'a'));
        assert_eq!(
            (book.left(client(1), at(30)), book.left(client(2), at(30))),
            (Some(Duration::from_secs(20)), Some(Duration::ZERO))
        );
        assert_eq!(
            (book.leave(client(2), |flow| *flow == 'x'), book.leave(client(2), |flow| *flow == 'b')),
            (None, Some('b'))
        );
        assert_eq!((book.enter(client(3), 'c', at(30)), book.left(client(2), at(30))), (Ok(()), None));
        assert_eq!((book.get(client(1)), book.get(client(2))), (Some(&'a'), None));
        assert_eq!(
            (book.enter(client(4), 'e', at(49)), book.enter(client(4), 'e', at(50))),
            (Err('e'), Ok(())),
            "in the place of one that is over"
        );
        assert_eq!(book.enter(client(1), 'f', at(50)), Err('f'));
        assert_eq!((book.enter(client(3), 'd', at(50)), book.len()), (Ok(()), 2), "in the place of its own");
        book.tidy(at(79));
        assert_eq!(book.len(), 2);
        book.tidy(at(80));
        assert!(book.is_empty(), "not only when another one wants its place");
    }
}
