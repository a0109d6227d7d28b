//! How many files and connections the system lets the process have open.
//!
//! Many systems begin with 1,024, which is less than the agents of one floor, and let a process ask for more. Start with
//! [`raise`].

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Asks for as many as the system allows, and warns when that is less than `connections` and `sockets` need.
pub(super) fn raise(connections: usize, sockets: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        warn!(%error, "cannot raise the limit of open files, which is {current:?}");
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let needed = connections.max(sockets) as u64;
    if allowed < needed {
        warn!(
            "the system allows {allowed} open files; limits.connections = {connections} and sockets.total = {sockets} \
             need {needed} when they are used up (ulimit -n, or LimitNOFILE of systemd)"
        );
    }
}
