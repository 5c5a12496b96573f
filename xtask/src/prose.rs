//! `cargo xtask prose`: counts what can be counted of the project's language, and names each place.
//!
//! CONTRIBUTING.md says how texts are written. The counts are an alarm and not the goal: a count above
//! [`LIMITS`] means that a sentence was added that people have to read twice.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use crate::workspace;

/// Which places to print.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Options {
    /// Print every place, and not only those of counts that are too high
    #[arg(long)]
    all: bool,
}

/// What is counted, in the order of [`LIMITS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A pronoun in the place of a noun: "nobody", "whoever".
    Pronoun,
    /// "for that" in the sense of "because".
    ForThat,
    /// A comment that begins with "So many".
    SoMany,
    /// A function whose name says nothing.
    Function,
    /// A doc comment of three words or fewer.
    ShortDoc,
}

/// How often each may occur in code and documents.
const LIMITS: [(Fault, &str, usize); 5] = [
    (Fault::Pronoun, "pronouns as nouns", PRONOUNS),
    (Fault::ForThat, "\"for that\"", FOR_THAT),
    (Fault::SoMany, "comments that begin with \"So many\"", SO_MANY),
    (Fault::Function, "functions named look, tell, of, say, hear or see", FUNCTIONS),
    (Fault::ShortDoc, "doc comments of three words or fewer", SHORT_DOCS),
];
const PRONOUNS: usize = 7;
const FOR_THAT: usize = 6;
const SO_MANY: usize = 0;
const FUNCTIONS: usize = 0;
const SHORT_DOCS: usize = 191;

const PRONOUN_WORDS: [&str; 6] =
    ["nobody", "somebody", "whoever", "whomever", "everybody", "anybody"];
const FUNCTION_NAMES: [&str; 10] =
    ["look", "tell", "tells", "told", "of", "say", "says", "hear", "see", "hears"];
const SO_WORDS: [&str; 6] = ["many", "long", "soon", "often", "far", "much"];

/// One place.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    fault: Fault,
    line: usize,
    text: String,
}

/// Counts, prints, and fails where a count is above its limit.
pub(crate) fn prose(options: Options) -> Result<()> {
    let root = workspace::root();
    let mut found: Vec<(String, Place)> = Vec::new();
    for path in files(root)? {
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        let Some(kind) = Kind::new(&name) else { continue };
        let text = fs::read_to_string(&path).unwrap_or_default();
        found.extend(kind.places(&text).into_iter().map(|place| (name.clone(), place)));
    }
    let mut too_many = Vec::new();
    for (fault, name, limit) in LIMITS {
        let places = || found.iter().filter(|(_, place)| place.fault == fault);
        let count = places().count();
        println!("{count} {name}, at most {limit}");
        if options.all || count > limit {
            for (path, Place { line, text, .. }) in places() {
                println!("    {path}:{line}: {text}");
            }
        }
        if count > limit {
            too_many.push(name);
        }
    }
    if !too_many.is_empty() {
        bail!("too many: {}", too_many.join(", "));
    }
    Ok(())
}

/// Returns the files below a directory in the order of their names, without hidden ones and what cargo builds.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    let mut all = Vec::new();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            all.extend(files(&path)?);
        } else if metadata.is_file() {
            all.push(path);
        }
    }
    Ok(all)
}

/// What is counted in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Code,
    Document,
}

impl Kind {
    /// Returns what is counted in the file at this path; nothing in tests, which quote what they judge.
    fn new(path: &str) -> Option<Self> {
        let has = |part: &str| path.split('/').any(|own| own == part);
        let extension = Path::new(path).extension()?.to_str()?;
        match extension {
            "rs" => {
                // A file of xtask, this one, names what it counts.
                let left_out = [
                    "tests", "test", "benches", "examples", "fuzz", "tests.rs", "test.rs", "xtask",
                ];
                (!left_out.iter().any(|part| has(part))).then_some(Self::Code)
            }
            "md" | "service" | "toml" | "catalog" | "sql" => {
                (!path.contains("snapshots")).then_some(Self::Document)
            }
            _ => None,
        }
    }

    fn places(self, text: &str) -> Vec<Place> {
        let text = match self {
            Self::Code => text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text),
            Self::Document => text,
        };
        let mut places = Vec::new();
        let mut doc: Option<(usize, usize)> = None;
        for (index, line) in text.lines().enumerate() {
            let mut add = |fault| {
                places.push(Place { fault, line: index + 1, text: line.trim().to_owned() });
            };
            let words: Vec<String> = words(line);
            for word in &words {
                if PRONOUN_WORDS.contains(&word.as_str()) {
                    add(Fault::Pronoun);
                }
            }
            if words.windows(2).any(|two| two[0] == "for" && two[1] == "that") {
                add(Fault::ForThat);
            }
            if self == Self::Document {
                continue;
            }
            if is_so_many(line) {
                add(Fault::SoMany);
            }
            if let Some(at) = words.iter().position(|word| word == "fn")
                && words.get(at + 1).is_some_and(|name| FUNCTION_NAMES.contains(&name.as_str()))
                && !line.trim_start().starts_with("//")
            {
                add(Fault::Function);
            }
            match (line.trim_start().strip_prefix("///"), &mut doc) {
                (Some(part), Some((_, count))) => *count += part.split_whitespace().count(),
                (Some(part), None) => doc = Some((index + 1, part.split_whitespace().count())),
                (None, _) => {
                    if let Some((at, count)) = doc.take()
                        && count <= 3
                    {
                        let text = text.lines().nth(at - 1).unwrap_or_default().trim().to_owned();
                        places.push(Place { fault: Fault::ShortDoc, line: at, text });
                    }
                }
            }
        }
        places
    }
}

/// Returns the words of a line in lower case; what joins the words of a name separates them.
fn words(line: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.split(|c: char| !is_part(c))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn is_so_many(line: &str) -> bool {
    let line = line.trim_start();
    let Some(text) = line.strip_prefix("//") else { return false };
    let text = text.trim_start_matches(['/', '!']).trim_start();
    text.strip_prefix("So ").is_some_and(|rest| {
        rest.split(|c: char| !c.is_alphabetic()).next().is_some_and(|word| SO_WORDS.contains(&word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(Fault, usize)> {
        Kind::Code.places(text).into_iter().map(|place| (place.fault, place.line)).collect()
    }

    #[test]
    fn each_fault_is_found_at_its_line() {
        let text = "/// Whoever asks first.\nfn first() {}\n/// Bytes.\nstruct Size(u64);\n\
                    // So many are read at once.\nconst MOST: u64 = 1;\nfn tell() {} // told for that\n";
        assert_eq!(
            faults(text),
            [
                (Fault::Pronoun, 1),
                (Fault::ShortDoc, 1),
                (Fault::ShortDoc, 3),
                (Fault::SoMany, 5),
                (Fault::ForThat, 7),
                (Fault::Function, 7),
            ]
        );
    }

    #[test]
    fn names_that_only_contain_such_a_word_and_tests_are_left_alone() {
        let text = "/// Returns the number of runs.\nfn tell_nobody_knows() {}\n\
                    #[cfg(test)]\nmod tests {\n    fn tell() {}\n}\n";
        assert_eq!(faults(text), []);
        assert_eq!(Kind::new("crates/bij-core/src/history/tests.rs"), None);
        assert_eq!(Kind::new("docs/queue.md"), Some(Kind::Document));
    }
}
