//! The sharded table (`--shards ADDR`): StudT cut into shards, each on several servers that the load balancer starts itself.
//!
//! **The problem.** One server holds one copy of everything: when it dies all is gone, and it answers as much as one server can. Cutting
//! the table makes it larger than one server; copies make it outlive one. And then there are three of each row, which differ as soon as a
//! change reaches two of them, or reaches them in another order. The coursework's load balancer takes a lock, tells all servers, and
//! hopes: a server that fails in the middle comes back with whatever it has, and a restarted load balancer knows nothing.
//!
//! **The idea.** Each shard has an order of changes, and the load balancer makes it: a change gets the next number, goes to all servers that
//! are in step, and is acknowledged when all of them have it durably ([`group`]). Who fails is out of step, which is durable before the
//! acknowledgement ([`state`]), and gets nothing until it was filled with a copy and has caught up ([`mod@fill`]). So at any moment, also
//! after a crash of everything, each server that is in step has every acknowledged change.
//!
//! **What a read may see.** A read of one shard sees all changes of that shard that were acknowledged before it began, and none half: it is
//! linearizable, because it shares the shard's lock. A read over several shards locks all of them, so that it is of one moment, too.
//!
//! | file | what is in it |
//! |---|---|
//! | [`calls`], [`answers`] | what is asked, and the answers to the byte (pure) |
//! | [`map`] | which keys are in which shard, and which servers have it (pure) |
//! | [`state`] | what is durable |
//! | [`group`], [`lock`] | the order of one shard's changes, and the lock that it needs |
//! | [`server`], [`patience`] | a process, and asking it; how long it is waited for |
//! | [`table`] | the map, its servers, and what is durable of both |
//! | [`read`], [`change`], [`remap`] | calls carried out: rows read, rows changed, the map changed |
//! | [`asked`] | a call under way, and what is told of it |
//! | [`keeper`], [`mod@start`], [`pulse`] | who decides that servers are started, how, and who finds out that one does not answer |
//! | [`mod@settle`], [`mod@fill`], [`copy`](mod@copy) | one agreed state, and how a server gets it |
//! | [`gone`] | a server that comes back without its rows |
//! | [`at_once`](mod@at_once) | several asked at once |
//! | `front` | HTTP |
//!
//! | thread | role | blocks on | locks it takes | what stops it |
//! |---|---|---|---|---|
//! | `shards-N` | a client's connection | the client, servers, the keeper, the disk | that of changes of the map, shards (shared, or alone), state, map, servers | drain |
//! | `shards-ask` | asks one of several servers at once | the server | – | its answer, or its time ([`patience`]) |
//! | `shards` | the keeper | its queue, the disk, the end of a process that it has killed | state, map, servers | end of the program |
//! | `shards-pulse` | asks all servers whether they live | servers, the end of a process that it has killed | servers | end of the program |
//! | `shards-start-NAME` | starts a server | the server, the disk | a shard alone, state, map | its end |
//! | `shards-settle` | brings shards to one agreed state | servers, the disk | shards alone, state, servers | its end |
//! | `shards-fill-NAME` | fills a server | servers, the disk | a shard (shared, at the end alone), state, servers | its end |
//! | `shards-NAME` | a process | its pipe, the keeper's queue | – | the process' end |
//!
//! **When it is wrong.** One load balancer orders everything: while it is down nothing is answered. A server that is removed holds
//! its shards for a moment. A change waits for the slowest of its servers, up to 2 s, or longer if it is large ([`patience`]). Rows that one call writes into several shards
//! are all there or none, unless between two of them the load balancer is killed, all servers of the next one fail, or the state cannot be
//! written: then nobody is told that they are.
//!
//! **Production.** A primary ships its log to replicas and some of them must confirm (PostgreSQL's `synchronous_standby_names`); a
//! quorum of replicas decides, so that one may be slow (Dynamo, Cassandra); or the replicas elect who orders, so that nobody is
//! indispensable (Raft in etcd, CockroachDB, TiKV).

pub mod calls;
pub mod answers;
pub mod map;
pub mod state;
pub mod group;
pub mod lock;
pub mod patience;
pub mod server;
pub mod at_once;
pub mod table;
pub mod asked;
pub mod read;
pub mod change;
pub mod remap;
pub mod copy;
pub mod fill;
pub mod gone;
pub mod settle;
pub mod pulse;
pub mod start;
pub mod keeper;
mod front;
#[cfg(test)]
mod tests;

pub use self::front::TABLE;

use self::{
    front::{Door, Front},
    keeper::{Keeper, Word},
    state::{State, StateFile},
    table::Table,
};
use crate::{
    config::Config,
    dispatch::key::HashKey,
    event::Events,
    policy::{Name, options::RingHash},
    pool::{Pool, Settings},
    replicas::Program,
};
use anyhow::Context as _;
use clap::Args;
use crossbeam_channel::{Sender, bounded};
use protocol::{
    database::DatabaseConfig,
    flags::{Listen, UNLIMITED, parse_listen},
    holder::explain_bind_error,
    http::HttpService,
    id::IdSource,
    lifeline::Lifeline,
    listener::{Crew, CrewOptions},
};
use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

/// The service of its servers.
const SERVICE: &str = "shard";
/// Words that wait for the keeper: each process has one to say in its life, each filling one.
const QUEUE: usize = 1_024;

/// The flags of the sharded table.
#[derive(Args, Clone, Debug, Default)]
pub struct ShardFlags {
    /// Keep a table in shards on servers of its own, and answer its calls there (HTTP): POST /init, GET /status, POST /add, DELETE
    /// /rm, POST /read, POST /write, PUT /update, DELETE /del
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    pub shards: Option<Listen>,
    /// Where the table's map is kept, and beside it the files of its servers [default: shards/state.json beside servers.json]
    #[arg(long, value_name = "FILE", requires = "shards")]
    pub state: Option<PathBuf>,
    /// Its servers keep their shards in the database that this file names (as database.json does), each in a schema of its own,
    /// instead of in files beside the state; they are told as `server --shard-database`
    #[arg(long, value_name = "FILE", requires = "shards")]
    pub shard_database: Option<PathBuf>,
    /// The program that its servers are: `server`, or `lab` [default: as for --replica-program]
    #[arg(long, value_name = "PATH", requires = "shards")]
    pub shard_program: Option<PathBuf>,
    /// How the server is chosen that a read is given to, among those that have all changes of the shard [default: consistent-hash, by
    /// each request's own hash, as in the coursework; --hash-key names another key]
    #[arg(long, value_enum, value_name = "POLICY", requires = "shards")]
    pub shard_policy: Option<Name>,
}

impl ShardFlags {
    /// The policy for reads.
    #[must_use]
    pub fn policy(&self) -> Name {
        self.shard_policy.unwrap_or(Name::ConsistentHash)
    }
}

/// What reads are hashed by: each is one of its own, unless something else was chosen.
fn hash_key(config: &Config) -> HashKey {
    let usual = match config.options.ring_hash {
        RingHash::Coursework => HashKey::SixDigits,
        RingHash::Xxh3 => HashKey::Request,
    };
    config.hash_key.unwrap_or(usual)
}

/// How its servers are started; and the database that has their rows, in words, if they are not in files.
fn program(flags: &ShardFlags) -> anyhow::Result<(Program, Option<String>)> {
    let program = Program::of(flags.shard_program.clone(), SERVICE, UNLIMITED)?;
    let Some(file) = &flags.shard_database else { return Ok((program, None)) };
    // What is wrong with it is told here, once, and not by each server.
    let database = match DatabaseConfig::read(file)? {
        DatabaseConfig::Sqlite { .. } => None,
        DatabaseConfig::Postgres(account) | DatabaseConfig::MySql(account) => {
            Some(format!("{} at {}:{}", account.database, account.host, account.port))
        }
        _ => Some(format!("that {} names", file.display())),
    };
    let file = std::path::absolute(file)?;
    let file = file.to_str().context("The path of --shard-database is not valid Unicode")?;
    Ok((program.with(["--shard-database", file].map(str::to_owned)), database))
}

/// A table that has its port and its state, and does not serve yet.
#[derive(Debug)]
pub struct Opening {
    listener: TcpListener,
    program: Program,
    file: StateFile,
    state: Option<State>,
    lock: File,
}

impl Opening {
    /// Prepares it, if the flags want one. `registry`: the state lies beside it unless another place is wanted.
    ///
    /// # Errors
    /// If the port cannot be had, there is no program for servers, or the state cannot be read.
    pub fn prepare(flags: &ShardFlags, registry: &Path) -> anyhow::Result<Option<Self>> {
        let Some(listen) = flags.shards else { return Ok(None) };
        let port = listen.port.context("--shards needs a port: write IP:PORT")?;
        let address = SocketAddr::new(listen.ip, port);
        let listener =
            TcpListener::bind(address).map_err(|error| anyhow::anyhow!(explain_bind_error(address, &error, None)))?;
        let (program, database) = program(flags)?;
        let usual = || registry.with_file_name("shards").join("state.json");
        let file = StateFile::new(flags.state.clone().unwrap_or_else(usual)).with_database(database);
        let lock = file.lock()?;
        let state = file.read()?;
        Ok(Some(Self { listener, program, file, state, lock }))
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn begin(
        self,
        config: &Config,
        max_connections: usize,
        settings: Settings,
        events: &Events,
    ) -> anyhow::Result<Shards> {
        let Self { listener, program, file, state, lock } = self;
        let pool = Pool::new(Settings { policy: config.shards.policy(), ..settings }, events.clone());
        let table = Arc::new(Table::new(file, state, Arc::clone(&pool), events.clone()));
        let lifeline = Lifeline::open().context("No lifeline for servers of shards")?;
        let (words, heard) = bounded(QUEUE);
        let keeper = Keeper::new(Arc::clone(&table), program, lifeline, (words.clone(), heard));
        let keeper = thread::Builder::new().name("shards".into()).spawn(move || keeper.run());
        let keeper = Some(keeper.context("No thread for the shards")?);
        let ids = IdSource::new(fastrand::u64(..));
        let hash_key = hash_key(config);
        let front = Front { table: Arc::clone(&table), keeper: words.clone(), ids, hash_key };
        let door = Door { service: HttpService::new(front), table };
        let options = CrewOptions { name: "shards", max_connections };
        let crew = Crew::start(listener, options, Arc::new(door)).context("No thread for the first connection")?;
        Ok(Shards { crew, words, keeper, pool, _lock: lock })
    }
}

/// The table at work. Dropping it ends its servers.
pub struct Shards {
    crew: Crew,
    words: Sender<Word>,
    keeper: Option<JoinHandle<()>>,
    pool: Arc<Pool>,
    /// Held as long as this lives.
    _lock: File,
}

impl Shards {
    /// Its servers, and what is counted.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.crew.address()
    }

    /// The threads that carry its connections.
    #[must_use]
    pub fn crew(&self) -> &Crew {
        &self.crew
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        let _ended_already = self.words.send(Word::End);
        if let Some(keeper) = self.keeper.take() {
            let _panicked = keeper.join();
        }
    }
}
