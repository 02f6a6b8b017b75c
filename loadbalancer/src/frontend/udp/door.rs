//! Where datagrams come in, and the threads of the frontend.

use super::{
    flags::{Mode, UdpFlags},
    flows::Flows,
    kernel::Kernel,
    relay::{Intake, Relay},
};
use crate::{
    dispatch::{copies::Copies, key::HashKey},
    event::{Event, Events},
    pool::Pool,
};
use protocol::datagrams::{BATCH, Inbox, LONGEST, make_room};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Room for datagrams that nobody has taken yet, in bytes: those of some thousand clients at once (a small one takes 768). The
/// system may give less.
const ROOM: usize = 8 * 1024 * 1024;
/// How long the thread that waits for datagrams pauses when its socket fails at once.
const PAUSE: Duration = Duration::from_millis(1);
/// How often the thread that waits for datagrams looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often what the kernel has dropped is looked up, and who is not there any more is forgotten, in the mode that has no clock.
const LOOK_UP_EVERY: Duration = Duration::from_secs(2);

/// The door of the frontend. When it is dropped nothing new comes in, what is under way is finished, and its threads end.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    behind: Behind,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Who passes on what comes in.
#[derive(Clone, Debug)]
enum Behind {
    Tagged(Arc<Relay>),
    Flows(Arc<Flows>),
}

impl Door {
    /// Receives datagrams (`udp-in`), and in tagged mode watches the clock (`udp-clock`). So many requests may wait.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn open(
        (pool, events): (Arc<Pool>, Events),
        socket: UdpSocket,
        flags: &UdpFlags,
        hash_key: HashKey,
        copies: Copies,
        most_waiting: usize,
    ) -> io::Result<Self> {
        let given = make_room(&socket, ROOM);
        let (asked, given) = (ROOM as u64, given as u64);
        events.emit(|| Event::DatagramRoom { frontend: "udp".to_owned(), asked, given });
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let address = socket.local_addr()?;
        let behind = match flags.udp_mode {
            Mode::Tagged => {
                Behind::Tagged(Relay::new((pool, events), socket, flags.clone(), hash_key, copies, most_waiting))
            }
            Mode::Flows => Behind::Flows(Flows::new((pool, events), socket, flags, hash_key)),
        };
        let mut door = Self { address, behind, over: Arc::default(), threads: Vec::new() };
        let (behind, over) = (door.behind.clone(), Arc::clone(&door.over));
        door.spawn("udp-in", move || behind.receive(&over))?;
        if let Behind::Tagged(relay) = &door.behind {
            let relay = Arc::clone(relay);
            door.spawn("udp-clock", move || relay.watch_the_clock())?;
        }
        Ok(door)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.into()).spawn(run)?);
        Ok(())
    }

    /// Where it takes datagrams.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        match &self.behind {
            Behind::Tagged(relay) => {
                relay.finish();
                relay.stop();
            }
            Behind::Flows(flows) => flows.stop(),
        }
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

impl Behind {
    /// Takes what clients send until it is over.
    fn receive(&self, over: &AtomicBool) {
        match self {
            Self::Tagged(relay) => {
                let (mut inbox, mut intake) =
                    (Inbox::new(Arc::clone(&relay.socket), BATCH, LONGEST), Intake::default());
                while !over.load(Ordering::SeqCst) {
                    if receive(&mut inbox) {
                        relay.take(&mut inbox, &mut intake);
                    }
                }
            }
            Self::Flows(flows) => {
                let mut inbox = Inbox::new(Arc::clone(flows.socket()), BATCH, LONGEST);
                let (mut kernel, mut looked) = (Kernel::default(), Instant::now());
                while !over.load(Ordering::SeqCst) {
                    if receive(&mut inbox) {
                        flows.take(&mut inbox);
                    }
                    if looked.elapsed() >= LOOK_UP_EVERY {
                        looked = Instant::now();
                        flows.look_up(&mut kernel);
                        flows.tidy();
                    }
                }
            }
        }
    }
}

/// Whether something has come. An error here is the echo of an answer that nobody took, or lasts: then there is a pause.
fn receive(inbox: &mut Inbox) -> bool {
    match inbox.receive() {
        Ok(count) => count > 0,
        Err(_) => {
            thread::park_timeout(PAUSE);
            false
        }
    }
}
