//! Who should be in the pool, according to whom: rules without a socket, a lock or a thread.
//!
//! **The problem.** Servers come from three places: a file that says all of its servers at once, connections that each say
//! one server as long as they last, and a person who adds and removes. Two of them may name the same id. Somebody has to
//! decide, always in the same way.
//!
//! **The rules.**
//!
//! 1. An id and an address belong to one [`Claim`] at a time.
//! 2. Who lives keeps them: a claim to what a living server has is refused. A server in the file that does not answer gives
//!    way, and so does one that a person has added; for good only if the newcomer is believed. A lease does not: it *is* a sign of life, and ends by itself.
//! 3. While a joined or added server has an id, the file's entry of it is passed over. It counts again afterwards.
//! 4. What a person has removed stays away, as that process: its entry in the file and its next attempts to join do not
//!    count, because a server puts its entry back, and joins again. The next process with the id, or the same one when a
//!    person adds it, is welcome.
//!
//! **An example.** The file names servers 1 and 2. Server 3 joins: three claims. Server 1 joins, too, from elsewhere: refused
//! while the file's server 1 answers. That one is killed; the newcomer tries again, and is in. It leaves; if the entry is
//! still in the file, the file's server 1 is asked again.

use protocol::registry::Entry;
use serde::Serialize;
use std::net::SocketAddr;

/// How many removed processes are remembered; the oldest are forgotten first.
const MAX_REMOVED: usize = 1_000;

/// Who says that a server should be in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Its entry stands in `servers.json`.
    File,
    /// It has joined over the network, and its lease holds.
    Joined,
    /// A person has added it.
    Added,
    /// The load balancer has started it itself, and its process lives.
    Replica,
}

/// A server that should be in the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The name of this claim, never used again.
    pub number: u64,
    /// According to whom.
    pub source: Source,
    /// Who and where it is.
    pub entry: Entry,
    /// Which of its lives it is, if it has said so.
    pub incarnation: Option<u64>,
}

impl Claim {
    /// Whether both say the same of the same process.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.source, self.incarnation) == (other.source, other.incarnation) && self.entry.is_same_process(&other.entry)
    }

    /// Whether both want an id or an address that only one can have.
    fn clashes_with(&self, entry: &Entry) -> bool {
        self.entry.id == entry.id || place(self.entry.address) == place(entry.address)
    }
}

/// An address, whichever way it is written.
fn place(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Why a claim is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Denied {
    /// Somebody who lives has the id or the address.
    Taken(Box<Claim>),
    /// A person has removed this process.
    Removed,
}

/// All claims.
#[derive(Debug, Default)]
pub struct Roll {
    last: u64,
    file: Vec<Claim>,
    others: Vec<Claim>,
    removed: Vec<Entry>,
    /// What gave way to whom, as long as it is not sure that the newcomer stays.
    displaced: Vec<Displaced>,
}

/// What gave way to a newcomer.
#[derive(Debug)]
struct Displaced {
    /// The number of the newcomer's claim.
    by: u64,
    claims: Vec<Claim>,
    /// What a person had removed, and has added again.
    removed: Vec<Entry>,
}

impl Roll {
    /// The file has been read, and says this.
    pub fn file_says(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let before = std::mem::take(&mut self.file);
        for entry in entries {
            let known = before.iter().find(|claim| claim.entry.is_same_process(&entry));
            let number = known.map_or_else(|| self.next_number(), |claim| claim.number);
            self.file.push(Claim { number, source: Source::File, entry, incarnation: None });
        }
    }

    /// Somebody claims that this server should be in the pool. `lives` says whether the server of a claim does. The number
    /// of the new claim is returned; claims that give way to it are gone once it [stays](Self::stays).
    ///
    /// # Errors
    /// If it is refused; then nothing has changed.
    pub fn add(
        &mut self,
        source: Source,
        entry: Entry,
        incarnation: Option<u64>,
        lives: impl Fn(&Claim) -> bool,
    ) -> Result<u64, Denied> {
        if source == Source::Joined && self.removed.iter().any(|gone| gone.is_same_process(&entry)) {
            return Err(Denied::Removed);
        }
        let new = Claim { number: self.last + 1, source, entry, incarnation };
        let keeps = |claim: &&Claim| {
            let lease = matches!(claim.source, Source::Joined | Source::Replica);
            claim.clashes_with(&new.entry) && !claim.is_same(&new) && (lease || lives(claim))
        };
        if let Some(keeper) = self.wanted().find(keeps) {
            return Err(Denied::Taken(Box::new(keeper.clone())));
        }
        self.last += 1;
        let claims = self.others.extract_if(.., |claim| claim.clashes_with(&new.entry)).collect();
        let removed = self.removed.extract_if(.., |gone| gone.is_same_process(&new.entry)).collect();
        self.displaced.push(Displaced { by: self.last, claims, removed });
        self.others.push(new);
        Ok(self.last)
    }

    /// The server of this claim is believed: what gave way to it is gone for good.
    pub fn stays(&mut self, number: u64) {
        self.displaced.retain(|displaced| displaced.by != number);
    }

    /// The one who made this claim takes it back. What gave way to it, and need not have, returns. Says whether anything
    /// has changed.
    pub fn take_back(&mut self, number: u64) -> bool {
        let before = self.others.len();
        self.others.retain(|claim| claim.number != number);
        let mut changed = self.others.len() < before;
        self.displaced.iter_mut().for_each(|displaced| displaced.claims.retain(|claim| claim.number != number));
        let returning: Vec<_> = self.displaced.extract_if(.., |displaced| displaced.by == number).collect();
        for Displaced { claims, removed, .. } in returning {
            for claim in claims {
                if !self.others.iter().any(|other| other.clashes_with(&claim.entry)) {
                    self.others.push(claim);
                    changed = true;
                }
            }
            removed.into_iter().for_each(|gone| self.keep_away(gone));
        }
        changed
    }

    fn keep_away(&mut self, gone: Entry) {
        if self.removed.len() == MAX_REMOVED {
            self.removed.remove(0);
        }
        self.removed.push(gone);
    }

    /// A person removes the server of this id.
    pub fn remove(&mut self, id: &str) -> Option<Claim> {
        let claim = self.wanted().find(|claim| claim.entry.id == id)?.clone();
        // Nor is another one of this id wanted that has given way to it.
        let of_its_id = |displaced: &mut Displaced| displaced.claims.retain(|other| other.entry.id != id);
        self.displaced.iter_mut().for_each(of_its_id);
        self.take_back(claim.number);
        self.keep_away(claim.entry.clone());
        Some(claim)
    }

    /// The claims that count: no id and no address twice.
    pub fn wanted(&self) -> impl Iterator<Item = &Claim> {
        self.others.iter().chain(self.file.iter().filter(|claim| !self.is_passed_over(claim)))
    }

    /// The entries of the file that do not count because somebody else has the id or the address.
    pub fn passed_over(&self) -> impl Iterator<Item = (&Claim, &Claim)> {
        let holder = |claim: &Claim| self.others.iter().find(|other| other.clashes_with(&claim.entry));
        self.file.iter().filter_map(move |claim| holder(claim).map(|holder| (claim, holder)))
    }

    fn is_passed_over(&self, claim: &Claim) -> bool {
        self.others.iter().any(|other| other.clashes_with(&claim.entry))
            || self.removed.iter().any(|gone| gone.is_same_process(&claim.entry))
    }

    fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::registry::LAB;

    fn entry(id: &str, port: u16) -> Entry {
        let (address, control) = (([127, 0, 0, 1], port).into(), ([127, 0, 0, 1], port + 1000).into());
        Entry { id: id.into(), address, service: LAB.into(), processing_time: 0.0, capacity: 1, control, pid: None }
    }

    /// The claims that count, as `id:port source`.
    fn wanted(roll: &Roll) -> Vec<String> {
        let mut list: Vec<String> = roll
            .wanted()
            .map(|claim| format!("{}:{} {:?}", claim.entry.id, claim.entry.address.port(), claim.source))
            .collect();
        list.sort();
        list
    }

    const ALL_LIVE: fn(&Claim) -> bool = |_| true;
    const ALL_DEAD: fn(&Claim) -> bool = |_| false;

    #[test]
    fn three_sources_make_one_list() {
        let mut roll = Roll::default();
        roll.file_says([entry("1", 1), entry("2", 2)]);
        roll.add(Source::Joined, entry("3", 3), Some(7), ALL_LIVE).unwrap();
        roll.add(Source::Added, entry("4", 4), None, ALL_LIVE).unwrap();
        assert_eq!(wanted(&roll), ["1:1 File", "2:2 File", "3:3 Joined", "4:4 Added"]);
        roll.file_says([entry("2", 2)]);
        assert_eq!(wanted(&roll), ["2:2 File", "3:3 Joined", "4:4 Added"]);
    }

    #[test]
    fn who_lives_keeps_id_and_address() {
        let mut roll = Roll::default();
        roll.file_says([entry("1", 1)]);
        for newcomer in [entry("1", 9), entry("9", 1)] {
            let denied = roll.add(Source::Joined, newcomer.clone(), Some(7), ALL_LIVE).unwrap_err();
            assert!(matches!(denied, Denied::Taken(keeper) if keeper.entry == entry("1", 1)));
            assert_eq!(wanted(&roll), ["1:1 File"], "nothing changed");
        }
        let number = roll.add(Source::Joined, entry("1", 9), Some(7), ALL_DEAD).unwrap();
        assert_eq!(wanted(&roll), ["1:9 Joined"]);
        assert_eq!(roll.passed_over().count(), 1);
        assert!(roll.take_back(number) && !roll.take_back(number));
        assert_eq!(wanted(&roll), ["1:1 File"], "the entry counts again");
    }

    #[test]
    fn a_lease_gives_way_to_the_same_process_only() {
        let mut roll = Roll::default();
        let old = roll.add(Source::Joined, entry("1", 1), Some(7), ALL_DEAD).unwrap();
        for (entry, incarnation) in [(entry("1", 1), 8), (entry("1", 2), 7)] {
            assert!(roll.add(Source::Joined, entry.clone(), Some(incarnation), ALL_DEAD).is_err(), "{entry:?}");
        }
        assert!(roll.add(Source::Added, entry("1", 1), None, ALL_DEAD).is_err());
        let new = roll.add(Source::Joined, entry("1", 1), Some(7), ALL_LIVE).unwrap();
        assert_eq!(wanted(&roll), ["1:1 Joined"]);
        assert!(!roll.take_back(old), "the old connection ends no new lease");
        assert!(roll.take_back(new));
    }

    #[test]
    fn what_was_added_gives_way_when_it_is_dead() {
        let mut roll = Roll::default();
        roll.add(Source::Added, entry("1", 1), None, ALL_LIVE).unwrap();
        assert!(roll.add(Source::Joined, entry("1", 2), Some(7), ALL_LIVE).is_err());
        roll.add(Source::Joined, entry("1", 2), Some(7), ALL_DEAD).unwrap();
        assert_eq!(wanted(&roll), ["1:2 Joined"]);
    }

    #[test]
    fn what_gave_way_returns_if_the_newcomer_does_not_stay() {
        let mut roll = Roll::default();
        roll.add(Source::Added, entry("1", 1), None, ALL_LIVE).unwrap();
        roll.add(Source::Added, entry("2", 2), None, ALL_LIVE).unwrap();
        let newcomer = roll.add(Source::Joined, entry("1", 2), Some(7), ALL_DEAD).unwrap();
        assert_eq!(wanted(&roll), ["1:2 Joined"]);
        assert!(roll.take_back(newcomer));
        assert_eq!(wanted(&roll), ["1:1 Added", "2:2 Added"]);
        let newcomer = roll.add(Source::Joined, entry("1", 2), Some(8), ALL_DEAD).unwrap();
        roll.stays(newcomer);
        assert!(roll.take_back(newcomer));
        assert_eq!(wanted(&roll), [""; 0], "whoever was believed has replaced them for good");
    }

    #[test]
    fn what_gave_way_does_not_return_to_what_is_somebody_elses_or_was_given_up() {
        let mut roll = Roll::default();
        let old = roll.add(Source::Joined, entry("1", 1), Some(7), ALL_LIVE).unwrap();
        let new = roll.add(Source::Joined, entry("1", 1), Some(7), ALL_LIVE).unwrap();
        assert!(!roll.take_back(old) && roll.take_back(new), "the old connection has ended meanwhile");
        assert_eq!(wanted(&roll), [""; 0]);
        roll.add(Source::Added, entry("2", 2), None, ALL_LIVE).unwrap();
        let first = roll.add(Source::Added, entry("2", 3), None, ALL_DEAD).unwrap();
        roll.add(Source::Added, entry("2", 4), None, ALL_DEAD).unwrap();
        roll.take_back(first);
        assert_eq!(wanted(&roll), ["2:4 Added"]);
        let newcomer = roll.add(Source::Added, entry("2", 5), None, ALL_DEAD).unwrap();
        roll.remove("2").unwrap();
        assert!(!roll.take_back(newcomer));
        assert_eq!(wanted(&roll), [""; 0], "a person has removed server 2, whichever it is");
    }

    #[test]
    fn what_was_removed_and_could_not_be_added_again_stays_removed() {
        let mut roll = Roll::default();
        roll.file_says([entry("1", 1)]);
        roll.remove("1").unwrap();
        let number = roll.add(Source::Added, entry("1", 1), None, ALL_DEAD).unwrap();
        roll.take_back(number);
        assert_eq!(wanted(&roll), [""; 0]);
    }

    #[test]
    fn what_was_removed_stays_away_until_it_is_added_or_another_process() {
        let mut roll = Roll::default();
        roll.file_says([entry("1", 1)]);
        roll.add(Source::Joined, entry("2", 2), Some(7), ALL_LIVE).unwrap();
        assert!(roll.remove("1").is_some() && roll.remove("2").is_some() && roll.remove("3").is_none());
        roll.file_says([entry("1", 1)]);
        assert_eq!(roll.add(Source::Joined, entry("2", 2), Some(7), ALL_LIVE), Err(Denied::Removed));
        assert_eq!(wanted(&roll), [""; 0]);
        assert!(roll.remove("1").is_none(), "it is not there");
        roll.file_says([entry("1", 5)]);
        roll.add(Source::Added, entry("2", 2), None, ALL_LIVE).unwrap();
        assert_eq!(wanted(&roll), ["1:5 File", "2:2 Added"]);
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let mut roll = Roll::default();
        for port in 1..=MAX_REMOVED as u16 + 1 {
            roll.add(Source::Added, entry("1", port), None, ALL_LIVE).unwrap();
            roll.remove("1").unwrap();
        }
        assert_eq!(roll.removed.len(), MAX_REMOVED);
    }

    #[test]
    fn an_entry_that_stays_keeps_its_number() {
        let mut roll = Roll::default();
        roll.file_says([entry("1", 1)]);
        let number = roll.wanted().next().unwrap().number;
        roll.file_says([entry("0", 7), entry("1", 1)]);
        assert!(roll.wanted().any(|claim| claim.entry.id == "1" && claim.number == number));
    }
}
