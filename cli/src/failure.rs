//! Why a command did not do what it was asked, and the exit code that says so.

use std::process::ExitCode;

use serde_json::Value;

use crate::problem::Problem;

/// What a command that could run to its end found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is done; or the answer is yes.
    Yes,
    /// The answer is no: there is a difference, it is not allowed, a node lacks it.
    No,
}

impl Done {
    /// 0 for yes, 1 for no.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Done::Yes => ExitCode::SUCCESS,
            Done::No => ExitCode::from(1),
        }
    }

    /// Yes if it `holds`.
    pub(crate) fn when(holds: bool) -> Self {
        if holds { Done::Yes } else { Done::No }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was written on the command line cannot be meant.
    #[error("heddle: {0}")]
    Usage(String),
    /// The server refused it, with reasons.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Something failed here, or the server answered what no Heddle server answers.
    #[error("heddle: {0}")]
    Failed(String),
    /// No server answered.
    #[error("heddle: {0}")]
    Unreachable(String),
}

impl Failure {
    /// The exit code that stands for it.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }

    /// The same as a number.
    pub(crate) fn number(&self) -> u8 {
        match self {
            Failure::Refused(_) | Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unreachable(_) => 3,
        }
    }

    /// It as programs read it: as the server sent it, or in the same form.
    pub(crate) fn json(&self) -> Value {
        match self {
            Failure::Refused(problem) => problem.json(),
            Failure::Usage(words) => {
                Problem::here("usage", "The command line cannot be meant", words).json()
            }
            Failure::Failed(words) => Problem::here("failed", "It failed", words).json(),
            Failure::Unreachable(words) => {
                Problem::here("unreachable", "No server answered", words).json()
            }
        }
    }

    /// That `attempt` failed, as `error` says.
    pub(crate) fn of(attempt: &str, error: impl std::fmt::Display) -> Self {
        Failure::Failed(format!("{attempt}: {error}"))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Refused(Box::new(problem))
    }
}
