//! The command line of `bijd`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::Long;
use thiserror::Error;

/// The arguments of one call of `bijd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorCall {
    /// `--user`: coordinates the experiments of the calling user instead of the system's.
    pub user: bool,
    /// `--root DIR`: the tree of all paths, by default `/`.
    pub root: PathBuf,
    /// `--board DIR`: another tree to read the hardware from, including memory, such as a captured board for trying out
    /// heat control.
    pub board: Option<PathBuf>,
}

/// The arguments are invalid.
#[derive(Debug, Error)]
#[error("{0}; usage: bijd [--user] [--root DIR] [--board DIR]")]
pub struct CoordinatorUsage(#[from] lexopt::Error);

impl CoordinatorCall {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`CoordinatorUsage`] names the argument that is wrong.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, CoordinatorUsage> {
        let mut call = Self { user: false, root: PathBuf::from("/"), board: None };
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("user") => call.user = true,
                Long("root") => call.root = parser.value()?.into(),
                Long("board") => {
                    // The unit passes a variable of an operator's drop-in, which is empty by default.
                    let board = parser.value()?;
                    call.board = Some(board).filter(|board| !board.is_empty()).map(Into::into);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<CoordinatorCall, CoordinatorUsage> {
        CoordinatorCall::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn known_options_are_read_and_others_refused() {
        let call = parse(&["--user", "--root", "/tree", "--board", "/agx"]).unwrap();
        let board = Some("/agx".into());
        assert_eq!(call, CoordinatorCall { user: true, root: "/tree".into(), board });
        let plain = CoordinatorCall { user: false, root: "/".into(), board: None };
        assert_eq!(parse(&[]).unwrap(), plain);
        assert_eq!(parse(&["--board", ""]).unwrap(), plain, "as in the unit");
        for bad in [&["--root"][..], &["--board"], &["start"], &["--usr"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
