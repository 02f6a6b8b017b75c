//! File descriptors: as many as this process is allowed to have.
//!
//! A connection costs one. The system's *soft* limit is usually 1,024, far below the 5,000 connections that a listener
//! serves; the *hard* limit, up to which a process may raise it by itself, is much higher. A process that runs out is
//! in a bad place: it can neither accept nor connect, and takes healthy servers for lost.

/// Raises the number of descriptors that this process may have to what it is allowed to. Where that fails, the old
/// limit holds, and whoever runs into it says so.
pub fn allow_all() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let _as_it_was = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
