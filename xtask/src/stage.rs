//! Lays out the installed tree, exactly as a package will have it.
//!
//! | from | to |
//! | --- | --- |
//! | program `bij` | `usr/bin/` |
//! | programs `bij-hook`, `bij-exec`, `bijd`, `bij-notify` | `usr/libexec/brain-in-jar/` |
//! | every program of `examples/` | `usr/libexec/brain-in-jar/examples/` |
//! | `examples/definitions/*`, `examples/python/*` | `usr/share/brain-in-jar/examples/` |
//! | `README.md` and its like, `LICENSE-*`, `docs/**` | `usr/share/doc/bij/`, where their links still lead |
//! | `units/**` | the same path below the tree's root |
//! | what the program `bij-manpages` writes | `usr/share/man/man1/` |
//! | what `bij completions` prints | where bash, zsh and fish look for it below `usr/share/` |
//!
//! A file below `units/` lies at its final path already: `units/usr/lib/systemd/system/brain.slice`
//! becomes `usr/lib/systemd/system/brain.slice`. Symbolic links stay links, and an executable stays
//! executable; every other file gets mode 0644, and every directory 0755.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell;
use crate::workspace::{self, Metadata};

/// The programs a package has: the crate, the program, its directory.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("bij-cli", "bij", "usr/bin"),
    ("bij-hook", "bij-hook", "usr/libexec/brain-in-jar"),
    ("bij-exec", "bij-exec", "usr/libexec/brain-in-jar"),
    ("bijd", "bijd", "usr/libexec/brain-in-jar"),
    ("bijd", "bij-notify", "usr/libexec/brain-in-jar"),
];

/// The crate whose programs are the example experiments.
const EXAMPLES: &str = "bij-examples";

/// Shells that complete, and where each looks for the script of a program.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/bij"),
    // Debian's and Ubuntu's place; other distributions move it to `site-functions`.
    ("zsh", "usr/share/zsh/vendor-completions/_bij"),
    ("fish", "usr/share/fish/vendor_completions.d/bij.fish"),
];

/// Which C library programs are linked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linking {
    /// This host's.
    Native,
    /// The oldest that any of the laboratory's distributions has.
    Portable,
}

/// The profile of Cargo.toml that programs are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What a package has.
    Release,
    /// What the laboratory's machines get: built faster.
    Machines,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Machines => "machines",
        }
    }
}

/// `cargo xtask stage DIR`.
pub(crate) fn stage(directory: &Path) -> Result<()> {
    stage_with(Linking::Native, Profile::Release, directory)?;
    println!("staged in {}", directory.display());
    Ok(())
}

/// Builds everything and lays it out in `directory`.
pub(crate) fn stage_with(linking: Linking, profile: Profile, directory: &Path) -> Result<()> {
    let metadata = Metadata::read()?;
    let examples = metadata.programs(EXAMPLES);
    let programs: Vec<(&str, &str, &str)> = PROGRAMS
        .iter()
        .copied()
        .chain(examples.iter().map(|&name| (EXAMPLES, name, "usr/libexec/brain-in-jar/examples")))
        .collect();
    let packages: Vec<&str> = programs.iter().map(|(package, ..)| *package).collect();
    let programs_directory = build_programs(linking, profile, &metadata, &packages)?;
    clear(directory)?;
    for (_, program, to) in &programs {
        install(&programs_directory.join(program), &directory.join(to).join(program), 0o755)?;
    }
    write_generated(&programs_directory, directory)?;
    let root = workspace::root();
    mirror(&root.join("units"), directory)?;
    for part in ["definitions", "python"] {
        let examples = directory.join("usr/share/brain-in-jar/examples");
        mirror(&root.join("examples").join(part), &examples)?;
    }
    let documents = directory.join("usr/share/doc/bij");
    mirror(&root.join("docs"), &documents.join("docs"))?;
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
    ] {
        install(&root.join(name), &documents.join(name), 0o644)?;
    }
    fs::create_dir_all(directory.join("etc/brain-in-jar/experiments"))?;
    open_directories(directory)
}

/// Writes what is generated from the command line, by the programs in this directory: completions and manual pages.
fn write_generated(programs: &Path, directory: &Path) -> Result<()> {
    for (shell, path) in COMPLETIONS {
        let bij = programs.join("bij");
        let script = shell::read(Command::new(bij).args(["completions", shell]))?;
        write(&directory.join(path), &script)?;
    }
    let pages = directory.join("usr/share/man/man1");
    fs::create_dir_all(&pages)?;
    shell::run_quietly(Command::new(programs.join("bij-manpages")).arg(&pages))?;
    for page in fs::read_dir(&pages)? {
        let page = page?.path();
        fs::set_permissions(&page, fs::Permissions::from_mode(0o644))?;
        compress(&page)?;
    }
    Ok(())
}

/// Compresses a document as Debian does, without a time in it.
fn compress(path: &Path) -> Result<()> {
    shell::run_quietly(Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(path))
}

/// Lays out in `directory` what lies staged in another one.
pub(crate) fn copy(staged: &Path, directory: &Path) -> Result<()> {
    clear(directory)?;
    mirror(staged, directory)?;
    open_directories(directory)
}

/// Builds these packages' programs; returns the directory they lie in.
pub(crate) fn build_programs(
    linking: Linking,
    profile: Profile,
    metadata: &Metadata,
    packages: &[&str],
) -> Result<PathBuf> {
    let mut command = shell::cargo();
    let directory = if linking == Linking::Portable {
        crate::lab::portable::prepare(&mut command)?;
        metadata.target_directory.join(crate::lab::portable::TARGET).join(profile.name())
    } else {
        command.arg("build");
        metadata.target_directory.join(profile.name())
    };
    command.args(["--quiet", "--bins", "--profile", profile.name()]);
    for package in packages {
        command.args(["--package", package]);
    }
    shell::run(&mut command)?;
    Ok(directory)
}

/// A program that cargo built for a package's tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestProgram {
    /// Its target's name.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Whether it runs tests; the others are programs and examples that tests execute by their path.
    pub(crate) runs_tests: bool,
}

/// Builds a package's test programs, and the programs and examples that they execute, in the profile in
/// which all tests are built.
pub(crate) fn build_tests(linking: Linking, package: &str) -> Result<Vec<TestProgram>> {
    let mut command = match linking {
        Linking::Native => {
            let mut cargo = shell::cargo();
            cargo.arg("test");
            cargo
        }
        Linking::Portable => crate::lab::portable::test()?,
    };
    command.args([
        "--quiet",
        "--no-run",
        "--message-format=json",
        "--all-features",
        "--package",
        package,
    ]);
    let messages = shell::read(&mut command)?;
    let built: Vec<TestProgram> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| {
            Some(TestProgram {
                name: message["target"]["name"].as_str()?.to_owned(),
                path: message["executable"].as_str().map(PathBuf::from)?,
                runs_tests: message["profile"]["test"].as_bool()?,
            })
        })
        .collect();
    ensure!(built.iter().any(|program| program.runs_tests), "cargo built no test of {package}");
    Ok(built)
}

/// Empties a directory that a former stage made; refuses one that holds anything else.
fn clear(directory: &Path) -> Result<()> {
    let ours = ["usr", "etc"];
    if directory.is_dir() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if !ours.iter().any(|name| entry.file_name() == *name) {
                bail!(
                    "{} holds {}, which no stage laid out: give a directory of its own",
                    directory.display(),
                    entry.file_name().display()
                );
            }
            fs::remove_dir_all(entry.path())?;
        }
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}

/// Copies a tree, links as links.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            mirror(&source, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)
                .with_context(|| format!("cannot link {}", target.display()))?;
        } else {
            let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
            install(&source, &target, if executable { 0o755 } else { 0o644 })?;
        }
    }
    Ok(())
}

/// Gives every directory mode 0755, whatever umask they were made with.
fn open_directories(directory: &Path) -> Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_directories(&entry.path())?;
        }
    }
    Ok(())
}

/// Writes a text file.
fn write(to: &Path, text: &str) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

/// Copies one file and gives it this mode.
pub(crate) fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_tree_keeps_links_and_modes() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("deep")).unwrap();
        fs::write(from.path().join("deep/plain"), "text").unwrap();
        fs::set_permissions(from.path().join("deep/plain"), fs::Permissions::from_mode(0o600))
            .unwrap();
        fs::write(from.path().join("script"), "#!/bin/sh").unwrap();
        fs::set_permissions(from.path().join("script"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("../script", from.path().join("deep/link")).unwrap();

        mirror(from.path(), to.path()).unwrap();

        let mode = |path: &str| fs::metadata(to.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode("deep/plain") & 0o777, 0o644);
        assert_eq!(mode("script") & 0o777, 0o755);
        assert_eq!(fs::read_link(to.path().join("deep/link")).unwrap(), Path::new("../script"));
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_not_emptied() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("thesis.tex"), "years of work").unwrap();
        assert!(clear(directory.path()).is_err());
        assert!(directory.path().join("thesis.tex").exists());
    }
}
