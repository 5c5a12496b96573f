//! The environment that an attempt is executed with, as `bij-exec` reads it from a file.

use std::borrow::Cow;

use bij_core::Layout;
use bij_core::spec::ExperimentSpec;

/// Renders the environment of an attempt: `HOME` of a dynamic user, then the definition's variables, then ours, then
/// `variables` of this attempt; later ones override earlier ones. Each is `NAME=VALUE`, ended by a NUL, so that no
/// value needs quotes.
///
/// In the user database, the home of a dynamic user is `/` (nss-systemd(8)), which is not writable, but libraries
/// keep their caches below the home (XDG Base Directory Specification).
pub(crate) fn render(
    spec: &ExperimentSpec,
    layout: &Layout,
    is_dynamic: bool,
    variables: &[(&'static str, String)],
) -> Vec<u8> {
    let id = &spec.id;
    let shown = |path: std::path::PathBuf| Cow::Owned(path.to_string_lossy().into_owned());
    let ours = [
        ("BIJ_EXPERIMENT", Cow::Borrowed(id.as_str())),
        ("BIJ_STATE_DIR", shown(layout.experiment_state(id))),
        ("BIJ_PROGRESS", shown(layout.progress(id))),
        ("BIJ_STOP_FILE", shown(layout.stop_file(id))),
    ];
    let home = is_dynamic.then(|| ("HOME", shown(layout.experiment_state(id))));
    let config = spec.config.as_deref().map(|config| ("BIJ_CONFIG", Cow::Borrowed(config)));
    let variables = variables.iter().map(|(name, value)| (*name, Cow::Borrowed(value.as_str())));
    let defined =
        spec.environment.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str())));
    let mut text = Vec::new();
    for (name, value) in home.into_iter().chain(defined).chain(ours).chain(config).chain(variables)
    {
        text.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bij_core::ExperimentId;
    use proptest::prelude::*;

    use super::*;

    fn spec() -> ExperimentSpec {
        ExperimentSpec::new(ExperimentId::new("x").unwrap(), vec!["true".to_owned()])
    }

    fn rendered(spec: &ExperimentSpec, variables: &[(&'static str, String)]) -> Vec<String> {
        let text = render(spec, &Layout::system(Path::new("/")), false, variables);
        let text = String::from_utf8(text).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn our_variables_override_those_of_the_definition() {
        let mut spec = spec();
        spec.environment.insert("BIJ_EXPERIMENT".to_owned(), "another".to_owned());
        spec.environment.insert("A".to_owned(), "1 2\n\"3\" 100% $HOME".to_owned());
        spec.config = Some("/opt/c.json".to_owned());
        let entries = rendered(&spec, &[("BIJ_ATTEMPT", "2".to_owned())]);
        assert_eq!(
            entries,
            [
                "A=1 2\n\"3\" 100% $HOME",
                "BIJ_EXPERIMENT=another",
                "BIJ_EXPERIMENT=x",
                "BIJ_STATE_DIR=/var/lib/brain-in-jar/experiments/x",
                "BIJ_PROGRESS=/var/lib/brain-in-jar/experiments/x/progress",
                "BIJ_STOP_FILE=/run/brain-in-jar/stop/x",
                "BIJ_CONFIG=/opt/c.json",
                "BIJ_ATTEMPT=2",
            ]
        );
    }

    #[test]
    fn a_dynamic_user_has_a_home_that_it_can_write_unless_the_definition_sets_one() {
        let mut spec = spec();
        assert!(!rendered(&spec, &[]).iter().any(|entry| entry.starts_with("HOME=")));
        let home = |spec: &ExperimentSpec| {
            let text = render(spec, &Layout::system(Path::new("/")), true, &[]);
            let text = String::from_utf8(text).unwrap();
            let mut entries = text.split_terminator('\0').filter_map(|it| it.strip_prefix("HOME="));
            entries.next_back().map(str::to_owned)
        };
        assert_eq!(home(&spec).as_deref(), Some("/var/lib/brain-in-jar/experiments/x"));
        spec.environment.insert("HOME".to_owned(), "/opt/brain".to_owned());
        assert_eq!(home(&spec).as_deref(), Some("/opt/brain"));
    }

    proptest! {
        #[test]
        fn every_value_is_an_entry_of_its_own(value in "[^\0]{0,40}") {
            let mut spec = spec();
            spec.environment.insert("VALUE".to_owned(), value.clone());
            prop_assert_eq!(&rendered(&spec, &[])[0], &format!("VALUE={value}"));
        }
    }
}
