//! The clients of a drill: each asks one question after the other, checks every answer, and settles what was left
//! open by asking again under the same id.

use super::{
    harm::strike::now_us,
    question::{Question, StockFile, Ticket, Told},
    tally::Tally,
};
use protocol::{
    deadline::Deadline,
    id::ClientIds,
    limits::CLIENT_PATIENCE,
    message::{ErrorCode, Failure},
    stop::Stop,
    wire::{Connection, Pending},
};
use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long an asker tries to reach the load balancer, and to settle a request of unknown outcome.
const SETTLE_TIME: Duration = Duration::from_secs(30);
/// The pause before it tries again.
const AGAIN_AFTER: Duration = Duration::from_millis(25);
/// The pause of an asker who was told that there is no room. Shorter than it is asked for, so that the crowd stays one.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);
/// How long the load balancer may take to accept.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// What the askers ask, and how much of it.
#[derive(Clone, Debug)]
pub struct Load {
    /// How many ask at once.
    pub clients: usize,
    /// How many questions each asks.
    pub requests: u64,
    /// Shares of the three sorts of questions.
    pub mix: Mix,
    /// How long a request may take to begin an answer.
    pub timeout: Duration,
}

/// Shares of the sorts of questions; what counts is their proportion.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Files.
    pub files: u32,
    /// Statements that read.
    pub reads: u32,
    /// Statements that write.
    pub writes: u32,
    /// Whether half of these shall return what they wrote: not every engine can.
    pub returning: bool,
}

impl Mix {
    fn draw(self, dice: &mut fastrand::Rng, token: String, stock: &[StockFile]) -> Question {
        let drawn = dice.u32(..(self.files + self.reads + self.writes).max(1));
        match stock {
            [_, ..] if drawn < self.files => Question::File(stock[dice.usize(..stock.len())].clone()),
            _ if drawn < self.files + self.reads => Question::Read(token),
            _ => Question::Write { token, returning: self.returning && dice.bool() },
        }
    }
}

/// Lets them all ask, and returns what they have seen.
///
/// # Errors
/// If the system gives no thread.
pub fn ask_all(
    balancer: SocketAddr,
    load: &Load,
    stock: &[StockFile],
    seed: u64,
    stop: &Stop,
) -> std::io::Result<Tally> {
    thread::scope(|scope| {
        let start = |number: usize| {
            let asker = Asker::new(balancer, number, seed, load, stock, stop);
            thread::Builder::new().name(format!("asker-{number}")).spawn_scoped(scope, move || asker.ask())
        };
        let askers: Vec<_> = (0..load.clients).map(start).collect::<Result<_, _>>()?;
        let mut tally = Tally::default();
        for asker in askers {
            // A panic in an asker is a defect of the drill; it shows as questions that nobody asked.
            asker.join().into_iter().for_each(|seen| tally.add(seen));
        }
        Ok(tally)
    })
}

struct Asker<'a> {
    balancer: SocketAddr,
    number: usize,
    seed: u64,
    load: &'a Load,
    stock: &'a [StockFile],
    stop: &'a Stop,
    dice: fastrand::Rng,
    ids: ClientIds,
    connection: Option<Connection>,
    tally: Tally,
}

impl<'a> Asker<'a> {
    fn new(
        balancer: SocketAddr,
        number: usize,
        seed: u64,
        load: &'a Load,
        stock: &'a [StockFile],
        stop: &'a Stop,
    ) -> Self {
        let dice = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        let (ids, connection, tally) = (ClientIds::new(SystemTime::now()), None, Tally::default());
        Self { balancer, number, seed, load, stock, stop, dice, ids, connection, tally }
    }

    fn ask(mut self) -> Tally {
        for count in 1..=self.load.requests {
            if self.stop.is_set() {
                break;
            }
            let token = format!("{:x}-{}-{count}", self.seed, self.number);
            let question = self.load.mix.draw(&mut self.dice, token, self.stock);
            self.ask_one(&question);
        }
        self.tally
    }

    /// Asks a question, and does not leave it before its outcome is known, if that can be had.
    fn ask_one(&mut self, question: &Question) {
        let (id, low_water) = self.ids.next(SystemTime::now());
        let ticket = Ticket { id, low_water, repeated: false, timeout: self.load.timeout };
        self.tally.asked += 1;
        let (begin, since_us) = (Instant::now(), now_us());
        let told = self.send_until_sent(question, ticket);
        let took = begin.elapsed();
        self.tally.took(took, matches!(told, Told::Done(_)));
        let mut no_room = false;
        let open = match told {
            Told::Done(server) => {
                self.tally.done(question, server, false);
                false
            }
            Told::Wrong(why) => {
                self.tally.wrong(why);
                false
            }
            Told::NotSent(why) => {
                self.tally.unreachable(question, &why);
                false
            }
            Told::Failed(failure) => {
                no_room = failure.code == ErrorCode::Busy;
                self.tally.failed(question, &failure, since_us);
                !failure.definite
            }
            Told::Lost(why) => {
                self.tally.lost(question, &why);
                true
            }
        };
        if open && took < self.load.timeout {
            self.tally.indefinite_early += 1;
        }
        if !open || self.settle(question, ticket) {
            self.ids.settled(id);
        }
        if no_room {
            let _at_the_end = self.stop.wait_timeout(NO_ROOM_PAUSE);
        }
    }

    /// Asks again under the same id until the outcome is known; says whether it is.
    fn settle(&mut self, question: &Question, ticket: Ticket) -> bool {
        let ticket = Ticket { repeated: true, ..ticket };
        let deadline = Deadline::after(SETTLE_TIME);
        loop {
            let why = match self.send_until_sent(question, ticket) {
                Told::Done(server) => {
                    self.tally.done(question, server, true);
                    return true;
                }
                Told::Failed(failure) if failure.definite => {
                    self.tally.settled_failed(question);
                    return true;
                }
                Told::Wrong(why) => {
                    self.tally.wrong(why);
                    return true;
                }
                Told::Failed(failure) => failure.message,
                Told::Lost(why) | Told::NotSent(why) => why,
            };
            if deadline.has_passed() || self.stop.wait_timeout(AGAIN_AFTER) {
                self.tally.unsettled(question, &why);
                return false;
            }
        }
    }

    /// One attempt that was sent whole. What was not sent cannot have happened, and is sent over another connection.
    fn send_until_sent(&mut self, question: &Question, ticket: Ticket) -> Told {
        let deadline = Deadline::after(SETTLE_TIME);
        loop {
            let told = self.attempt(question, ticket);
            let Told::NotSent(why) = told else { return told };
            self.tally.reconnects += 1;
            if deadline.has_passed() || self.stop.wait_timeout(AGAIN_AFTER) {
                return Told::NotSent(why);
            }
        }
    }

    fn attempt(&mut self, question: &Question, ticket: Ticket) -> Told {
        let kept = self.connection.take().filter(|connection| connection.pending() == Pending::Nothing);
        let connected = kept.map_or_else(|| Connection::connect(self.balancer, CONNECT_TIME), Ok);
        let mut connection = match connected {
            Ok(connection) => connection.with_patience(CLIENT_PATIENCE),
            Err(error) => return Told::NotSent(error.to_string()),
        };
        let told = question.ask(&mut connection, ticket);
        // Who is busy or ending may be about to close: a next request must not be sent into that.
        let closing = |failure: &Failure| matches!(failure.code, ErrorCode::Draining | ErrorCode::Busy);
        match &told {
            Told::Done(_) => self.connection = Some(connection),
            Told::Failed(failure) if !closing(failure) => self.connection = Some(connection),
            _ => {}
        }
        told
    }
}
