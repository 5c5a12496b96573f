//! What it reads and how long it talks.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::TURNS;
use crate::text::sentences;

/// The project's own documents: what the mind reads unless it is given something else.
const OWN_DOCUMENTS: [&str; 4] = [
    include_str!("../../../../README.md"),
    include_str!("../../../../ARCHITECTURE.md"),
    include_str!("../../../../docs/protocol.md"),
    include_str!("../../../README.md"),
];

/// The command line, understood, and the texts it names, read.
#[derive(Debug)]
pub(crate) struct Options {
    /// The sentences to read, in words.
    pub(crate) text: Vec<Vec<String>>,
    /// Turns of the whole conversation.
    pub(crate) turns: u64,
}

/// Why it cannot begin.
#[derive(Debug, Error)]
pub(crate) enum OptionsError {
    #[error("{option} needs a number")]
    NoNumber { option: &'static str },
    #[error("{found:?} is no option; use [--turns N] [TEXT]...")]
    Unknown { found: String },
    #[error("could not read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("there is no sentence of four words or more to read")]
    NoText,
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, OptionsError> {
        let mut arguments = arguments;
        let mut options = Self { text: Vec::new(), turns: TURNS };
        let mut paths: Vec<PathBuf> = Vec::new();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--turns") => options.turns = number("--turns", arguments.next())?,
                Some(option) if option.starts_with('-') => {
                    return Err(OptionsError::Unknown { found: option.to_owned() });
                }
                _ => paths.push(argument.into()),
            }
        }
        let texts = if paths.is_empty() {
            OWN_DOCUMENTS.map(str::to_owned).to_vec()
        } else {
            paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?
        };
        options.text = texts.iter().flat_map(|text| sentences(text)).collect();
        if options.text.is_empty() { Err(OptionsError::NoText) } else { Ok(options) }
    }
}

fn number(option: &'static str, value: Option<OsString>) -> Result<u64, OptionsError> {
    let parsed = value.and_then(|value| value.to_str()?.parse().ok());
    parsed.ok_or(OptionsError::NoNumber { option })
}

/// Reads a text of any encoding: what is not UTF-8 is still something to babble about.
fn read(path: &Path) -> Result<String, OptionsError> {
    let bytes = fs::read(path)
        .map_err(|source| OptionsError::Unreadable { path: path.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, OptionsError> {
        Options::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn without_arguments_it_reads_the_projects_own_documents() {
        let options = parse(&[]).unwrap();
        assert!(options.text.len() > 50, "{} sentences", options.text.len());
        assert_eq!(options.turns, TURNS);
    }

    #[test]
    fn what_it_cannot_use_is_named() {
        for (arguments, expected) in [
            (&["--turns"][..], "--turns needs a number"),
            (&["--turns", "many"], "--turns needs a number"),
            (&["--speed", "9"], "\"--speed\" is no option"),
            (&["/no/such/text"], "could not read /no/such/text"),
            (&["/dev/null"], "there is no sentence"),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
