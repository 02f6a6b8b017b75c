//! Which replicas there should be, and what is to be done for it: rules without a process, a clock or a thread.
//!
//! **The problem.** N replicas, always. Meanwhile one dies, somebody adds two and removes three, a program does not start, all at
//! the same time. Who does each of these in a thread of its own will start one too many, or give one id to two.
//!
//! **The idea.** One list, changed by one step after the other; each step returns what is to be done ([`Act`]). A replica has a
//! place on the list. When its process is lost, the place stays and gets another process, with another id: it is another server, and
//! in the journal nobody should have to guess which of two is meant.
//!
//! **All or nothing.** Replicas that are being added are no part of N before all of one `/add` are in service; if one of
//! them fails before, all of them go again. A request that is refused has changed nothing.
//!
//! **An example.** N = 3: Server 1, 2, 3. Server 2 is killed: its place starts Server 645213. While that is starting `/rep`
//! lists it already, so N and the list agree. `/add` of S5: started beside them; now it is in service, and the list has four.
//! `/rm` of S5: off the list at once, drained, and ended when the last of its requests has its answer.

use super::{
    MAX_REPLICAS,
    names::{self, Ids, name_of},
    order::{Order, Refusal},
    pace,
};
use crate::event::Event;
use std::time::Duration;

/// How long a replica may take from its start until it is in service. It takes some 30 ms.
pub const START_TIME: Duration = Duration::from_secs(10);

/// The name of a process, never used again.
pub type Key = u64;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Start a process under this id.
    Start(Key, String),
    /// Let it finish what it has, then end it.
    Retire(Key),
    /// End it at once.
    Kill(Key),
    /// Tell what happened.
    Tell(Event),
    /// Answer the one who has added some: the list, or why they are not there.
    Answer(Key, Result<Vec<String>, Refusal>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// It is started when the time has come.
    Waiting { until: Duration },
    /// Its process was started.
    Starting { since: Duration },
    /// It gets requests.
    Serving { since: Duration },
}

/// A place for a replica.
#[derive(Clone, Debug)]
struct Place {
    key: Key,
    id: String,
    phase: Phase,
    /// False starts in a row.
    row: u32,
    /// The `/add` that it belongs to, until all of that are in service.
    order: Option<Key>,
    /// Whom it replaces, and since when that one is lost.
    replaces: Option<(String, Duration)>,
}

/// All places.
#[derive(Debug)]
pub struct Roster {
    last: Key,
    places: Vec<Place>,
    /// Processes that are to end and have not ended yet. Their ids are not given out again before.
    leaving: Vec<(Key, String)>,
    random: fastrand::Rng,
}

impl Roster {
    /// So many replicas are to be started.
    #[must_use]
    pub fn begin(n: usize, ids: Ids, random: fastrand::Rng, now: Duration) -> (Self, Vec<Act>) {
        let mut roster = Self { last: 0, places: Vec::new(), leaving: Vec::new(), random };
        let mut acts = Vec::new();
        for number in 1..=n {
            let id = match ids {
                Ids::Sequence => number.to_string(),
                Ids::Random => roster.draw(&|_| false),
            };
            acts.push(roster.place(id, None, now));
        }
        (roster, acts)
    }

    /// The names of the replicas, in the order of their places.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.settled().map(|place| name_of(&place.id)).collect()
    }

    fn settled(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.order.is_none())
    }

    // --------------------------------------------------------------------------------------- more, and fewer

    /// Somebody adds some. `taken` says whether an id is somebody else's. The answer comes later, under the key that is
    /// returned.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn add(
        &mut self,
        order: &Order,
        taken: &dyn Fn(&str) -> bool,
        now: Duration,
    ) -> Result<(Key, Vec<Act>), Refusal> {
        // A process that is ending is still a process.
        let there = self.places.len() + self.leaving.len();
        if there + order.n > MAX_REPLICAS {
            let why = format!("There are {there} replicas, and there may be {MAX_REPLICAS}");
            return Err(Refusal::bad(why));
        }
        if let Some(id) = order.ids.iter().find(|id| self.has(id) || taken(id)) {
            return Err(Refusal::bad(format!("Hostname '{}' is there already", name_of(id))));
        }
        self.last += 1;
        let key = self.last;
        let mut acts = Vec::new();
        for at in 0..order.n {
            let id = order.ids.get(at).cloned().unwrap_or_else(|| self.draw_beside(&order.ids, taken));
            acts.push(self.place(id, Some(key), now));
        }
        Ok((key, acts))
    }

    /// Somebody removes some: those named, and others by chance. Returns who remains.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn remove(&mut self, order: &Order) -> Result<(Vec<String>, Vec<Act>), Refusal> {
        let there = self.settled().count();
        if order.n > there {
            return Err(Refusal::bad(format!("n is {}, and there are {there} replicas", order.n)));
        }
        if let Some(id) = order.ids.iter().find(|id| !self.settled().any(|place| place.id == **id)) {
            return Err(Refusal::bad(format!("Hostname '{}' is no replica", name_of(id))));
        }
        let mut others: Vec<Key> =
            self.settled().filter(|place| !order.ids.contains(&place.id)).map(|place| place.key).collect();
        self.random.shuffle(&mut others);
        others.truncate(order.n - order.ids.len());
        let goes =
            |place: &mut Place| place.order.is_none() && (order.ids.contains(&place.id) || others.contains(&place.key));
        let gone: Vec<Place> = self.places.extract_if(.., goes).collect();
        let mut acts = Vec::new();
        for place in gone {
            acts.push(Act::Tell(Event::ReplicaRemoved { server: place.id.clone() }));
            acts.extend(self.end(place));
        }
        Ok((self.names(), acts))
    }

    /// What ends the process of a place that is no more.
    fn end(&mut self, place: Place) -> Option<Act> {
        let act = match place.phase {
            Phase::Waiting { .. } => return None,
            Phase::Starting { .. } => Act::Kill(place.key),
            Phase::Serving { .. } => Act::Retire(place.key),
        };
        self.leaving.push((place.key, place.id));
        Some(act)
    }

    // ------------------------------------------------------------------------------------------ what happens

    /// This process is in service.
    pub fn serving(&mut self, key: Key, now: Duration) -> Vec<Act> {
        let Some(place) = self.places.iter_mut().find(|place| place.key == key) else { return Vec::new() };
        let Phase::Starting { since } = place.phase else { return Vec::new() };
        place.phase = Phase::Serving { since: now };
        let (server, order) = (place.id.clone(), place.order);
        let mut acts = vec![Act::Tell(Event::ReplicaInService { server, after_ms: ms(now - since) })];
        if let Some((server, lost)) = place.replaces.take() {
            let (by, after_ms) = (place.id.clone(), ms(now - lost));
            acts.push(Act::Tell(Event::ReplicaReplaced { server, by, after_ms }));
        }
        acts.extend(order.and_then(|order| self.settle(order)));
        acts
    }

    /// If all of this `/add` are in service, they belong to the others from now on.
    fn settle(&mut self, order: Key) -> Option<Act> {
        let mut of_it = self.places.iter_mut().filter(|place| place.order == Some(order)).collect::<Vec<_>>();
        if of_it.iter().any(|place| !matches!(place.phase, Phase::Serving { .. })) {
            return None;
        }
        of_it.iter_mut().for_each(|place| place.order = None);
        Some(Act::Answer(order, Ok(self.names())))
    }

    /// This process has ended, or cannot be started, or does not answer.
    pub fn lost(&mut self, key: Key, why: &str, taken: &dyn Fn(&str) -> bool, now: Duration) -> Vec<Act> {
        self.replace(Act::Kill(key), key, why, taken, now)
    }

    /// A person has taken this one out of the pool. It finishes what it has; fewer replicas there are not.
    pub fn removed(&mut self, key: Key, taken: &dyn Fn(&str) -> bool, now: Duration) -> Vec<Act> {
        self.replace(Act::Retire(key), key, "a person has removed it", taken, now)
    }

    /// Ends a process so, and has another one in its place.
    fn replace(&mut self, end: Act, key: Key, why: &str, taken: &dyn Fn(&str) -> bool, now: Duration) -> Vec<Act> {
        let Some(at) = self.places.iter().position(|place| place.key == key) else { return Vec::new() };
        let place = &self.places[at];
        let served = match place.phase {
            Phase::Serving { since } => Some(now - since),
            _ => None,
        };
        let (server, row) = (place.id.clone(), pace::row(place.row, served));
        let (why, pause) = (why.to_owned(), pace::pause(row));
        self.leaving.push((key, server.clone()));
        if let Some(order) = place.order {
            let tell = Event::ReplicaLost { server: server.clone(), why: why.clone(), again_ms: None };
            let refusal = Refusal::unavailable(format!("{} did not come into service: {why}", name_of(&server)));
            let mut acts = vec![Act::Tell(tell), end];
            let others = self.places.extract_if(.., |place| place.order == Some(order)).collect::<Vec<_>>();
            acts.extend(others.into_iter().filter(|place| place.key != key).filter_map(|place| self.end(place)));
            acts.push(Act::Answer(order, Err(refusal)));
            return acts;
        }
        let id = self.draw(taken);
        let place = &mut self.places[at];
        self.last += 1;
        place.replaces.get_or_insert((server.clone(), now));
        (place.key, place.id, place.row) = (self.last, id, row);
        place.phase = Phase::Waiting { until: now + pause };
        let tell = Act::Tell(Event::ReplicaLost { server, why, again_ms: Some(ms(pause)) });
        [vec![tell, end], self.tick(taken, now)].concat()
    }

    /// Whether a process is still to be started, or was and is on its way into service.
    #[must_use]
    pub fn is_starting(&self, key: Key) -> bool {
        self.places.iter().any(|place| place.key == key && matches!(place.phase, Phase::Starting { .. }))
    }

    /// The process has ended, and its id is free.
    pub fn gone(&mut self, key: Key) {
        self.leaving.retain(|(leaving, _)| *leaving != key);
    }

    /// Time has passed: starts what has waited long enough, gives up what was started and does not come.
    pub fn tick(&mut self, taken: &dyn Fn(&str) -> bool, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        for place in &mut self.places {
            if matches!(place.phase, Phase::Waiting { until } if until <= now) {
                place.phase = Phase::Starting { since: now };
                acts.push(Act::Start(place.key, place.id.clone()));
            }
        }
        let is_late = |place: &&Place| matches!(place.phase, Phase::Starting { since } if since + START_TIME <= now);
        let late: Vec<Key> = self.places.iter().filter(is_late).map(|place| place.key).collect();
        let why = format!("it was not in service {} s after its start", START_TIME.as_secs());
        for key in late {
            acts.extend(self.lost(key, &why, taken, now));
        }
        acts
    }

    /// When time will have something to say.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let due = |place: &Place| match place.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Starting { since } => Some(since + START_TIME),
            Phase::Serving { .. } => None,
        };
        self.places.iter().filter_map(due).min()
    }

    // ------------------------------------------------------------------------------------------------ below

    fn place(&mut self, id: String, order: Option<Key>, now: Duration) -> Act {
        self.last += 1;
        let (key, phase) = (self.last, Phase::Starting { since: now });
        self.places.push(Place { key, id: id.clone(), phase, row: 0, order, replaces: None });
        Act::Start(key, id)
    }

    fn has(&self, id: &str) -> bool {
        self.places.iter().any(|place| place.id == id) || self.leaving.iter().any(|(_, leaving)| leaving == id)
    }

    fn draw(&mut self, taken: &dyn Fn(&str) -> bool) -> String {
        self.draw_beside(&[], taken)
    }

    fn draw_beside(&mut self, asked: &[String], taken: &dyn Fn(&str) -> bool) -> String {
        let mut random = self.random.fork();
        names::draw(&mut random, |id| asked.iter().any(|asked| asked == id) || self.has(id) || taken(id))
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
