//! One replica: its process, and the thread that is there for it.
//!
//! The process says on a pipe who and where it is, as one line, and never again anything. So whoever reads the pipe learns the one and
//! then blocks until the pipe ends, which is when the process does: at once after `kill -9`, without asking anybody.

use super::{roster::Key, shell::Word};
use crate::membership::{Found, Members, Teller};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use protocol::registry::Entry;
use std::{
    io::{self, BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command},
    sync::Arc,
    thread,
};

/// The longest line with which a replica may announce itself, in bytes.
const LONGEST_LINE: u64 = 4 * 1024;

/// The process of a replica. Clones are the same.
#[derive(Clone, Debug)]
pub struct Process {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: String,
    pid: u32,
    /// Held for a signal, or for the wait for a process that has been killed: nobody signals a number that is another's.
    child: Mutex<Child>,
    /// Its place among the members, once it has one. Held for a look or a change.
    claim: Mutex<Option<u64>>,
}

impl Process {
    /// Starts it, and a thread `replica-ID` that tells what becomes of it: [`Word::Serving`], [`Word::Lost`], [`Word::Removed`], and at last
    /// [`Word::Gone`].
    ///
    /// # Errors
    /// If there is no process or no thread to be had; then there is neither.
    pub fn start(
        key: Key,
        id: &str,
        mut command: Command,
        members: &Arc<Members>,
        words: &Sender<Word>,
    ) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (id, pid) = (id.to_owned(), child.id());
        let inner = Inner { id: id.clone(), pid, child: Mutex::new(child), claim: Mutex::new(None) };
        let process = Self { inner: Arc::new(inner) };
        let (own, members, words) = (process.clone(), Arc::clone(members), words.clone());
        let spawned =
            thread::Builder::new().name(format!("replica-{id}")).spawn(move || own.watch(key, pipe, &members, &words));
        if let Err(error) = spawned {
            let _nobody_watches = process.reap();
            return Err(error);
        }
        Ok(process)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.inner.pid
    }

    /// Reads what it says until it ends.
    fn watch(&self, key: Key, pipe: ChildStdout, members: &Members, words: &Sender<Word>) {
        let mut pipe = BufReader::new(pipe);
        let lost = |why: String| drop(words.send(Word::Lost(key, why)));
        match self.announced(&mut pipe) {
            Ok(Some(entry)) => {
                let words = words.clone();
                let tell = move |found| {
                    let _nobody_listens = words.send(match found {
                        Found::Believed => Word::Serving(key),
                        Found::Not(why) => Word::Lost(key, why),
                        Found::Removed => Word::Removed(key),
                    });
                };
                match members.employ(entry, Teller(Arc::new(tell))) {
                    Ok(number) => *self.inner.claim.lock() = Some(number),
                    Err(why) => lost(why.to_string()),
                }
            }
            Ok(None) => {}
            Err(why) => lost(why),
        }
        let _until_it_ends = io::copy(&mut pipe, &mut io::sink());
        self.leave(members);
        // What a person has decided about it is not for the next one of its name.
        members.shared().pools.of(super::SERVICE).into_iter().for_each(|pool| pool.forget(&self.inner.id));
        lost(self.reap());
        let _nobody_listens = words.send(Word::Gone(key));
    }

    /// Who it says it is; nothing if it ends without a word.
    fn announced(&self, pipe: &mut impl BufRead) -> Result<Option<Entry>, String> {
        let mut line = String::new();
        let read = pipe.take(LONGEST_LINE).read_line(&mut line).map_err(|error| format!("it says nothing: {error}"))?;
        if read == 0 {
            return Ok(None);
        }
        let entry: Entry = serde_json::from_str(&line)
            .map_err(|_| "it does not say where it is: the program is no server with --announce".to_owned())?;
        let is_it = entry.id == self.inner.id && entry.pid == Some(self.inner.pid);
        if is_it { Ok(Some(entry)) } else { Err(format!("it says that it is server {}", entry.id)) }
    }

    /// Takes it out of the pool. Requests that it has go on.
    pub fn leave(&self, members: &Members) {
        if let Some(number) = self.inner.claim.lock().take() {
            members.take_back(number);
        }
    }

    /// Ends it at once, also when it was stopped.
    pub fn kill(&self) {
        let _gone_already = self.inner.child.lock().kill();
    }

    /// Asks it to finish what it has and to end.
    pub fn ask_to_end(&self) {
        let mut child = self.inner.child.lock();
        if matches!(child.try_wait(), Ok(None)) {
            terminate(&mut child);
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        !matches!(self.inner.child.lock().try_wait(), Ok(None))
    }

    /// Waits for a process that ends, or is made to; how it has ended.
    fn reap(&self) -> String {
        let mut child = self.inner.child.lock();
        // Whoever has closed the pipe and lives on would never be heard of again.
        let _gone_already = child.kill();
        child.wait().map_or_else(
            |error| format!("its process cannot be waited for: {error}"),
            |status| format!("its process has ended ({status})"),
        )
    }
}

#[cfg(unix)]
fn terminate(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let sent = pid.map(|pid| kill_process(pid, Signal::TERM));
    if !matches!(sent, Some(Ok(()))) {
        let _gone_already = child.kill();
    }
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) {
    // The system has no such signal; its requests have been waited for, as long as the pool knew of them.
    let _gone_already = child.kill();
}
