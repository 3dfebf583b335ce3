//! The limit on open files: one socket each, so it bounds the number of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one and returns it.
///
/// # Errors
/// When the kernel refuses, which it does not for a soft limit within the hard one.
pub fn raise_limit() -> anyhow::Result<u64> {
    let now = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum })?;
    Ok(now.maximum.unwrap_or(u64::MAX))
}

/// A sentence instead of thousands of "too many open files".
///
/// # Errors
/// When `connections` sockets and some files more do not fit the limit.
pub fn check_room(connections: usize) -> anyhow::Result<()> {
    let limit = raise_limit()?;
    let needed = connections as u64 + 64;
    anyhow::ensure!(
        needed <= limit,
        "{connections} connections need {needed} open files, the hard limit is {limit} (ulimit -Hn)"
    );
    Ok(())
}
