//! File descriptors: as many as this process is allowed to have.
//!
//! A connection costs one. The system's *soft* limit is usually 1,024, far below the 5,000 connections that a listener
//! serves; the *hard* limit, up to which a process may raise it by itself, is much higher. A process that runs out is
//! in a bad place: it can neither accept nor connect, and takes healthy servers for lost. So clients may take only a part
//! of them, and the rest is for what must go on whatever the clients do.

/// Descriptors that clients leave alone: for the ports, the journal, the control ports of a class's servers, those who join,
/// and the administration, which must answer just when clients have taken everything else.
pub const KEPT: usize = 160;

/// How many clients may be connected so that [`KEPT`] descriptors remain, when each may cost two: its own connection and
/// one to a server. At least one; `None` if the system does not say how many descriptors there are.
#[must_use]
pub fn room_for_clients() -> Option<usize> {
    allowed().map(|allowed| (allowed.saturating_sub(KEPT) / 2).max(1))
}

/// How many descriptors this process may have; `None` if the system does not say.
#[must_use]
pub fn allowed() -> Option<usize> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Nofile).current.and_then(|soft| usize::try_from(soft).ok())
    }
    #[cfg(not(unix))]
    None
}

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
