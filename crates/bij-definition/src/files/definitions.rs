//! Finding the definition of an experiment.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bij_core::port::{
    DefinitionError, DefinitionSource, FindError, FoundDefinition, Problem, SourceLocation, Warning,
};
use bij_core::spec::ExperimentSpec;
use bij_core::{Authority, ExperimentId, Layout, Obstacle};
use nix::unistd::User;

use super::fingerprint::stamp;
use super::host_view::HostView;
use super::read::{FileTrust, ReadError, problem, read, read_owned};
use super::walk::authority;
use crate::{Definition, Runner, Settings, SourceFile, SpecOverlay, Syntax};

/// The definition files of one installation.
#[derive(Clone, Debug)]
pub struct Definitions {
    pub(crate) layout: Layout,
    /// The accounts that may have written them.
    pub(crate) authority: Authority,
}

/// The name and content of a file.
struct FileContent {
    name: String,
    bytes: Vec<u8>,
}

impl FileContent {
    fn file(&self) -> SourceFile<'_> {
        SourceFile::new(&self.name, &self.bytes)
    }
}

/// The file that defines an experiment.
struct DefiningFile {
    source: FileContent,
    syntax: Syntax,
    /// Whether it is in the directory of older configs and cannot be a definition.
    is_config: bool,
}

impl Definitions {
    /// Creates the definitions of an installation. Files that an untrusted account could have written are
    /// refused. Root is trusted, and in a tree or home directory also the caller.
    pub fn new(layout: Layout) -> Self {
        Self { authority: authority(&layout), layout }
    }

    /// Returns the paths of the installation.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the settings, which are the defaults without files, and harmless oddities of their files.
    ///
    /// # Errors
    /// [`DefinitionError`] if the settings cannot be used.
    pub fn settings(&self) -> Result<(Settings, Vec<Warning>), DefinitionError> {
        let mut settings = self.settings_file()?;
        let env = self.read_settings(&self.layout.settings_env())?;
        let warnings = env.map(|env| settings.lay_over(env.file())).transpose()?;
        Ok((settings, warnings.unwrap_or_default()))
    }

    /// Returns the settings without `coordinator.env`, which only the coordinator needs: an error in it must
    /// not keep experiments from running.
    pub(crate) fn settings_file(&self) -> Result<Settings, DefinitionError> {
        match self.read_settings(&self.layout.settings())? {
            Some(source) => Settings::parse(source.file()),
            None => Ok(Settings::default()),
        }
    }

    /// Returns what [`find`](DefinitionSource::find) will return after these extras are
    /// [set](Self::set_extras), with the same stamp.
    ///
    /// # Errors
    /// As `find`.
    pub fn find_with(
        &self,
        id: &ExperimentId,
        extras: &SpecOverlay,
    ) -> Result<FoundDefinition, FindError> {
        let text = extras.to_toml();
        let name = name_of(&self.extras_path(id));
        let source = (!extras.is_empty()).then(|| FileContent { name, bytes: text.into_bytes() });
        self.assemble(id, source.as_ref())
    }

    /// Returns the extras of an experiment's next or current run.
    ///
    /// # Errors
    /// [`FindError`] if their file cannot be used.
    pub fn extras(&self, id: &ExperimentId) -> Result<Option<SpecOverlay>, FindError> {
        let source = self.read_trusted(id, &self.extras_path(id))?;
        source.map(|source| parse_extras(id, &source)).transpose()
    }

    /// Returns the definition in any file with the name `<id>.toml` or `<id>.json`, merged with the `.env`
    /// file in the same directory. No other file is read.
    ///
    /// # Errors
    /// [`FindError::Unreadable`] if there is no such file, otherwise as
    /// [`find`](DefinitionSource::find).
    pub fn find_file(&self, path: &Path) -> Result<FoundDefinition, FindError> {
        let unreadable = |source| FindError::Unreadable { path: name_of(path), source };
        let path = std::path::absolute(path).map_err(unreadable)?;
        // If the file does not exist, the name is mistyped, and its other problems are irrelevant.
        path.symlink_metadata().map_err(unreadable)?;
        let (id, syntax) = id_and_syntax(&path)?;
        let read = |path: &Path| {
            read_content(path, FileTrust::Any).map_err(|error| find_error(&id, path, error))
        };
        let source = read(&path)?.ok_or_else(|| unreadable(ErrorKind::NotFound.into()))?;
        let env = read(&path.with_extension("env"))?;
        let file = DefiningFile { source, syntax, is_config: false };
        self.parse(&id, &file, env.as_ref(), None)
    }

    pub(crate) fn extras_path(&self, id: &ExperimentId) -> PathBuf {
        self.layout.extras().join(format!("{id}.toml"))
    }

    pub(crate) fn env_path(&self, id: &ExperimentId) -> PathBuf {
        self.layout.definitions().join(format!("{id}.env"))
    }

    fn assemble(
        &self,
        id: &ExperimentId,
        extras: Option<&FileContent>,
    ) -> Result<FoundDefinition, FindError> {
        let file = self.defining_file(id)?;
        let env = self.read_trusted(id, &self.env_path(id))?;
        self.parse(id, &file, env.as_ref(), extras)
    }

    fn parse(
        &self,
        id: &ExperimentId,
        file: &DefiningFile,
        env: Option<&FileContent>,
        extras: Option<&FileContent>,
    ) -> Result<FoundDefinition, FindError> {
        let DefiningFile { source, syntax, is_config } = file;
        let overlay = extras.map(|extras| parse_extras(id, extras)).transpose()?;
        let runner =
            || -> Result<Option<Runner>, DefinitionError> { Ok(self.settings_file()?.runner) };
        let mut definition = Definition::new(id, source.file(), *syntax).with_runner(&runner);
        if *is_config {
            definition = definition.only_config();
        }
        if let Some(env) = env {
            definition = definition.with_env(env.file());
        }
        if let Some(overlay) = &overlay {
            definition = definition.with_overlay(overlay);
        }
        let parsed =
            definition.parse().map_err(|source| FindError::Invalid { id: id.clone(), source })?;
        Ok(FoundDefinition {
            stamp: stamp(&source.name, &parsed.spec),
            spec: parsed.spec,
            source: source.name.clone(),
            warnings: parsed.warnings,
        })
    }

    /// Returns the file that defines an experiment, from the first directory in the search order that has one.
    fn defining_file(&self, id: &ExperimentId) -> Result<DefiningFile, FindError> {
        for directory in [self.layout.definitions(), self.layout.submitted()] {
            let toml = directory.join(format!("{id}.toml"));
            let json = directory.join(format!("{id}.json"));
            let Some(source) = self.read_trusted(id, &toml)? else {
                match self.read_trusted(id, &json)? {
                    Some(source) => {
                        let syntax = Syntax::Json;
                        return Ok(DefiningFile { source, syntax, is_config: false });
                    }
                    None => continue,
                }
            };
            if json.symlink_metadata().is_ok() {
                return Err(two_files(id, &source.name, &json));
            }
            return Ok(DefiningFile { source, syntax: Syntax::Toml, is_config: false });
        }
        match self.config(id)? {
            Some(source) => Ok(DefiningFile { source, syntax: Syntax::Json, is_config: true }),
            None => Err(self.missing(id)),
        }
    }

    /// Reads a file that only the trusted accounts may have written.
    fn read_trusted(
        &self,
        id: &ExperimentId,
        path: &Path,
    ) -> Result<Option<FileContent>, FindError> {
        let read = read_content(path, FileTrust::Authority(self.authority));
        read.map_err(|error| find_error(id, path, error))
    }

    /// Reads the older tool's config of an experiment.
    ///
    /// It may belong to an untrusted account. That account then controls the input of the runner's command,
    /// so the command must not run with more rights than that account has: it runs as the owner of the config
    /// or as a dynamic user.
    fn config(&self, id: &ExperimentId) -> Result<Option<FileContent>, FindError> {
        let Some((runner, path)) = self.runner_and_config(id)? else { return Ok(None) };
        if self.authority != Authority::ROOT {
            return self.read_trusted(id, &path);
        }
        let read = read_owned(&path, FileTrust::Owner);
        let Some((bytes, ownership)) = read.map_err(|error| find_error(id, &path, error))? else {
            return Ok(None);
        };
        let owner = ownership.uid;
        if let Some(user) = &runner.user
            && owner != 0
            && user_id(user) != Some(owner)
        {
            return Err(invalid(id, foreign_config(&path, owner, user)));
        }
        Ok(Some(FileContent { name: name_of(&path), bytes }))
    }

    /// Reads a file of the settings.
    fn read_settings(&self, path: &Path) -> Result<Option<FileContent>, DefinitionError> {
        read_content(path, FileTrust::Authority(self.authority)).map_err(|error| {
            DefinitionError::one(match error {
                ReadError::Refused(problem) => problem,
                ReadError::Io(error) => problem(path, format!("cannot be read: {error}"), None),
            })
        })
    }

    /// Returns the path of the older tool's config of an experiment, if the settings have a directory of
    /// configs.
    pub(crate) fn config_path(&self, id: &ExperimentId) -> Result<Option<PathBuf>, FindError> {
        Ok(self.runner_and_config(id)?.map(|(_, path)| path))
    }

    fn runner_and_config(&self, id: &ExperimentId) -> Result<Option<(Runner, PathBuf)>, FindError> {
        let settings =
            self.settings_file().map_err(|source| FindError::Invalid { id: id.clone(), source })?;
        Ok(settings.runner.and_then(|runner| {
            let directory = Path::new(runner.config_directory.as_ref()?.as_str());
            let path = directory.join(format!("{id}.json"));
            Some((runner, path))
        }))
    }

    fn missing(&self, id: &ExperimentId) -> FindError {
        let mut looked_for = Vec::new();
        for directory in [self.layout.definitions(), self.layout.submitted()] {
            looked_for.push(name_of(&directory.join(format!("{id}.toml"))));
            looked_for.push(name_of(&directory.join(format!("{id}.json"))));
        }
        if let Ok(Some(path)) = self.config_path(id) {
            looked_for.push(name_of(&path));
        }
        let env = self.env_path(id);
        if env.symlink_metadata().is_ok() {
            looked_for.push(format!("and found only {}, which names no command", name_of(&env)));
        }
        FindError::Missing { id: id.clone(), looked_for }
    }
}

impl DefinitionSource for Definitions {
    fn find(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        let extras = match self.read_trusted(id, &self.extras_path(id)) {
            // Extras can contain secrets, so only root may read them; others get the definition without them.
            Err(FindError::Unreadable { source, .. })
                if source.kind() == ErrorKind::PermissionDenied =>
            {
                Ok(None)
            }
            read => read,
        }?;
        self.assemble(id, extras.as_ref())
    }

    fn find_without_extras(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        self.assemble(id, None)
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, FindError> {
        self.list()
    }

    fn obstacles(&self, spec: &ExperimentSpec, path: Option<&str>) -> Vec<Obstacle> {
        HostView { root: Path::new("/"), path, hidden: &[] }.obstacles(spec)
    }

    fn fingerprint(&self, id: &ExperimentId) -> u64 {
        self.fingerprint_of_files(id)
    }
}

/// Returns a path for messages: absolute, and printable even if it is not UTF-8.
pub(crate) fn name_of(path: &Path) -> String {
    let absolute = (!path.is_absolute()).then(|| std::path::absolute(path).ok()).flatten();
    absolute.as_deref().unwrap_or(path).to_string_lossy().into_owned()
}

fn read_content(path: &Path, trust: FileTrust) -> Result<Option<FileContent>, ReadError> {
    Ok(read(path, trust)?.map(|bytes| FileContent { name: name_of(path), bytes }))
}

/// Returns the error of a file that cannot be read. A file that is refused is an invalid definition.
fn find_error(id: &ExperimentId, path: &Path, error: ReadError) -> FindError {
    match error {
        ReadError::Refused(problem) => invalid(id, problem),
        ReadError::Io(source) => FindError::Unreadable { path: name_of(path), source },
    }
}

/// Returns the user id of a user given by name or number; `None` if there is no such user.
fn user_id(user: &str) -> Option<u32> {
    let number = user.parse().ok();
    number.or_else(|| Some(User::from_name(user).ok()??.uid.as_raw()))
}

fn foreign_config(path: &Path, owner: u32, user: &str) -> Problem {
    let message = format!(
        "belongs to uid {owner}, but [runner] user is {user}: a config is passed only to a command that runs \
         as the config's owner or as a dynamic user"
    );
    let hint = format!(
        "check its contents, then: chown {user} {}; or set [runner] user to its owner, or remove it",
        path.display()
    );
    problem(path, message, Some(hint))
}

fn invalid(id: &ExperimentId, problem: Problem) -> FindError {
    FindError::Invalid { id: id.clone(), source: DefinitionError::one(problem) }
}

fn parse_extras(id: &ExperimentId, extras: &FileContent) -> Result<SpecOverlay, FindError> {
    SpecOverlay::parse(extras.file())
        .map_err(|source| FindError::Invalid { id: id.clone(), source })
}

fn two_files(id: &ExperimentId, toml: &str, json: &Path) -> FindError {
    let json = name_of(json);
    invalid(
        id,
        Problem {
            location: SourceLocation { file: toml.to_owned(), line: None },
            key: None,
            message: format!("{json} also defines {id}"),
            hint: Some("keep one of the two files".to_owned()),
        },
    )
}

/// Returns the id and the syntax of a definition from the name of its file.
fn id_and_syntax(path: &Path) -> Result<(ExperimentId, Syntax), FindError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let id = ExperimentId::new(&stem)
        .map_err(|source| FindError::BadName { path: name_of(path), source })?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Ok((id, Syntax::Toml)),
        Some("json") => Ok((id, Syntax::Json)),
        _ => {
            let problem = Problem {
                location: SourceLocation { file: name_of(path), line: None },
                key: None,
                message: "the name of a definition ends in .toml or .json".to_owned(),
                hint: Some("to run a command without a definition: bij run -- COMMAND".to_owned()),
            };
            Err(invalid(&id, problem))
        }
    }
}
