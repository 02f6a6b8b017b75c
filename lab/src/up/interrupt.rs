//! Ctrl-C while `lab up` runs: it belongs to the prompt.
//!
//! The terminal sends Ctrl-C to every process in front: to the client, which takes back its request, and to us, who
//! must not end because of it. Only while the laboratory is still starting it means "stop".

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Whether Ctrl-C was pressed.
pub struct Interrupt {
    pressed: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on Ctrl-C does not end this process; it is remembered.
    pub fn listen() -> io::Result<Self> {
        let pressed = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&pressed))?;
        #[cfg(not(unix))]
        {
            let pressed = Arc::clone(&pressed);
            ctrlc::set_handler(move || pressed.store(true, Ordering::SeqCst)).map_err(io::Error::other)?;
        }
        Ok(Self { pressed })
    }

    /// Waits a moment; true if Ctrl-C was pressed.
    pub fn wait(&self, moment: Duration) -> bool {
        if !self.pressed.load(Ordering::SeqCst) {
            thread::park_timeout(moment);
        }
        self.pressed.load(Ordering::SeqCst)
    }
}
