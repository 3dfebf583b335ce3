//! How the process ends when something went wrong: one sentence and a code.

use std::process::ExitCode;

use crate::print;

/// A failure on its way to the exit code: 1 failed, 2 usage or configuration.
#[derive(Debug)]
pub(crate) struct Exit {
    code: u8,
    error: anyhow::Error,
}

impl Exit {
    /// It was asked for rightly and failed: 1.
    pub(crate) fn failed(error: anyhow::Error) -> Self {
        Self { code: 1, error }
    }

    /// The command line or the configuration is wrong: 2.
    pub(crate) fn configuration(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 2, error: error.into() }
    }

    /// Says why, and gives the code.
    pub(crate) fn report(self) -> ExitCode {
        print::note(&format!("tidegate: {:#}", self.error));
        ExitCode::from(self.code)
    }
}
