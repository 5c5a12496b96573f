//! Obstacles: resources that a definition names and that the machine lacks.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bij_core::executable::{ExecutableFormat, Interpreter, MAX_INTERPRETERS, RegisteredFormat};
use bij_core::spec::{AbsolutePath, ExperimentSpec};
use bij_core::{Obstacle, ProgramTrouble, UnknownToEnv};
use nix::fcntl::OFlag;
use nix::unistd::User;

/// The number of bytes that are read of a program; its headers and the name of its loader are at its beginning.
const HEAD: u64 = 4096;

/// The machine as an experiment will see it, as far as the caller can see it.
///
/// Only what certainly keeps an experiment from being started is an [`Obstacle`]. Files that the caller may not
/// see are not checked.
#[derive(Clone, Copy, Debug)]
pub struct HostView<'a> {
    /// The root directory of programs, directories and interpreters.
    pub root: &'a Path,
    /// `$PATH` of the experiment if its definition sets none; `None` if it is not known.
    pub path: Option<&'a str>,
    /// Directories that have other contents for the experiment than for the caller.
    pub hidden: &'a [&'a str],
}

impl HostView<'_> {
    /// Returns all obstacles of an experiment, in the order in which a start would meet them.
    pub fn obstacles(&self, spec: &ExperimentSpec) -> Vec<Obstacle> {
        let mut obstacles: Vec<Obstacle> = self.user(spec).into_iter().collect();
        obstacles.extend(self.directory(spec));
        obstacles.extend(self.writable(spec));
        obstacles.extend(self.command(spec));
        obstacles
    }

    /// Checks that the account of the experiment exists; a number needs no account.
    pub fn user(&self, spec: &ExperimentSpec) -> Option<Obstacle> {
        let name = spec.user.as_ref()?;
        let is_missing = name.parse::<u32>().is_err() && matches!(User::from_name(name), Ok(None));
        is_missing.then(|| Obstacle::NoUser { name: name.clone() })
    }

    /// Checks that the working directory exists.
    pub fn directory(&self, spec: &ExperimentSpec) -> Option<Obstacle> {
        let path = spec.directory.as_ref()?.as_str();
        match fs::metadata(self.below(Path::new(path))) {
            Ok(file) if file.is_dir() => None,
            Ok(_) => Some(Obstacle::NotADirectory { path: path.to_owned() }),
            Err(error) => {
                is_absence(&error).then(|| Obstacle::NoDirectory { path: path.to_owned() })
            }
        }
    }

    /// Checks that the paths that the experiment writes to exist.
    pub fn writable(&self, spec: &ExperimentSpec) -> Option<Obstacle> {
        let is_missing = |path: &&str| {
            fs::metadata(self.below(Path::new(path))).is_err_and(|error| is_absence(&error))
        };
        let path = spec.writable.iter().map(AbsolutePath::as_str).find(is_missing)?;
        Some(Obstacle::NotWritable { path: path.to_owned() })
    }

    /// Checks that the kernel can execute the command: its program, the interpreters of its script, and the
    /// loader.
    pub fn command(&self, spec: &ExperimentSpec) -> Option<Obstacle> {
        let program = spec.command.first()?;
        if program.contains('/') {
            let (file, mut interpreters) = (absolute(program, spec)?, Vec::new());
            let trouble = self.trouble(&file, spec, &mut interpreters)?;
            return Some(Obstacle::Program { program: program.clone(), interpreters, trouble });
        }
        let path = spec.environment.get("PATH").map(String::as_str).or(self.path)?;
        let mut first = None;
        for directory in path.split(':') {
            // A relative directory depends on the working directory of the process.
            if !directory.starts_with('/') {
                return None;
            }
            let mut interpreters = Vec::new();
            let file = Path::new(directory).join(program);
            match self.trouble(&file, spec, &mut interpreters)? {
                ProgramTrouble::Missing if interpreters.is_empty() => {}
                trouble => {
                    let program = file.to_string_lossy().into_owned();
                    first.get_or_insert(Obstacle::Program { program, interpreters, trouble });
                }
            }
        }
        let missing = || Obstacle::NotInPath { program: program.clone(), path: path.to_owned() };
        Some(first.unwrap_or_else(missing))
    }

    /// Checks that `env`, as the interpreter of the command's script, finds its program. A missing program is
    /// not an obstacle, because the script is executed.
    pub fn unknown_to_env(&self, spec: &ExperimentSpec) -> Option<UnknownToEnv> {
        let script = absolute(spec.command.first().filter(|program| program.contains('/'))?, spec)?;
        let ExecutableFormat::Script(interpreter) = ExecutableFormat::read(&self.head(&script)?)
        else {
            return None;
        };
        let path = spec.environment.get("PATH").map(String::as_str).or(self.path)?;
        let name = interpreter.env_program()?;
        let is_missing = |directory: &str| {
            let file = Path::new(directory).join(name);
            let is_visible = directory.starts_with('/') && !self.is_hidden(&file);
            is_visible && fs::metadata(self.below(&file)).is_err_and(|error| is_absence(&error))
        };
        let is_unknown = !name.contains('/') && path.split(':').all(is_missing);
        is_unknown.then(|| UnknownToEnv {
            script: script.to_string_lossy().into_owned(),
            name: name.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Returns what keeps the kernel from executing a file, and adds its interpreters to `interpreters`;
    /// `None` also if that cannot be determined.
    fn trouble(
        &self,
        file: &Path,
        spec: &ExperimentSpec,
        interpreters: &mut Vec<String>,
    ) -> Option<ProgramTrouble> {
        if let Some(trouble) = self.trouble_with_mode(file)? {
            return Some(trouble);
        }
        let head = self.head(file)?;
        match ExecutableFormat::read(&head) {
            ExecutableFormat::Script(Interpreter { path, .. }) => {
                interpreters.push(path.clone());
                if interpreters.len() > MAX_INTERPRETERS {
                    return Some(ProgramTrouble::TooManyInterpreters);
                }
                self.trouble(&absolute(&path, spec)?, spec, interpreters)
            }
            ExecutableFormat::Elf { machine, loader } => {
                let here = std::env::consts::ARCH;
                if machine.is_foreign_to(here) {
                    return self
                        .is_unknown_to_kernel(file, &head)
                        .then_some(ProgramTrouble::OtherMachine { machine, here });
                }
                let loader = loader?;
                let is_missing = matches!(
                    self.trouble_with_mode(&absolute(&loader, spec)?)?,
                    Some(ProgramTrouble::Missing)
                );
                is_missing.then_some(ProgramTrouble::NoLoader { loader })
            }
            ExecutableFormat::Other => {
                self.is_unknown_to_kernel(file, &head).then_some(ProgramTrouble::UnknownFormat)
            }
        }
    }

    /// Returns what is wrong with the type and mode of a file, if anything is; `None` if the caller cannot
    /// see it.
    #[expect(clippy::option_option, reason = "not visible, visible and right, visible and wrong")]
    fn trouble_with_mode(&self, file: &Path) -> Option<Option<ProgramTrouble>> {
        if self.is_hidden(file) {
            return None;
        }
        match fs::metadata(self.below(file)) {
            Err(error) => is_absence(&error).then_some(Some(ProgramTrouble::Missing)),
            Ok(file) if file.is_dir() => Some(Some(ProgramTrouble::Directory)),
            Ok(file) if file.permissions().mode() & 0o111 == 0 => {
                Some(Some(ProgramTrouble::NotExecutable))
            }
            Ok(_) => Some(None),
        }
    }

    /// Returns whether no format registered with the kernel's `binfmt_misc` matches this file. `false` if the
    /// list is not mounted, as in containers, because the host may have registered formats.
    fn is_unknown_to_kernel(&self, file: &Path, head: &[u8]) -> bool {
        let list = self.root.join("proc/sys/fs/binfmt_misc");
        let entries = match fs::read_dir(&list) {
            Ok(entries) => entries,
            // The kernel has no `binfmt_misc`.
            Err(error) => return is_absence(&error),
        };
        if !list.join("status").exists() {
            return false;
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let formats = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
        !formats
            .filter_map(|text| RegisteredFormat::parse(&text))
            .any(|format| format.matches(&name, head))
    }

    /// Reads the beginning of a regular file; `None` if the caller cannot.
    fn head(&self, file: &Path) -> Option<Vec<u8>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
        let file = options.open(self.below(file)).ok()?;
        file.metadata().ok().filter(fs::Metadata::is_file)?;
        let mut head = Vec::new();
        file.take(HEAD).read_to_end(&mut head).ok()?;
        Some(head)
    }

    fn is_hidden(&self, file: &Path) -> bool {
        self.hidden.iter().any(|hidden| file.starts_with(hidden))
    }

    fn below(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// Returns the absolute path of a program; `None` if it is relative to the state directory, which may not exist
/// yet.
fn absolute(program: &str, spec: &ExperimentSpec) -> Option<PathBuf> {
    match (program.starts_with('/'), &spec.directory) {
        (true, _) => Some(PathBuf::from(program)),
        (false, Some(directory)) => Some(Path::new(directory.as_str()).join(program)),
        (false, None) => None,
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;
