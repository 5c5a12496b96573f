//! Errors of the command line: the kind, the message and the remedies.

mod remedies;

use std::error::Error;
use std::io;
use std::process::ExitCode;

pub(crate) use remedies::file_error;

/// The kind of an error, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A job failed: the experiment did not start or stop as asked.
    Failed,
    /// The command line is wrong.
    Usage,
    /// An error in bij, or one without a kind of its own.
    Internal,
    /// A definition, or a file that it names, is wrong or missing.
    Definition,
    /// There is no such experiment, run or group.
    NotFound,
    /// The caller may not do this.
    Permission,
    /// The service manager or the coordinator cannot be reached.
    Unreachable,
    /// The request is not possible on this machine or in this scope.
    Unsupported,
    /// The state database failed.
    Database,
}

impl Kind {
    /// Returns the exit code, which `bij --help` and docs/cli.md document.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Internal => 100,
            Self::Definition => 101,
            Self::NotFound => 102,
            Self::Permission => 103,
            Self::Unreachable => 104,
            Self::Unsupported => 105,
            Self::Database => 106,
        }
    }
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        Self::from(kind.code())
    }
}

/// An error that is reported to the caller of `bij`.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) kind: Kind,
    /// The message and its causes, outermost first.
    pub(crate) chain: Vec<String>,
    /// Remedies, each printed as a line of its own.
    pub(crate) hints: Vec<String>,
    /// Whether the reader of stdout has closed it; then nothing is reported.
    pub(crate) broken_pipe: bool,
}

impl CliError {
    /// Creates an error without a cause.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, chain: vec![message.into()], hints: Vec::new(), broken_pipe: false }
    }

    /// Creates an error from another one, with all of its causes.
    pub(crate) fn from_error(kind: Kind, error: &dyn Error) -> Self {
        let mut chain = vec![error.to_string()];
        let mut next = error.source();
        while let Some(source) = next {
            let text = source.to_string();
            // Some libraries repeat their source in their own text.
            if chain.last().is_none_or(|last| !last.contains(&text)) {
                chain.push(text);
            }
            next = source.source();
        }
        Self { kind, chain, hints: Vec::new(), broken_pipe: false }
    }

    /// Returns the error with one more remedy.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the whole chain without line breaks.
    pub(crate) fn in_one_line(&self) -> String {
        let sentence = self.sentence();
        sentence.lines().map(str::trim).collect::<Vec<_>>().join("; ")
    }

    /// Returns the whole chain as one sentence.
    pub(crate) fn sentence(&self) -> String {
        self.chain.join(": ")
    }
}

impl From<io::Error> for CliError {
    /// Creates the error for output that cannot be written. Errors of files are converted by [`file_error`].
    fn from(error: io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        Self {
            broken_pipe,
            ..Self::new(Kind::Internal, format!("cannot write the output: {error}"))
        }
    }
}
