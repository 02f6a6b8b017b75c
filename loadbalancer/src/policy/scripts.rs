//! Scenarios of the policies as scripts, with their recorded output: `scripts/<policy>/<scenario>`.
//!
//! Each opens with a sentence that says what it shows. The first picks are computed by hand in the comments, then
//! recorded with `UPDATE_GOLDENFILES=1 cargo test -p loadbalancer scripts`, then read again. Behind the commands is a
//! pool without queue, health or lock; its clock moves by `wait` only, and its dice are seeded by `seed`.

use super::*;
use clap::Parser;
use goldenscript::{Context, Runner};
use std::{collections::BTreeMap, error::Error, path::Path};

type Said = Result<String, Box<dyn Error>>;

#[derive(goldenscript::Command)]
enum Command {
    /// Flags of the policy, before the servers: flags "--ring-bound 1.25"
    Flags(String),
    /// All servers: `a=100ms` takes one request at once, `b=200ms/3` three, `c=0ms/many` any number; `d=1s@64` has a
    /// weight.
    Servers(Vec<(String, String)>),
    /// One more.
    Join(Vec<(String, String)>),
    /// One less.
    Leave(String),
    /// A server does not answer, and answers again.
    Down(String),
    Up(String),
    /// A server holds this many requests, whoever sent them.
    Busy(String, u32),
    /// A person gives a server a weight: weight a 5, or takes it back: weight a none
    Weight(String, String),
    /// The requests to come have this key.
    Key(String),
    /// So many requests, each over before the next one comes. What was computed by hand must come out.
    Pick {
        n: Option<u32>,
        #[arg(key)]
        by_hand: Option<String>,
    },
    /// The same, but only the sums are told.
    Count(u32),
    /// So many requests that stay.
    Take {
        n: Option<u32>,
        #[arg(key)]
        by_hand: Option<String>,
    },
    /// A request of this server is over, after this time: answered, failed, or taken back.
    Finish(String, String),
    Fail(String, String),
    Cancel(String, String),
    /// Time passes.
    Wait(String),
    /// The dice are these.
    Seed(u64),
    /// What the policy compares; less is better.
    Scores,
    /// What led to the last choice.
    Why,
    /// Whose each of these keys is.
    Owners(Vec<String>),
}

/// A pool with one policy, in which everything happens because somebody says so.
struct Stage {
    name: Name,
    policy: Box<dyn Policy>,
    servers: Vec<Server>,
    random: fastrand::Rng,
    key: u64,
    now: Duration,
    choices: u64,
    joined: u64,
    last: How,
}

struct Server {
    id: String,
    up: bool,
    seen: Candidate,
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    options: Options,
}

impl Runner for Stage {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Said {
        match command {
            Command::Flags(flags) => return self.flags(flags),
            Command::Servers(servers) | Command::Join(servers) => return self.join(servers),
            Command::Leave(id) => self.servers.retain(|server| server.id != *id),
            Command::Down(id) => self.server(id)?.up = false,
            Command::Up(id) => self.server(id)?.up = true,
            Command::Busy(id, active) => self.server(id)?.seen.active = *active,
            Command::Weight(id, weight) => self.server(id)?.seen.weight = weight.parse().ok(),
            Command::Key(text) => self.key = hash(text),
            Command::Pick { n, by_hand } => return self.pick(n.unwrap_or(1), by_hand.as_deref()),
            Command::Count(n) => return self.count(*n),
            Command::Take { n, by_hand } => return self.take(n.unwrap_or(1), by_hand.as_deref()),
            Command::Finish(id, took) => return self.ended(id, took, Ended::Answered),
            Command::Fail(id, took) => return self.ended(id, took, Ended::Failed),
            Command::Cancel(id, took) => return self.ended(id, took, Ended::Cancelled),
            Command::Wait(time) => self.now += duration(time)?,
            Command::Seed(seed) => self.random = fastrand::Rng::with_seed(*seed),
            Command::Scores => return Ok(self.scores()),
            Command::Why => return Ok(self.why()),
            Command::Owners(keys) => return self.owners(keys),
        }
        self.servers_changed();
        Ok(String::new())
    }
}

impl Stage {
    fn new(name: Name) -> Self {
        Self {
            name,
            policy: name.build(&Options::default()),
            servers: Vec::new(),
            random: fastrand::Rng::with_seed(1),
            key: 0,
            now: Duration::ZERO,
            choices: 0,
            joined: 0,
            last: How::Plain,
        }
    }

    fn flags(&mut self, flags: &str) -> Said {
        let options = Flags::try_parse_from(std::iter::once("").chain(flags.split_whitespace()))?.options;
        options.check()?;
        self.policy = self.name.build(&options);
        self.servers_changed();
        Ok(String::new())
    }

    fn server(&mut self, id: &str) -> Result<&mut Server, Box<dyn Error>> {
        let of_id = |server: &&mut Server| server.id == id;
        self.servers.iter_mut().find(of_id).ok_or_else(|| format!("there is no server {id}").into())
    }

    fn join(&mut self, servers: &[(String, String)]) -> Said {
        for (id, text) in servers {
            let (text, weight) = text.split_once('@').map_or((&**text, None), |(text, weight)| (text, Some(weight)));
            let (time, capacity) = text.split_once('/').unwrap_or((text, "1"));
            self.joined += 1;
            let seen = Candidate {
                key: ServerKey(self.joined),
                place: 0,
                number: number_of(id),
                processing_time: duration(time)?,
                capacity: if capacity == "many" { UNLIMITED } else { capacity.parse()? },
                active: 0,
                weight: weight.map(str::parse).transpose()?,
                last_chosen: 0,
            };
            self.servers.push(Server { id: id.clone(), up: true, seen });
        }
        // Stable: of equals the order of joining stays.
        self.servers.sort_by_key(|server| server.seen.processing_time);
        self.servers_changed();
        Ok(String::new())
    }

    fn servers_changed(&mut self) {
        self.servers.iter_mut().enumerate().for_each(|(place, server)| server.seen.place = place);
        let all: Vec<Candidate> = self.servers.iter().map(|server| server.seen.clone()).collect();
        self.policy.servers_changed(&all, self.now);
    }

    /// Lets the policy choose, and gives the request to whom it chose.
    fn choose(&mut self) -> Result<usize, Box<dyn Error>> {
        let free = |server: &&Server| server.up && server.seen.active < server.seen.capacity;
        let candidates: Vec<Candidate> = self.servers.iter().filter(free).map(|server| server.seen.clone()).collect();
        let up = self.servers.iter().filter(|server| server.up);
        let (servers_up, in_hand) = up.fold((0, 0), |(n, sum), server| (n + 1, sum + u64::from(server.seen.active)));
        let (key, now, random) = (self.key, self.now, &mut self.random);
        if candidates.is_empty() {
            return Err("nobody is free".into());
        }
        let mut circumstances = Circumstances { key, now, in_hand, servers_up, random };
        let choice = self.policy.choose(&candidates, &mut circumstances);
        self.last = choice.how;
        self.choices += 1;
        let place = candidates[choice.index].place;
        let chosen = &mut self.servers[place].seen;
        (chosen.active, chosen.last_chosen) = (chosen.active + 1, self.choices);
        self.policy.request_started(chosen, now);
        Ok(place)
    }

    fn end(&mut self, place: usize, ended: Ended, took: Duration) {
        let server = &mut self.servers[place].seen;
        self.policy.request_finished(server, ended, took, self.now);
        server.active = server.active.saturating_sub(1);
    }

    /// A request that is over at once.
    fn visit(&mut self) -> Result<&str, Box<dyn Error>> {
        let place = self.choose()?;
        self.end(place, Ended::Answered, self.servers[place].seen.processing_time);
        Ok(&self.servers[place].id)
    }

    fn pick(&mut self, n: u32, by_hand: Option<&str>) -> Said {
        let picked = (0..n).map(|_| self.visit().map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
        as_computed(picked.join(" "), by_hand)
    }

    fn count(&mut self, n: u32) -> Said {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..n {
            *counts.entry(self.visit()?.to_owned()).or_default() += 1;
        }
        Ok(listed(counts.iter().map(|(id, count)| (id, count.to_string()))))
    }

    fn take(&mut self, n: u32, by_hand: Option<&str>) -> Said {
        let taken = (0..n).map(|_| self.choose()).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<&str> = taken.into_iter().map(|place| &*self.servers[place].id).collect();
        let ids = as_computed(ids.join(" "), by_hand)?;
        let holding = listed(self.servers.iter().map(|server| (&server.id, server.seen.active.to_string())));
        Ok(format!("{ids} → holding {holding}"))
    }

    fn ended(&mut self, id: &str, took: &str, ended: Ended) -> Said {
        let place = self.server(id)?.seen.place;
        self.end(place, ended, duration(took)?);
        Ok(String::new())
    }

    fn scores(&mut self) -> String {
        let (key, now, random) = (self.key, self.now, &mut self.random);
        let circumstances = Circumstances { key, now, in_hand: 0, servers_up: 0, random };
        let score = |server: &Server| match self.policy.score(&server.seen, &circumstances) {
            Some(score) => format!("{}", (score * 1e6).round() / 1e6),
            None => "none".to_owned(),
        };
        listed(self.servers.iter().map(|server| (&server.id, score(server))))
    }

    fn why(&self) -> String {
        match self.last {
            How::Plain => "nothing but the candidates".to_owned(),
            How::Drawn { first, second: None, of } => format!("drew number {first} of {of}"),
            How::Drawn { first, second: Some(second), of } => format!("drew number {first}, then {second}, of {of}"),
            How::Ring { key, point, passed } => format!("key at {key}, point at {point}, passed by {passed}"),
        }
    }

    fn owners(&mut self, keys: &[String]) -> Said {
        let mut owners = Vec::new();
        for key in keys {
            self.key = hash(key);
            owners.push((key, self.visit()?.to_owned()));
        }
        Ok(listed(owners.into_iter()))
    }
}

fn as_computed(seen: String, by_hand: Option<&str>) -> Said {
    match by_hand.filter(|by_hand| *by_hand != seen) {
        Some(by_hand) => Err(format!("by hand it is {by_hand}, but it was {seen}").into()),
        None => Ok(seen),
    }
}

/// The key of a request: a number stands for itself, as in the coursework; everything else is hashed.
fn hash(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

fn duration(text: &str) -> Result<Duration, Box<dyn Error>> {
    let ms = text.strip_suffix("ms").map(str::parse).transpose()?;
    let seconds = text.strip_suffix('s').filter(|_| ms.is_none()).map(str::parse).transpose()?;
    let time = ms.map(Duration::from_millis).or(seconds.map(Duration::from_secs_f64));
    time.ok_or_else(|| format!("{text} is no time such as 100ms or 1.5s").into())
}

fn listed<'a>(values: impl Iterator<Item = (&'a String, String)>) -> String {
    values.map(|(id, value)| format!("{id} {value}")).collect::<Vec<_>>().join(", ")
}

/// Each policy has its scripts, and each script opens with a sentence.
#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy/scripts");
    for name in Name::ALL {
        let mut scripts: Vec<_> =
            folder.join(name.as_str()).read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        scripts.sort();
        assert!(scripts.len() >= 3, "{name} has {} scripts", scripts.len());
        for script in scripts {
            let text = std::fs::read_to_string(&script).unwrap();
            assert!(text.starts_with("# "), "{script:?} opens with a sentence");
            goldenscript::run(&mut Stage::new(name), &script).unwrap_or_else(|why| panic!("{script:?}: {why}"));
        }
    }
}
