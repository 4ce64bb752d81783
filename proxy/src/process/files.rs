//! What the system lets the process have: files, each connection being one, and ports to send from.

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

/// How many ports the system chooses from for sockets that name none; none where it does not say.
pub(super) fn local_ports() -> Option<usize> {
    range(&std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
}

/// Reads the first and the last of them.
fn range(text: &str) -> Option<usize> {
    let mut ends = text.split_whitespace().map(|end| end.parse::<usize>().ok());
    let (first, last) = (ends.next()??, ends.next()??);
    Some((last + 1).saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_counted_from_the_first_to_the_last() {
        assert_eq!(range("32768\t60999\n"), Some(28_232));
        assert_eq!((range("5000 4999"), range("5000"), range("")), (Some(0), None, None));
    }
}
