//! What went wrong, of which kind, and what to do about it.

mod coordinator;
mod ports;

use std::error::Error;
use std::io;
use std::process::ExitCode;

pub(crate) use ports::of_file;

/// What kind of error it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A job failed: the experiment did not start or stop as asked.
    Failed,
    /// The command line is wrong.
    Usage,
    /// An error in bij, or one it knows no better name for.
    Internal,
    /// A definition, or a file that it names, is wrong or missing.
    Definition,
    /// No such experiment.
    NotFound,
    /// The caller may not do this.
    Permission,
    /// The service manager or the coordinator cannot be reached.
    Unreachable,
    /// Not possible here.
    Unsupported,
    /// The state database failed.
    Database,
}

impl Kind {
    /// The exit code, as told by `bij --help` and docs/cli.md.
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

/// An error on its way to the person who typed the command.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) kind: Kind,
    /// What happened and why, outermost first.
    pub(crate) chain: Vec<String>,
    /// What to do about it.
    pub(crate) hints: Vec<String>,
    /// The reader of our output has gone away: nothing is to be said.
    pub(crate) broken_pipe: bool,
}

impl CliError {
    /// An error that has no cause below it.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, chain: vec![message.into()], hints: Vec::new(), broken_pipe: false }
    }

    /// An error with all of its causes.
    pub(crate) fn of(kind: Kind, error: &dyn Error) -> Self {
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

    /// Adds a remedy.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The whole chain without line breaks.
    pub(crate) fn in_one_line(&self) -> String {
        let sentence = self.sentence();
        sentence.lines().map(str::trim).collect::<Vec<_>>().join("; ")
    }

    /// The whole chain as one sentence.
    pub(crate) fn sentence(&self) -> String {
        self.chain.join(": ")
    }
}

impl From<io::Error> for CliError {
    /// An error in writing to our own output: everything else names its file first.
    fn from(error: io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        Self {
            broken_pipe,
            ..Self::new(Kind::Internal, format!("cannot write the output: {error}"))
        }
    }
}
