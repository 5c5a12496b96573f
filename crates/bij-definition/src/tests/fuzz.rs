//! Files of hostile content: each is refused with printable messages, or parses and renders without a
//! difference.

use bij_core::is_printable;
use bij_fuzz::{FuzzTarget, assert_harmless, files};

use super::*;

const KEYS: &[&str] = &[
    "command = [\"/bin/true\"]\n",
    "description = ",
    "user = ",
    "config = ",
    "[limits]\n",
    "memory = \"8G\"\n",
    "cpu = \"100%\"\n",
    "cpus = \"0-7\"\n",
    "tasks = ",
    "time = \"12h\"\n",
    "oom_policy = ",
    "[gpu]\n",
    "[queue]\n",
    "after = [\"a\", \"b#3\"]\n",
    "after = { any = [\"end:a\"] }\n",
    "[restart]\n",
    "burst = ",
    "[stop]\n",
    "signal = \"SIGTERM\"\n",
    "[health]\n",
    "[thermal]\n",
    "[power]\n",
    "[sandbox]\n",
    "profile = \"strict\"\n",
    "writable = [\"/x\"]\n",
    "[environment]\n",
    "PATH = \"/x\"\n",
    "{config}",
    "{{",
    "1970-01-01T00:00:00Z",
    "'''",
    "\u{661}\u{662}",
];

const JSON: &[&str] = &[
    "{\"command\": [\"/bin/true\"]}",
    "{\"command\": [",
    "\"limits\": {\"memory\": \"8G\"}",
    "\"environment\": {",
    "\"a\": {\"a\": {\"a\": ",
    "// c\n",
    "/* c */",
    "\\ud800",
    "\\u202e",
    "[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    ",",
    ":",
];

const ENV: &[&str] = &[
    "EXPERIMENT_RAM_LIMIT=8G\n",
    "EXPERIMENT_CPU_QUOTA=100%\n",
    "MAX_CONCURRENT_EXPERIMENTS=4\n",
    "TOTAL_RAM_LIMIT_GB=56\n",
    "THROTTLE_TEMP_CELSIUS=75\n",
    "export ",
    "A=\"b",
    "A='b",
    "\\\n",
    " # c",
    "LD_PRELOAD=/x\n",
];

/// Checks that an error names the file and has printable messages.
fn assert_is_printable(error: &DefinitionError, file: &str) {
    assert!(!error.problems.is_empty());
    assert_harmless(&error.to_string());
    for problem in &error.problems {
        assert_eq!(problem.location.file, file, "{problem:?}");
        assert!(!problem.message.is_empty(), "{problem:?}");
        let shown = problem.to_string();
        assert!(shown.starts_with(file) && shown.chars().all(is_printable), "{shown:?}");
    }
}

fn assert_warnings_are_harmless(warnings: &[Warning]) {
    for warning in warnings {
        assert_harmless(&warning.to_string());
    }
}

/// Checks that a valid definition renders as a definition that parses the same.
fn check_definition(bytes: &[u8], file: &str, syntax: Syntax) {
    let id = id("x");
    match Definition::new(&id, SourceFile::new(file, bytes), syntax).parse() {
        Err(error) => assert_is_printable(&error, file),
        Ok(parsed) => {
            assert_warnings_are_harmless(&parsed.warnings);
            let text = to_toml(&parsed.spec);
            let again = parse_toml(&text).unwrap_or_else(|error| panic!("{error}\nin\n{text}"));
            assert_eq!(again.spec, parsed.spec, "{text}");
        }
    }
}

#[test]
fn fuzz_definition_toml() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/definitions");
    FuzzTarget::new("definition-toml", env!("CARGO_MANIFEST_DIR"))
        .also(files(examples.as_ref()))
        .tokens(KEYS)
        .run(|bytes| check_definition(bytes, "x.toml", Syntax::Toml));
}

#[test]
fn fuzz_definition_json() {
    FuzzTarget::new("definition-json", env!("CARGO_MANIFEST_DIR"))
        .tokens(JSON)
        .run(|bytes| check_definition(bytes, "x.json", Syntax::Json));
}

#[test]
fn fuzz_extras() {
    FuzzTarget::new("extras", env!("CARGO_MANIFEST_DIR")).tokens(KEYS).run(|bytes| {
        match SpecOverlay::parse(SourceFile::new("extras", bytes)) {
            Err(error) => assert_is_printable(&error, "extras"),
            Ok(overlay) => {
                let text = overlay.to_toml();
                let again = SpecOverlay::parse(SourceFile::new("again", text.as_bytes()));
                assert_eq!(again.as_ref(), Ok(&overlay), "{text}");
                let mut spec = spec("command = [\"/bin/true\"]");
                overlay.apply(&mut spec);
                assert_eq!(parse_toml(&to_toml(&spec)).map(|parsed| parsed.spec), Ok(spec));
            }
        }
    });
}

#[test]
fn fuzz_settings() {
    let shipped = include_bytes!("../../../../units/etc/brain-in-jar/coordinator.toml");
    let mut uncommented = String::from_utf8(shipped.to_vec()).unwrap();
    uncommented = uncommented.replace("\n# ", "\n").replace("\n#", "\n");
    FuzzTarget::new("settings", env!("CARGO_MANIFEST_DIR"))
        .also([shipped.to_vec(), uncommented.into_bytes()])
        .tokens(ENV)
        .run(|bytes| {
            let file = SourceFile::new("coordinator.toml", bytes);
            match Settings::parse(file) {
                Err(error) => assert_is_printable(&error, "coordinator.toml"),
                Ok(settings) => assert!(settings.coordinator.slots() > 0),
            }
            let mut settings = Settings::default();
            match settings.lay_over(SourceFile::new("coordinator.env", bytes)) {
                Err(error) => assert_is_printable(&error, "coordinator.env"),
                Ok(warnings) => assert_warnings_are_harmless(&warnings),
            }
        });
}

#[test]
fn fuzz_env_file() {
    let definition = SourceFile::new("x.toml", b"command = [\"/bin/true\"]");
    FuzzTarget::new("env-file", env!("CARGO_MANIFEST_DIR")).tokens(ENV).run(|bytes| {
        let id = id("x");
        let env = SourceFile::new("x.env", bytes);
        match Definition::new(&id, definition, Syntax::Toml).with_env(env).parse() {
            Err(error) => assert_is_printable(&error, "x.env"),
            Ok(parsed) => {
                assert_warnings_are_harmless(&parsed.warnings);
                let text = to_toml(&parsed.spec);
                assert_eq!(parse_toml(&text).map(|again| again.spec), Ok(parsed.spec), "{text}");
            }
        }
    });
}
