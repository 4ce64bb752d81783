//! How many files the process may have open, each connection being one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Asks for as many as the system lets us have; gives how many that are, where there is a bound.
///
/// The soft limit that processes begin with is kept low for programs that use `select`, which we do not.
pub(super) fn raise() -> Option<usize> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = rustix::process::Rlimit { current: limit.maximum, ..limit };
        match setrlimit(Resource::Nofile, wanted) {
            Ok(()) => limit = getrlimit(Resource::Nofile),
            Err(error) => tracing::warn!(%error, "no more files may be open than at first"),
        }
    }
    limit.current.map(|most| usize::try_from(most).unwrap_or(usize::MAX))
}
