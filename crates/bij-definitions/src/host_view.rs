//! What a machine lacks that a definition names.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bij_core::definition::{AbsolutePath, ExperimentSpec};
use bij_core::executable::{Format, Interpreter, MOST_INTERPRETERS, Registered};
use bij_core::{Obstacle, ProgramTrouble, UnknownToEnv};
use nix::fcntl::OFlag;
use nix::unistd::User;

/// So much of a program is read: its headers and the name of its loader lie at its beginning.
const HEAD: u64 = 4096;

/// The machine as an experiment will find it, as far as the caller can tell beforehand.
///
/// Only what certainly keeps an experiment from being started is an [`Obstacle`]. What the caller may not
/// see is not judged.
#[derive(Clone, Copy, Debug)]
pub struct HostView<'a> {
    /// The tree in which programs, directories and interpreters lie.
    pub root: &'a Path,
    /// `$PATH` of the experiment where its definition gives none; `None` if it is not known.
    pub path: Option<&'a str>,
    /// Directories that the experiment sees otherwise than the caller.
    pub hidden: &'a [&'a str],
}

impl HostView<'_> {
    /// Returns everything that keeps an experiment from being started, in the order in which a start would
    /// meet it.
    pub fn obstacles(&self, spec: &ExperimentSpec) -> Vec<Obstacle> {
        let mut obstacles: Vec<Obstacle> = self.user(spec).into_iter().collect();
        obstacles.extend(self.directory(spec));
        obstacles.extend(self.writable(spec));
        obstacles.extend(self.command(spec));
        obstacles
    }

    /// Looks for the account that the experiment is to run as; a number needs none.
    pub fn user(&self, spec: &ExperimentSpec) -> Option<Obstacle> {
        let name = spec.user.as_ref()?;
        let is_missing = name.parse::<u32>().is_err() && matches!(User::from_name(name), Ok(None));
        is_missing.then(|| Obstacle::NoUser { name: name.clone() })
    }

    /// Looks for the working directory.
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

    /// Looks for the places that the experiment is to write to.
    pub fn writable(&self, spec: &ExperimentSpec) -> Option<Obstacle> {
        let is_missing = |path: &&str| {
            fs::metadata(self.below(Path::new(path))).is_err_and(|error| is_absence(&error))
        };
        let path = spec.writable.iter().map(AbsolutePath::as_str).find(is_missing)?;
        Some(Obstacle::NotWritable { path: path.to_owned() })
    }

    /// Looks whether the kernel can execute the command: its program, the interpreters that lead to the
    /// program, and what loads that.
    pub fn command(&self, spec: &ExperimentSpec) -> Option<Obstacle> {
        let program = spec.command.first()?;
        if program.contains('/') {
            let (file, mut interpreters) = (absolute(program, spec)?, Vec::new());
            let trouble = self.trouble(&file, spec, &mut interpreters)?;
            return Some(Obstacle::Program { program: program.clone(), interpreters, trouble });
        }
        let path = spec.environment.get("PATH").map(String::as_str).or(self.path)?;
        let mut met = None;
        for directory in path.split(':') {
            // Another than an absolute directory depends on where the process is.
            if !directory.starts_with('/') {
                return None;
            }
            let mut interpreters = Vec::new();
            let file = Path::new(directory).join(program);
            match self.trouble(&file, spec, &mut interpreters)? {
                ProgramTrouble::Missing if interpreters.is_empty() => {}
                trouble => {
                    let program = file.to_string_lossy().into_owned();
                    met.get_or_insert(Obstacle::Program { program, interpreters, trouble });
                }
            }
        }
        let missing = || Obstacle::NotInPath { program: program.clone(), path: path.to_owned() };
        Some(met.unwrap_or_else(missing))
    }

    /// Looks whether `env`, as the interpreter of the command's script, finds the program that it is asked
    /// for. It is no obstacle: the script is executed.
    pub fn unknown_to_env(&self, spec: &ExperimentSpec) -> Option<UnknownToEnv> {
        let script = absolute(spec.command.first().filter(|program| program.contains('/'))?, spec)?;
        let Format::Script(interpreter) = Format::read(&self.head(&script)?) else { return None };
        let path = spec.environment.get("PATH").map(String::as_str).or(self.path)?;
        let name = interpreter.wanted_of_env()?;
        let is_missing = |directory: &str| {
            let file = Path::new(directory).join(name);
            let is_seen = directory.starts_with('/') && !self.is_hidden(&file);
            is_seen && fs::metadata(self.below(&file)).is_err_and(|error| is_absence(&error))
        };
        let is_unknown = !name.contains('/') && path.split(':').all(is_missing);
        is_unknown.then(|| UnknownToEnv {
            script: script.to_string_lossy().into_owned(),
            name: name.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Returns what keeps the kernel from executing a file, after the interpreters that lead there; `None`
    /// also where that cannot be told.
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
        match Format::read(&head) {
            Format::Script(Interpreter { path, .. }) => {
                interpreters.push(path.clone());
                if interpreters.len() > MOST_INTERPRETERS {
                    return Some(ProgramTrouble::TooManyInterpreters);
                }
                self.trouble(&absolute(&path, spec)?, spec, interpreters)
            }
            Format::Elf { machine, loader } => {
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
            Format::Other => {
                self.is_unknown_to_kernel(file, &head).then_some(ProgramTrouble::UnknownFormat)
            }
        }
    }

    /// Returns what is wrong with a file before it is read, or that nothing is; `None` where the caller
    /// does not see it.
    #[expect(clippy::option_option, reason = "not seen, seen and in order, seen and wrong")]
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

    /// Whether the kernel was certainly told of no format that this file is of. Where the list is not
    /// mounted, as in containers, another mount may have filled it.
    fn is_unknown_to_kernel(&self, file: &Path, head: &[u8]) -> bool {
        let list = self.root.join("proc/sys/fs/binfmt_misc");
        let entries = match fs::read_dir(&list) {
            Ok(entries) => entries,
            // A kernel without it.
            Err(error) => return is_absence(&error),
        };
        if !list.join("status").exists() {
            return false;
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let formats = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
        !formats
            .filter_map(|text| Registered::parse(&text))
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

/// The absolute path of a program; `None` for one relative to a state directory that is yet to be made.
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
