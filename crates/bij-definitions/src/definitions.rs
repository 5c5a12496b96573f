//! Finding one experiment's definition.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bij_core::definition::{
    Definition, DefinitionError, ExperimentSpec, Place, Problem, Runner, Settings, SourceFile,
    SpecOverlay, Syntax, Warning,
};
use bij_core::port::{DefinitionSource, FindError, Found};
use bij_core::{Authority, ExperimentId, Layout, Obstacle};
use nix::unistd::User;

use crate::host_view::HostView;
use crate::read::{ReadError, Whose, problem, read, read_owned};
use crate::stamp::stamp;
use crate::walk::authority;

/// The definition files of one installation.
#[derive(Clone, Debug)]
pub struct Definitions {
    pub(crate) layout: Layout,
    /// Who may have written them.
    pub(crate) authority: Authority,
}

/// A file that was read.
struct Source {
    name: String,
    bytes: Vec<u8>,
}

impl Source {
    fn file(&self) -> SourceFile<'_> {
        SourceFile::new(&self.name, &self.bytes)
    }
}

/// The file that defines an experiment.
struct Candidate {
    source: Source,
    syntax: Syntax,
    /// It lies where older configs lie, and is nothing else.
    is_config: bool,
}

impl Definitions {
    /// The definitions of an installation. A file that another account than root, or the caller in a tree
    /// or home directory, could have written is refused.
    pub fn new(layout: Layout) -> Self {
        Self { authority: authority(&layout), layout }
    }

    /// Where they lie.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The settings, and what is odd about their files; empty if there are none.
    ///
    /// # Errors
    /// [`DefinitionError`] if they cannot be used.
    pub fn settings(&self) -> Result<(Settings, Vec<Warning>), DefinitionError> {
        let mut settings = self.settings_file()?;
        let env = self.in_settings(&self.layout.settings_env())?;
        let warnings = env.map(|env| settings.lay_over(env.file())).transpose()?;
        Ok((settings, warnings.unwrap_or_default()))
    }

    /// The settings without the older names, which only the coordinator needs: a mistake there
    /// must not keep experiments from running.
    pub(crate) fn settings_file(&self) -> Result<Settings, DefinitionError> {
        match self.in_settings(&self.layout.settings())? {
            Some(source) => Settings::parse(source.file()),
            None => Ok(Settings::default()),
        }
    }

    /// What [`find`](DefinitionSource::find) will find once these extras are
    /// [set](Self::set_extras), with the stamp that it will have then.
    ///
    /// # Errors
    /// As `find`.
    pub fn find_with(&self, id: &ExperimentId, extras: &SpecOverlay) -> Result<Found, FindError> {
        let text = extras.to_toml();
        let name = name_of(&self.extras_path(id));
        let source = (!extras.is_empty()).then(|| Source { name, bytes: text.into_bytes() });
        self.assemble(id, source.as_ref())
    }

    /// The extras that are set for an experiment's next or current run.
    ///
    /// # Errors
    /// [`FindError`] if their file cannot be used.
    pub fn extras(&self, id: &ExperimentId) -> Result<Option<SpecOverlay>, FindError> {
        let source = self.own(id, &self.extras_path(id))?;
        source.map(|source| parse_extras(id, &source)).transpose()
    }

    /// A definition in any file, with the `.env` beside it; its name must be `<id>.toml` or
    /// `<id>.json`.
    ///
    /// Nothing else is laid over it, and no other place is looked at.
    ///
    /// # Errors
    /// [`FindError::Unreadable`] if there is no such file, otherwise as
    /// [`find`](DefinitionSource::find).
    pub fn find_file(&self, path: &Path) -> Result<Found, FindError> {
        let unreadable = |source| FindError::Unreadable { path: name_of(path), source };
        let path = std::path::absolute(path).map_err(unreadable)?;
        // A name that is no file's is mistyped; what else is wrong with it helps nobody.
        path.symlink_metadata().map_err(unreadable)?;
        let (id, syntax) = identity(&path)?;
        let named = |path: &Path| {
            read_source(path, Whose::Named).map_err(|error| of_definition(&id, path, error))
        };
        let source = named(&path)?.ok_or_else(|| unreadable(ErrorKind::NotFound.into()))?;
        let env = named(&path.with_extension("env"))?;
        let candidate = Candidate { source, syntax, is_config: false };
        self.read_found(&id, &candidate, env.as_ref(), None)
    }

    pub(crate) fn extras_path(&self, id: &ExperimentId) -> PathBuf {
        self.layout.extras().join(format!("{id}.toml"))
    }

    pub(crate) fn env_path(&self, id: &ExperimentId) -> PathBuf {
        self.layout.definitions().join(format!("{id}.env"))
    }

    fn assemble(&self, id: &ExperimentId, extras: Option<&Source>) -> Result<Found, FindError> {
        let candidate = self.candidate(id)?;
        let env = self.own(id, &self.env_path(id))?;
        self.read_found(id, &candidate, env.as_ref(), extras)
    }

    fn read_found(
        &self,
        id: &ExperimentId,
        candidate: &Candidate,
        env: Option<&Source>,
        extras: Option<&Source>,
    ) -> Result<Found, FindError> {
        let Candidate { source, syntax, is_config } = candidate;
        let overlay = extras.map(|extras| parse_extras(id, extras)).transpose()?;
        let ask =
            || -> Result<Option<Runner>, DefinitionError> { Ok(self.settings_file()?.runner) };
        let mut definition = Definition::new(id, source.file(), *syntax).with_runner(&ask);
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
        Ok(Found {
            stamp: stamp(&source.name, &parsed.spec),
            spec: parsed.spec,
            source: source.name.clone(),
            warnings: parsed.warnings,
        })
    }

    /// The file that defines an experiment, the strongest place first.
    fn candidate(&self, id: &ExperimentId) -> Result<Candidate, FindError> {
        for directory in [self.layout.definitions(), self.layout.submitted()] {
            let toml = directory.join(format!("{id}.toml"));
            let json = directory.join(format!("{id}.json"));
            let Some(source) = self.own(id, &toml)? else {
                match self.own(id, &json)? {
                    Some(source) => {
                        let syntax = Syntax::Json;
                        return Ok(Candidate { source, syntax, is_config: false });
                    }
                    None => continue,
                }
            };
            if json.symlink_metadata().is_ok() {
                return Err(two_files(id, &source.name, &json));
            }
            return Ok(Candidate { source, syntax: Syntax::Toml, is_config: false });
        }
        match self.config(id)? {
            Some(source) => Ok(Candidate { source, syntax: Syntax::Json, is_config: true }),
            None => Err(self.missing(id)),
        }
    }

    /// Reads a file that only the authority may have written.
    fn own(&self, id: &ExperimentId, path: &Path) -> Result<Option<Source>, FindError> {
        let read = read_source(path, Whose::Only(self.authority));
        read.map_err(|error| of_definition(id, path, error))
    }

    /// Reads the older tool's config of an experiment.
    ///
    /// It may belong to another account than the authority's. That account then decides what the runner's
    /// command is given to read, so the command must not run with more rights than that account has: it
    /// runs as the config's owner or as a dynamic user.
    fn config(&self, id: &ExperimentId) -> Result<Option<Source>, FindError> {
        let Some((runner, path)) = self.runner_and_config(id)? else { return Ok(None) };
        if self.authority != Authority::ROOT {
            return self.own(id, &path);
        }
        let read = read_owned(&path, Whose::Owners);
        let Some((bytes, ownership)) = read.map_err(|error| of_definition(id, &path, error))?
        else {
            return Ok(None);
        };
        let owner = ownership.uid;
        if let Some(user) = &runner.user
            && owner != 0
            && uid_of(user) != Some(owner)
        {
            return Err(invalid(id, foreign_config(&path, owner, user)));
        }
        Ok(Some(Source { name: name_of(&path), bytes }))
    }

    /// Reads a file of the settings.
    fn in_settings(&self, path: &Path) -> Result<Option<Source>, DefinitionError> {
        read_source(path, Whose::Only(self.authority)).map_err(|error| {
            DefinitionError::one(match error {
                ReadError::Refused(problem) => problem,
                ReadError::Io(error) => problem(path, format!("cannot be read: {error}"), None),
            })
        })
    }

    /// Where the older tool's config of an experiment would lie.
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
    fn find(&self, id: &ExperimentId) -> Result<Found, FindError> {
        let extras = match self.own(id, &self.extras_path(id)) {
            // Extras can hold secrets and are root's to read: others see the definition without them.
            Err(FindError::Unreadable { source, .. })
                if source.kind() == ErrorKind::PermissionDenied =>
            {
                Ok(None)
            }
            read => read,
        }?;
        self.assemble(id, extras.as_ref())
    }

    fn find_without_extras(&self, id: &ExperimentId) -> Result<Found, FindError> {
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

/// A path for people: absolute, and readable even if it is no UTF-8.
pub(crate) fn name_of(path: &Path) -> String {
    let absolute = (!path.is_absolute()).then(|| std::path::absolute(path).ok()).flatten();
    absolute.as_deref().unwrap_or(path).to_string_lossy().into_owned()
}

fn read_source(path: &Path, whose: Whose) -> Result<Option<Source>, ReadError> {
    Ok(read(path, whose)?.map(|bytes| Source { name: name_of(path), bytes }))
}

/// What is no file at all is an error of the definition.
fn of_definition(id: &ExperimentId, path: &Path, error: ReadError) -> FindError {
    match error {
        ReadError::Refused(problem) => invalid(id, problem),
        ReadError::Io(source) => FindError::Unreadable { path: name_of(path), source },
    }
}

/// The user id that `user` of a definition means, if there is such a user.
fn uid_of(user: &str) -> Option<u32> {
    let number = user.parse().ok();
    number.or_else(|| Some(User::from_name(user).ok()??.uid.as_raw()))
}

fn foreign_config(path: &Path, owner: u32, user: &str) -> Problem {
    let message = format!(
        "belongs to uid {owner}, and [runner] user is {user}: a config is given only to a command that \
         runs as the config's owner, or as a dynamic user"
    );
    let hint = format!(
        "look at what it says, then: chown {user} {}; or set [runner] user to its owner, or leave it out",
        path.display()
    );
    problem(path, message, Some(hint))
}

fn invalid(id: &ExperimentId, problem: Problem) -> FindError {
    FindError::Invalid { id: id.clone(), source: DefinitionError::one(problem) }
}

fn parse_extras(id: &ExperimentId, extras: &Source) -> Result<SpecOverlay, FindError> {
    SpecOverlay::parse(extras.file())
        .map_err(|source| FindError::Invalid { id: id.clone(), source })
}

fn two_files(id: &ExperimentId, toml: &str, json: &Path) -> FindError {
    let json = name_of(json);
    invalid(
        id,
        Problem {
            place: Place { file: toml.to_owned(), line: None },
            key: None,
            message: format!("{json} defines {id} as well"),
            hint: Some("keep one of the two files".to_owned()),
        },
    )
}

/// The id and the syntax that a file's name says.
fn identity(path: &Path) -> Result<(ExperimentId, Syntax), FindError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let id = ExperimentId::new(&stem)
        .map_err(|source| FindError::BadName { path: name_of(path), source })?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Ok((id, Syntax::Toml)),
        Some("json") => Ok((id, Syntax::Json)),
        _ => {
            let problem = Problem {
                place: Place { file: name_of(path), line: None },
                key: None,
                message: "the name of a definition ends in .toml or .json".to_owned(),
                hint: Some("a command of your own is started with: bij run -- COMMAND".to_owned()),
            };
            Err(invalid(&id, problem))
        }
    }
}
