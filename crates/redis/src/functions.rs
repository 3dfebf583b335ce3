//! The function library on a server: is it there, is it ours, which of two versions stays.
//!
//! The code reaches it as text. A library called `tg` has a function `tg_version`, which answers
//! `[code version, settings revision, settings]`; that is all that is known of it here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Value, cmd};
use tokio::time::{sleep, timeout};

use crate::command::{Answer, is_function_missing};
use crate::link::Link;
use crate::{Patience, RedisError};

/// Between two looks at a server whose library is as it should be. A node of an older version that
/// looked at the same moment may have replaced it.
const LOOK: Duration = Duration::from_secs(60);
/// Between two looks at one where it is not.
const AGAIN: Duration = Duration::from_secs(1);

/// A library of functions, as this node would have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// Its name, which starts the names of its functions, too.
    pub name: String,
    /// The whole text, `#!lua name=…` first.
    pub code: String,
    /// Which of two stays.
    pub version: LibraryVersion,
}

/// What decides which of two libraries stays: the later code, then the higher revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryVersion {
    /// Grows when the code changes.
    pub code: u64,
    /// Grows when somebody changes the settings: `server.settings_revision`.
    pub revision: u64,
    /// The settings that are compiled in.
    pub settings: String,
}

impl LibraryVersion {
    fn order(&self) -> (u64, u64) {
        (self.code, self.revision)
    }
}

/// How the library fares on all servers of a node.
#[derive(Debug, Default)]
pub struct LibraryState {
    /// Looks that found the same revision with other settings, which stay.
    pub others: AtomicU64,
    /// Servers that are heard, and which it could not be brought to.
    lacking: AtomicUsize,
}

impl LibraryState {
    /// Whether a server lacks it: one before 7.0, or one that does not let us.
    pub fn is_missing(&self) -> bool {
        self.lacking.load(Ordering::Relaxed) > 0
    }
}

/// A server that is heard lacks the library, as long as this lives.
#[derive(Debug)]
pub(crate) struct Lacking(Arc<LibraryState>);

impl Lacking {
    fn new(state: &Arc<LibraryState>) -> Self {
        state.lacking.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for Lacking {
    fn drop(&mut self) {
        self.0.lacking.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The library, for all servers of a node.
#[derive(Debug)]
pub(crate) struct Functions {
    library: Library,
    state: Arc<LibraryState>,
}

impl Functions {
    pub(crate) fn new(library: Library, state: Arc<LibraryState>) -> Self {
        Self { library, state }
    }

    /// Brings the library to a server that has none, or an older one.
    ///
    /// # Errors
    /// [`RedisError::Refused`] where it cannot be, with the reason in words for people.
    pub(crate) async fn install(&self, link: &Link, patience: &Patience) -> Result<(), RedisError> {
        let late = |_| RedisError::unavailable("no answer in time about the function library");
        timeout(patience.response, self.look(link)).await.map_err(late)?
    }

    async fn look(&self, link: &Link) -> Result<(), RedisError> {
        let ours = &self.library.version;
        match self.installed(link).await? {
            Some(theirs) if theirs.order() == ours.order() && theirs.settings != ours.settings => {
                self.state.others.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    library = self.library.name,
                    revision = ours.revision,
                    ours = ours.settings,
                    installed = theirs.settings,
                    "Redis holds the function library with other settings, which stay"
                );
                Ok(())
            }
            Some(theirs) if theirs.order() >= ours.order() => Ok(()),
            former => {
                self.load(link).await?;
                let (code, revision) = ours.order();
                let former = former.map(|version| version.order());
                tracing::info!(
                    library = self.library.name,
                    code,
                    revision,
                    ?former,
                    "function library installed"
                );
                Ok(())
            }
        }
    }

    /// What is there.
    async fn installed(&self, link: &Link) -> Result<Option<LibraryVersion>, RedisError> {
        let mut ask = cmd("FCALL");
        ask.arg(format!("{}_version", self.library.name)).arg(0);
        let answer = link.answer(&ask).await?;
        if is_function_missing(&answer) {
            return Ok(None);
        }
        match Answer::understand(answer) {
            Ok(Answer::List(parts)) => match &parts[..] {
                [Answer::Integer(code), Answer::Bytes(revision), Answer::Bytes(settings)] => {
                    let revision = std::str::from_utf8(revision).ok().and_then(|text| text.parse().ok());
                    Ok(Some(LibraryVersion {
                        code: u64::try_from(*code).unwrap_or(0),
                        revision: revision.unwrap_or(0),
                        settings: String::from_utf8_lossy(settings).into_owned(),
                    }))
                }
                _ => Err(self.foreign()),
            },
            Ok(_) => Err(self.foreign()),
            Err(error) => Err(without_functions(error)),
        }
    }

    async fn load(&self, link: &Link) -> Result<(), RedisError> {
        let mut load = cmd("FUNCTION");
        load.arg("LOAD").arg("REPLACE").arg(&self.library.code);
        match link.answer(&load).await? {
            Value::ServerError(error) => Err(without_functions(error.into())),
            _ => Ok(()),
        }
    }

    /// Brings it before anybody can call it. Where that fails, live events work all the same.
    pub(crate) async fn bring(&self, link: &Link, patience: &Patience) -> Option<Lacking> {
        let why = self.install(link, patience).await.err()?;
        tracing::warn!(%why, "the function library is not there");
        Some(Lacking::new(&self.state))
    }

    /// Keeps it as it should be on a server, for as long as the link stands.
    pub(crate) async fn keep(&self, link: &Link, patience: &Patience, mut lacking: Option<Lacking>) {
        loop {
            sleep(if lacking.is_none() { LOOK } else { AGAIN }).await;
            match (self.install(link, patience).await, &lacking) {
                (Ok(()), _) => lacking = None,
                (Err(_), Some(_)) => {} // said once
                (Err(why), None) => {
                    tracing::warn!(%why, "the function library is not there any more");
                    lacking = Some(Lacking::new(&self.state));
                }
            }
        }
    }

    fn foreign(&self) -> RedisError {
        let name = &self.library.name;
        RedisError::Refused(format!(
            "the function {name}_version in Redis is not ours: choose another redis.prefix"
        ))
    }
}

/// Servers before 7.0 know no such command, and say so in many words.
fn without_functions(error: RedisError) -> RedisError {
    match error {
        RedisError::Refused(words) if words.starts_with("ERR unknown command") => {
            RedisError::Refused(format!(
                "this Redis has no Functions, so there is no history and no keys: 7.0 or later is needed ({words})"
            ))
        }
        other => other,
    }
}
