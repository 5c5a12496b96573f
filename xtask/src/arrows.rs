//! `cargo xtask arrows`: who may depend on whom, and under which licence others' code comes.
//!
//! ARCHITECTURE.md draws the arrows; this table is what holds them. A crate that is not in it, or an
//! arrow that is not, is an error: drawing a new one is a decision, made here and in the drawing.

mod licence;

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::shell;
use crate::workspace::{Metadata, Package};

/// Of each of our crates: those it may build on, and those that its tests may use besides.
const OURS: &[(&str, &[&str], &[&str])] = &[
    ("bij-core", &[], &[]),
    ("bij-api", &["bij-core"], &["bij-definition", "bij-fuzz"]),
    ("bij-cgroup", &["bij-core"], &[]),
    ("bij-definition", &["bij-core"], &["bij-fuzz"]),
    ("bij-store", &["bij-core"], &["bij-sim", "bij-fuzz"]),
    ("bij-host", &["bij-core", "bij-definition"], &[]),
    ("bij-systemd", &["bij-core", "bij-cgroup"], &["bij-sim", "bij-fuzz"]),
    ("bij-coordinator", &["bij-core", "bij-definition"], &["bij-sim", "bij-store"]),
    ("bij-jetson", &["bij-core"], &["bij-sim", "bij-fuzz"]),
    (
        "bij-local",
        &["bij-core", "bij-cgroup", "bij-host"],
        &["bij-sim", "bij-store", "bij-definition", "bij-fuzz"],
    ),
    ("bij-sim", &["bij-core"], &[]),
    ("bij-exec", &[], &[]),
    ("bij-fuzz", &[], &[]),
    ("bij-experiment", &[], &["bij-core"]),
    (
        "bij-hook",
        &[
            "bij-core",
            "bij-api",
            "bij-cgroup",
            "bij-definition",
            "bij-host",
            "bij-jetson",
            "bij-store",
            "bij-systemd",
        ],
        &["bij-sim"],
    ),
    ("bijd", WITH_HOOKS, &["bij-sim", "bij-fuzz"]),
    ("bij-cli", ADAPTERS, &[]),
    ("bij-examples", &["bij-experiment"], &["bij-core", "bij-definition"]),
    ("bij-e2e", &[], ADAPTERS),
    ("xtask", &["bij-e2e"], &[]),
];

/// What only a composition root may name.
const ADAPTERS: &[&str] = &[
    "bij-core",
    "bij-api",
    "bij-cgroup",
    "bij-coordinator",
    "bij-definition",
    "bij-host",
    "bij-jetson",
    "bij-store",
    "bij-systemd",
    "bij-local",
];

/// The same, and the hooks: the coordinator reads what they leave.
const WITH_HOOKS: &[&str] = &[
    "bij-core",
    "bij-api",
    "bij-cgroup",
    "bij-coordinator",
    "bij-definition",
    "bij-hook",
    "bij-host",
    "bij-jetson",
    "bij-store",
    "bij-systemd",
];

/// Crates of others that stay inside some of ours, tests included: what they do is that crate's job.
const GUARDED: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["bij-store"], "SQL stays in the store"),
    ("zbus", &["bij-systemd", "bij-api"], "the bus stays in its adapters"),
    ("clap", &["bij-cli", "xtask"], "libraries and hooks have no command line to speak of"),
    ("anyhow", &["bij-hook", "bijd", "xtask"], "libraries name their errors"),
    ("toml", &["bij-definition"], "definitions are parsed in one place"),
    ("jsonc-parser", &["bij-definition"], "definitions are parsed in one place"),
    (
        "tokio",
        &[
            "bij-api",
            "bij-coordinator",
            "bij-systemd",
            "bij-local",
            "bij-hook",
            "bijd",
            "bij-cli",
            "bij-sim",
        ],
        "the rest needs no runtime",
    ),
];

/// How many packages, itself included, a program may have to compile that takes one of our crates with its default
/// features.
const SIZES: &[(&str, usize)] =
    &[("bij-core", 7), ("bij-experiment", 1), ("bij-jetson", 12), ("bij-systemd", 38)];

/// Checks every arrow, every licence and the size of crates; the error names all that are wrong.
pub(crate) fn check() -> Result<()> {
    let metadata = Metadata::read_with_dependencies()?;
    let members: Vec<&Package> = metadata.members().collect();
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut wrong: Vec<String> =
        members.iter().flat_map(|member| wrong_arrows(member, &names)).collect();
    wrong.extend(metadata.packages.iter().filter_map(licence::objection));
    for (name, limit) in SIZES {
        let tree =
            shell::read(shell::cargo().args(["tree", "-p", name, "-e", "normal"]).args(PLAIN))?;
        wrong.extend(too_large(name, &tree, *limit));
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!(
        "{} crates of ours, {} in all: every arrow is drawn, every licence is fine",
        members.len(),
        metadata.packages.len()
    );
    Ok(())
}

/// Has `cargo tree` print one package a line.
const PLAIN: [&str; 4] = ["--prefix", "none", "--format", "{p}"];

/// Returns an objection if the packages of a tree are more than the limit.
fn too_large(name: &str, tree: &str, limit: usize) -> Option<String> {
    // A package that occurs again is marked.
    let packages: BTreeSet<&str> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|l| !l.is_empty()).collect();
    let count = packages.len();
    (count > limit).then(|| {
        let names: Vec<&str> = packages.iter().filter_map(|p| p.split(' ').next()).collect();
        format!("{name}: {count} packages instead of {limit}: {}", names.join(", "))
    })
}

/// The arrows out of one of our crates that the tables do not have.
fn wrong_arrows(member: &Package, ours: &[&str]) -> Vec<String> {
    let name = member.name.as_str();
    let Some((_, arrows, test_arrows)) = OURS.iter().find(|(known, ..)| *known == name) else {
        return vec![format!("{name}: a crate without a row in the table of arrows")];
    };
    let mut wrong = Vec::new();
    for dependency in &member.dependencies {
        let to = dependency.name.as_str();
        let in_tests = dependency.kind.as_deref() == Some("dev");
        if ours.contains(&to) {
            let drawn = arrows.contains(&to) || in_tests && test_arrows.contains(&to);
            if !drawn {
                wrong.push(format!("{name} -> {to}: an arrow that is not drawn"));
            }
        } else if let Some((_, users, why)) = GUARDED.iter().find(|(guarded, ..)| *guarded == to)
            && !users.contains(&name)
        {
            wrong.push(format!("{name} -> {to}: only for {} ({why})", users.join(", ")));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn member(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            id: format!("path+{name}"),
            name: name.to_owned(),
            version: "0.0.0".to_owned(),
            license: None,
            license_file: None,
            publish: None,
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).to_owned(),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn an_arrow_from_the_core_outwards_is_refused() {
        let wrong = wrong_arrows(&member("bij-core", &[("bij-store", None)]), &["bij-store"]);
        assert_eq!(wrong, ["bij-core -> bij-store: an arrow that is not drawn"]);
    }

    #[test]
    fn a_fake_is_for_tests_alone() {
        let ours = ["bij-sim"];
        let test = member("bij-store", &[("bij-sim", Some("dev"))]);
        assert!(wrong_arrows(&test, &ours).is_empty());
        let normal = member("bij-store", &[("bij-sim", None)]);
        assert_eq!(wrong_arrows(&normal, &ours).len(), 1);
    }

    #[test]
    fn a_guarded_crate_is_refused_even_in_tests() {
        let wrong = wrong_arrows(&member("bij-cli", &[("rusqlite", Some("dev"))]), &[]);
        assert_eq!(wrong, ["bij-cli -> rusqlite: only for bij-store (SQL stays in the store)"]);
    }

    #[test]
    fn each_package_of_a_tree_is_counted_once() {
        let tree = "bij-core v0.0.0 (/bij)\nquote v1.0.47\nsyn v3.0.10\nquote v1.0.47 (*)\n";
        assert_eq!(too_large("bij-core", tree, 3), None);
        let objection = too_large("bij-core", tree, 2).unwrap();
        assert_eq!(objection, "bij-core: 3 packages instead of 2: bij-core, quote, syn");
    }

    #[test]
    fn a_crate_nobody_drew_is_refused() {
        assert_eq!(wrong_arrows(&member("bij-imp", &[]), &[]).len(), 1);
    }
}
