//! Reasons why an experiment certainly cannot be started on a machine, each a sentence with its remedy.

use std::fmt;

use crate::executable::MachineType;
use crate::printable;

/// The reason why an experiment cannot be started although its definition is valid.
///
/// `Display` writes the sentence that `bij check`, the queue, the history and the log all show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The account of the experiment does not exist.
    NoUser {
        /// The name of the account.
        name: String,
    },
    /// Its working directory does not exist.
    NoDirectory {
        /// `directory` of its definition.
        path: String,
    },
    /// Its working directory is not a directory.
    NotADirectory {
        /// `directory` of its definition.
        path: String,
    },
    /// A path that it is to write to does not exist.
    NotWritable {
        /// One of `writable` of its definition.
        path: String,
    },
    /// Its program is in none of the directories of `PATH`.
    NotInPath {
        /// The name of the program.
        program: String,
        /// The value of `PATH`.
        path: String,
    },
    /// The kernel cannot execute its program.
    Program {
        /// The program, as its definition names it.
        program: String,
        /// The chain of interpreters up to the faulty one, each named in the first line of its predecessor.
        interpreters: Vec<String>,
        /// What is wrong with the last interpreter, or with the program if there is none.
        trouble: ProgramTrouble,
    },
}

/// What is wrong with a file that is to be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramTrouble {
    /// It does not exist.
    Missing,
    /// It is a directory.
    Directory,
    /// Its mode permits no user to execute it.
    NotExecutable,
    /// It is neither an ELF program nor a script that names its interpreter.
    UnknownFormat,
    /// It is a program for another machine.
    OtherMachine {
        /// The machine that it was built for.
        machine: MachineType,
        /// The architecture of this machine.
        here: &'static str,
    },
    /// The program that loads it does not exist.
    NoLoader {
        /// The path of the loader.
        loader: String,
    },
    /// Too many interpreters are scripts themselves.
    TooManyInterpreters,
}

impl Obstacle {
    /// Returns the key of the definition to which the obstacle belongs.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::NoUser { .. } => "user",
            Self::NoDirectory { .. } | Self::NotADirectory { .. } => "directory",
            Self::NotWritable { .. } => "writable",
            Self::NotInPath { .. } | Self::Program { .. } => "command",
        }
    }

    /// Returns whether the program exists and is executable, and only its contents keep the kernel from
    /// executing it. A start is then an attempt that fails, and the history shows the reason.
    pub fn is_in_file_contents(&self) -> bool {
        let Self::Program { interpreters, trouble, .. } = self else { return false };
        let is_of_file = matches!(
            trouble,
            ProgramTrouble::Missing | ProgramTrouble::Directory | ProgramTrouble::NotExecutable
        );
        !(is_of_file && interpreters.is_empty())
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUser { name } => write!(
                f,
                "there is no user {}: create the account, or change `user`; without `user` the experiment \
                 gets a user of its own",
                printable(name)
            ),
            Self::NoDirectory { path } => {
                let path = printable(path);
                write!(
                    f,
                    "the directory {path} is not there: mkdir -p {path}, or change `directory`"
                )
            }
            Self::NotADirectory { path } => {
                write!(f, "{} is not a directory: change `directory`", printable(path))
            }
            Self::NotWritable { path } => {
                let path = printable(path);
                write!(
                    f,
                    "{path}, which the experiment is to write to, is not there: mkdir -p {path}"
                )
            }
            Self::NotInPath { program, path } => write!(
                f,
                "{} is not an executable file in any directory of the experiment's PATH ({}): give its absolute \
                 path in `command`",
                printable(program),
                printable(path)
            ),
            Self::Program { program, interpreters, trouble } => {
                let Some((last, before)) = interpreters.split_last() else {
                    return trouble.write(f, &printable(program));
                };
                let script = printable(before.last().unwrap_or(program));
                write!(f, "{}: ", printable(program))?;
                trouble.write_of_interpreter(f, last, &script)
            }
        }
    }
}

impl ProgramTrouble {
    fn write(&self, f: &mut fmt::Formatter<'_>, program: &str) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "{program} is not there: install it, or change `command`"),
            Self::Directory => {
                write!(f, "{program} is a directory: name the program in it in `command`")
            }
            Self::NotExecutable => write!(
                f,
                "{program} is not executable: chmod +x {program}, or put its interpreter before it in \
                 `command`"
            ),
            Self::UnknownFormat => write!(
                f,
                "{program} is neither a program nor a script that names its interpreter: begin it with a \
                 line such as #!/bin/sh, or put its interpreter before it in `command`"
            ),
            Self::OtherMachine { machine, here } => write!(
                f,
                "{program} is a program for {machine}, and this machine is {here}: install the one for {here}"
            ),
            Self::NoLoader { loader } => write!(
                f,
                "{program} is loaded by {}, which is not there: install the C library that it was built for, \
                 or a build for this system",
                printable(loader)
            ),
            Self::TooManyInterpreters => {
                write!(f, "{program} has too many interpreters that are scripts themselves")
            }
        }
    }

    /// Writes what is wrong with the interpreter that the first line of `script` names.
    fn write_of_interpreter(
        &self,
        f: &mut fmt::Formatter<'_>,
        interpreter: &str,
        script: &str,
    ) -> fmt::Result {
        let shown = printable(interpreter);
        match self {
            // A terminal does not show the carriage return, so the interpreter would seem to exist.
            Self::Missing if interpreter.ends_with('\r') => write!(
                f,
                "its interpreter {shown} is not there, because the lines of the file end as on Windows: \
                 sed -i 's/\\r$//' {script}"
            ),
            Self::Missing => write!(
                f,
                "its interpreter {shown} is not there: install it, or change the first line of {script}"
            ),
            Self::Directory => write!(
                f,
                "its interpreter {shown} is a directory: change the first line of {script}"
            ),
            Self::NotExecutable => {
                write!(f, "its interpreter {shown} is not executable: chmod +x {shown}")
            }
            Self::TooManyInterpreters => write!(
                f,
                "more than {} interpreters are scripts themselves: change the first line of {script}",
                crate::executable::MAX_INTERPRETERS
            ),
            Self::UnknownFormat | Self::OtherMachine { .. } | Self::NoLoader { .. } => {
                f.write_str("its interpreter ")?;
                self.write(f, &shown)
            }
        }
    }
}

/// A name that `env` will not find: the script is executed and exits with code 127 at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownToEnv {
    /// The script whose first line names it.
    pub script: String,
    /// The name of the program.
    pub name: String,
    /// The value of `PATH`.
    pub path: String,
}

impl fmt::Display for UnknownToEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (script, name) = (printable(&self.script), printable(&self.name));
        write!(
            f,
            "{script}: env finds no {name} in the experiment's PATH ({})",
            printable(&self.path)
        )?;
        if self.name.ends_with('\r') {
            write!(
                f,
                ", because the lines of the file end as on Windows: sed -i 's/\\r$//' {script}"
            )
        } else if self.name.contains(' ') {
            f.write_str(", because the first line passes all words as one: use env -S")
        } else {
            f.write_str(
                ": install it, set PATH in [environment], or name its path in the first line",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(interpreters: &[&str], trouble: ProgramTrouble) -> String {
        let interpreters = interpreters.iter().map(ToString::to_string).collect();
        Obstacle::Program { program: "/opt/run".to_owned(), interpreters, trouble }.to_string()
    }

    #[test]
    fn line_ends_of_windows_are_reported() {
        assert_eq!(
            program(&["/bin/bash\r"], ProgramTrouble::Missing),
            "/opt/run: its interpreter /bin/bash\\r is not there, because the lines of the file end as on \
             Windows: sed -i 's/\\r$//' /opt/run"
        );
        let unknown = UnknownToEnv {
            script: "/opt/run".to_owned(),
            name: "python3\r".to_owned(),
            path: "/bin".to_owned(),
        };
        assert!(unknown.to_string().contains("python3\\r"), "{unknown}");
        assert!(unknown.to_string().ends_with("sed -i 's/\\r$//' /opt/run"), "{unknown}");
    }

    #[test]
    fn the_remedy_for_an_interpreter_is_in_the_file_that_names_it() {
        assert_eq!(
            program(&["/opt/wrap", "/gone/sh"], ProgramTrouble::Missing),
            "/opt/run: its interpreter /gone/sh is not there: install it, or change the first line of \
             /opt/wrap"
        );
        let here = "x86_64";
        assert_eq!(
            program(&["/opt/sh"], ProgramTrouble::OtherMachine { machine: MachineType(183), here }),
            "/opt/run: its interpreter /opt/sh is a program for aarch64, and this machine is x86_64: install \
             the one for x86_64"
        );
    }

    #[test]
    fn text_from_files_is_safe_on_a_terminal() {
        for text in [
            program(&["/bin/\u{1b}[2J"], ProgramTrouble::Missing),
            program(&[], ProgramTrouble::NoLoader { loader: "/l\u{1b}[2J".to_owned() }),
            Obstacle::NoDirectory { path: "/a\nb".to_owned() }.to_string(),
        ] {
            assert!(text.chars().all(crate::is_printable), "{text:?}");
        }
    }
}
