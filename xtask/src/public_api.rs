//! `cargo xtask api`: the public API of each published crate, as a list of names beside it.
//!
//! The list is read from the pages that rustdoc writes, so that it works on a stable compiler: every public item, and
//! of each type its variants, fields and methods. A change of the API is a change of `crates/*/api.txt`, seen in review.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::shell;
use crate::workspace::{self, Metadata, Package};

/// What to do with the lists.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Writes the lists anew
    #[arg(long)]
    write: bool,
}

/// Compares the lists with the documentation, or writes them.
pub(crate) fn api(options: Options) -> Result<()> {
    let metadata = Metadata::read()?;
    let published: Vec<&Package> =
        metadata.members().filter(|it| it.is_published() && it.is_library()).collect();
    let mut document = shell::cargo();
    document.args(["doc", "--quiet", "--no-deps", "--all-features"]);
    document.args(published.iter().flat_map(|package| ["--package", &package.name]));
    document.env("RUSTDOCFLAGS", "-Dwarnings");
    shell::run(&mut document)?;
    let mut changed = Vec::new();
    for package in published {
        let pages = metadata.target_directory.join("doc").join(package.name.replace('-', "_"));
        let list = read_pages(&pages)?.into_iter().collect::<Vec<_>>().join("\n") + "\n";
        let file = workspace::root().join("crates").join(&package.name).join("api.txt");
        if options.write {
            fs::write(&file, list)?;
        } else if fs::read_to_string(&file).unwrap_or_default() != list {
            changed.push(file.display().to_string());
        }
    }
    if !changed.is_empty() {
        bail!(
            "the public API differs from {}: look at the change with `cargo xtask api --write` and git diff",
            changed.join(", ")
        );
    }
    Ok(())
}

/// Returns the public items of a crate, with the members of each.
fn read_pages(pages: &Path) -> Result<BTreeSet<String>> {
    let all = pages.join("all.html");
    let all = fs::read_to_string(&all).with_context(|| format!("cannot read {}", all.display()))?;
    let mut items = BTreeSet::new();
    for link in between(&all, "href=\"", "\"").filter(|link| is_item(link)) {
        let Some((kind, name)) = item_name(link) else { continue };
        items.insert(format!("{kind} {name}"));
        let page = fs::read_to_string(pages.join(link))
            .with_context(|| format!("cannot read the page {link}"))?;
        for id in between(own_part(&page), " id=\"", "\"") {
            let Some((kind, member)) = id.split_once('.') else { continue };
            let is_own = ["variant", "structfield", "method", "tymethod", "associatedconstant"]
                .contains(&kind);
            if is_own && !member.contains(['.', '-']) {
                items.insert(format!(
                    "{} {name}::{member}",
                    if kind == "tymethod" { "method" } else { kind }
                ));
            }
        }
    }
    Ok(items)
}

/// Returns the part of an item's page before its implementations of traits, most of which are derived.
fn own_part(page: &str) -> &str {
    let ends = ["trait", "synthetic", "blanket", "foreign"].map(|kind| {
        let suffix = if kind == "foreign" { "impls" } else { "implementations" };
        page.find(&format!(" id=\"{kind}-{suffix}\""))
    });
    let implementors = page.find(" id=\"implementors\"");
    let end = ends.into_iter().chain([implementors]).flatten().min();
    &page[..end.unwrap_or(page.len())]
}

/// Returns `true` for a link to the page of an item, not to a part of a page or to another crate.
fn is_item(link: &str) -> bool {
    link.split_once(".html").is_some_and(|(_, rest)| rest.is_empty())
        && !link.starts_with("..")
        && !link.contains("://")
}

/// Returns the kind and the path of the item on a page: `port/trait.Ledger.html` is `trait port::Ledger`.
fn item_name(link: &str) -> Option<(&str, String)> {
    let (modules, page) = link.rsplit_once('/').unwrap_or(("", link));
    let (kind, name) = page.strip_suffix(".html")?.split_once('.')?;
    let path = if modules.is_empty() {
        name.to_owned()
    } else {
        format!("{}::{name}", modules.replace('/', "::"))
    };
    Some((kind, path))
}

/// Returns the texts between two marks, in order.
fn between<'a>(text: &'a str, from: &'a str, to: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(from).skip(1).filter_map(move |rest| rest.split(to).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_name_their_items() {
        assert_eq!(item_name("port/trait.Ledger.html"), Some(("trait", "port::Ledger".to_owned())));
        assert_eq!(item_name("fn.serve.html"), Some(("fn", "serve".to_owned())));
        assert_eq!(item_name("index.html"), None);
        assert!(is_item("a/struct.B.html") && !is_item("../bij_core/struct.B.html"));
    }
}
