//! The command line of `bijd`.

use std::ffi::OsString;
use std::path::PathBuf;

use thiserror::Error;

/// One call of `bijd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorCall {
    /// Whose it is: the system's, or a user's (`--user`).
    pub user: bool,
    /// The tree that all paths lie in: `/`, or what `--root` says.
    pub root: PathBuf,
    /// Another tree to read the hardware from, memory included (`--board DIR`): a captured board, to try
    /// out what heat does.
    pub board: Option<PathBuf>,
}

/// The command line is of another form.
#[derive(Debug, Error)]
#[error("usage: bijd [--user] [--root DIR] [--board DIR]")]
pub struct CoordinatorUsage;

impl CoordinatorCall {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`CoordinatorUsage`] if they are no call.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, CoordinatorUsage> {
        let mut call = Self { user: false, root: PathBuf::from("/"), board: None };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--user") => call.user = true,
                Some("--root") => call.root = arguments.next().ok_or(CoordinatorUsage)?.into(),
                Some("--board") => {
                    let board = arguments.next().ok_or(CoordinatorUsage)?;
                    // The unit passes a variable of an operator's drop-in, which is empty by default.
                    call.board = Some(board).filter(|board| !board.is_empty()).map(Into::into);
                }
                Some(_) | None => return Err(CoordinatorUsage),
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
    fn its_few_options_are_read_and_others_refused() {
        let call = parse(&["--user", "--root", "/tree", "--board", "/agx"]).unwrap();
        let board = Some("/agx".into());
        assert_eq!(call, CoordinatorCall { user: true, root: "/tree".into(), board });
        let plain = CoordinatorCall { user: false, root: "/".into(), board: None };
        assert_eq!(parse(&[]).unwrap(), plain);
        assert_eq!(parse(&["--board", ""]).unwrap(), plain, "as the unit has it");
        for bad in [&["--root"][..], &["--board"], &["start"], &["--usr"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
