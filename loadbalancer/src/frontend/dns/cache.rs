//! Answers that are still good. Pure.
//!
//! **The idea.** Each record says how long it may be kept (its TTL). An answer is good as long as all its records are, and each
//! time it is given again its TTLs are less by its age, so that nobody down the line keeps it longer than its zone allows.
//! That there is no such name, or none of that type, is kept, too, for as long as the zone's SOA record says (RFC 2308).
//!
//! **When it is wrong.** Whoever balances by DNS wants to take an address back; until the TTL has passed nobody asks again.
//! And a change in a table is not seen before. So it is off unless it is wanted.
//!
//! **Simplified.** When it is full, the oldest entry goes, good or not, asked for or not. Resolvers keep what is asked for often.
//!
//! Sources: RFC 1034 §5.3, RFC 2181 §5.2 and §8, RFC 2308.

use protocol::dns::{Message, Question, Rcode, Section, record_type};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// The longest that anything is kept, in seconds (RFC 8767 §4 recommends days at the most).
const LONGEST: u32 = 86_400;
/// The longest answer that is kept, in bytes.
const LONGEST_ANSWER: usize = 4_096;

/// What was asked, and whether DNSSEC records were wanted: the answers differ.
type Key = (Question, bool);

/// Answers by questions.
#[derive(Debug)]
pub struct Cache {
    room: usize,
    entries: HashMap<Key, Entry>,
    /// From the oldest to the newest; some may have been replaced meanwhile.
    order: VecDeque<(Key, Duration)>,
}

#[derive(Debug)]
struct Entry {
    answer: Vec<u8>,
    ttls: Vec<usize>,
    came: Duration,
    good_for: u32,
}

impl Cache {
    /// Room for so many answers.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { room, entries: HashMap::new(), order: VecDeque::new() }
    }

    /// The answer to this question, with what is left of its TTLs. `now` only grows.
    #[must_use]
    pub fn get(&self, question: &Question, dnssec: bool, now: Duration) -> Option<Vec<u8>> {
        // A copy for the look-up: a map cannot be asked by two references for a key of two values.
        let entry = self.entries.get(&(question.clone(), dnssec))?;
        let age = u32::try_from(now.saturating_sub(entry.came).as_secs()).ok()?;
        if age >= entry.good_for {
            return None;
        }
        let mut answer = entry.answer.clone();
        for at in &entry.ttls {
            let bytes: &mut [u8; 4] = answer.get_mut(*at..*at + 4)?.try_into().ok()?;
            *bytes = u32::from_be_bytes(*bytes).min(LONGEST).saturating_sub(age).to_be_bytes();
        }
        Some(answer)
    }

    /// Keeps an answer, if it may be kept.
    pub fn put(&mut self, question: &Question, dnssec: bool, answer: &Message<'_>, now: Duration) {
        let Some(good_for) = good_for(answer).filter(|good_for| *good_for > 0) else { return };
        let answer_bytes = answer.without_opt();
        if self.room == 0 || answer_bytes.len() > LONGEST_ANSWER {
            return;
        }
        // Those behind the OPT record were cut off with it.
        let ttls = answer.records.iter().map(|record| record.ttl_at).filter(|at| at + 4 <= answer_bytes.len());
        let entry = Entry { ttls: ttls.collect(), answer: answer_bytes, came: now, good_for };
        let key = (question.clone(), dnssec);
        self.order.push_back((key.clone(), now));
        self.entries.insert(key, entry);
        while self.entries.len() > self.room || self.order.len() > 2 * self.room {
            let Some((key, came)) = self.order.pop_front() else { break };
            if self.entries.get(&key).is_some_and(|entry| entry.came == came) {
                self.entries.remove(&key);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// How long an answer is good, in seconds; `None` if nobody says so.
fn good_for(answer: &Message<'_>) -> Option<u32> {
    let least = answer.records.iter().map(|record| record.ttl).min()?.min(LONGEST);
    let has_answer = answer.records.iter().any(|record| record.section == Section::Answer);
    match answer.rcode() {
        _ if answer.flags.is_truncated() => None,
        Rcode::NO_ERROR if has_answer => Some(least),
        Rcode::NO_ERROR | Rcode::NO_SUCH_NAME => {
            let soa = answer.records.iter().find(|record| record.record_type == record_type::SOA)?;
            let minimum = answer.data(soa).last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))?;
            Some(least.min(minimum))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::dns::{Reply, query};

    fn question(name: &str) -> Question {
        Question::new(name.parse().unwrap(), record_type::A)
    }

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    /// An answer with records of these TTLs.
    fn answer(question: &Question, rcode: Rcode, records: &[(protocol::dns::RecordType, u32, &[u8])]) -> Vec<u8> {
        let asked = query(7, question, None);
        let asked = Message::parse(&asked).unwrap();
        let mut reply = Reply::to(&asked).rcode(rcode);
        records.iter().for_each(|(kind, ttl, data)| reply.answer(&question.name, *kind, *ttl, data));
        reply.finish(4_096)
    }

    fn put(cache: &mut Cache, question: &Question, bytes: &[u8], now: u64) {
        cache.put(question, false, &Message::parse(bytes).unwrap(), seconds(now));
    }

    fn ttls(bytes: &[u8]) -> Vec<u32> {
        Message::parse(bytes).unwrap().records.iter().map(|record| record.ttl).collect()
    }

    #[test]
    fn an_answer_is_good_as_long_as_its_shortest_record_and_grows_old() {
        let (mut cache, asked) = (Cache::new(10), question("a.b"));
        let two = answer(&asked, Rcode::NO_ERROR, &[(record_type::A, 60, &[1; 4]), (record_type::A, 30, &[2; 4])]);
        put(&mut cache, &asked, &two, 100);
        assert_eq!(cache.get(&question("A.B"), false, seconds(110)).map(|said| ttls(&said)), Some(vec![50, 20]));
        assert!(cache.get(&asked, false, seconds(130)).is_none(), "its shortest record is over");
        assert!(cache.get(&asked, true, seconds(110)).is_none(), "with DNSSEC it is another answer");
        assert!(cache.get(&question("c.b"), false, seconds(110)).is_none());
    }

    #[test]
    fn what_may_not_be_kept_is_not() {
        let (mut cache, asked) = (Cache::new(10), question("a.b"));
        put(&mut cache, &asked, &answer(&asked, Rcode::NO_ERROR, &[(record_type::A, 0, &[1; 4])]), 0);
        put(&mut cache, &asked, &answer(&asked, Rcode::SERVER_FAILURE, &[(record_type::A, 60, &[1; 4])]), 0);
        put(&mut cache, &asked, &answer(&asked, Rcode::NO_ERROR, &[]), 0);
        put(&mut cache, &asked, &answer(&asked, Rcode::NO_SUCH_NAME, &[]), 0);
        assert!(cache.is_empty());
    }

    #[test]
    fn that_there_is_no_such_name_is_kept_as_the_zone_says() {
        let (mut cache, asked) = (Cache::new(10), question("a.b"));
        let soa = [&[0, 0][..], &[0; 16], &20_u32.to_be_bytes()].concat();
        put(&mut cache, &asked, &answer(&asked, Rcode::NO_SUCH_NAME, &[(record_type::SOA, 600, &soa)]), 0);
        assert!(cache.get(&asked, false, seconds(19)).is_some() && cache.get(&asked, false, seconds(20)).is_none());
    }

    #[test]
    fn when_it_is_full_the_oldest_goes() {
        let mut cache = Cache::new(3);
        for (now, name) in [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "d")] {
            let asked = question(name);
            put(&mut cache, &asked, &answer(&asked, Rcode::NO_ERROR, &[(record_type::A, 60, &[1; 4])]), now);
        }
        let there = ["a", "b", "c", "d"].map(|name| cache.get(&question(name), false, seconds(6)).is_some());
        assert_eq!((there, cache.len()), ([true, false, true, true], 3));
        for n in 0..1_000 {
            let asked = question("a");
            put(&mut cache, &asked, &answer(&asked, Rcode::NO_ERROR, &[(record_type::A, 60, &[1; 4])]), n + 7);
        }
        assert!(cache.order.len() <= 6, "what is asked for again and again takes no memory");
    }
}
