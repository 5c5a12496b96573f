//! Kinds of values of definitions: how a value is read, shown, written and described.

use std::collections::BTreeMap;

use bij_core::spec::{
    AbsolutePath, After, Clocks, CpuSet, OnReboot, OomPolicy, PowerModeRef, SandboxProfile,
};
use bij_core::variable::VariablePattern;
use bij_core::{Bytes, CpuQuota, ExperimentId, Limit, MemoryLimit, TimeSpan};
use serde_json::{Map, Value as Json};

use crate::document::ValueNode;
use crate::fault::ParseFaults;
use crate::{template, value};

/// A kind of value.
pub(crate) struct ValueKind<T> {
    pub(crate) read: fn(&ValueNode) -> Result<T, ParseFaults>,
    /// Returns the value for people and programs; null if there is none.
    pub(crate) show: fn(&T) -> Json,
    /// Returns the value as it is written into a file.
    pub(crate) write: fn(&T) -> Json,
    pub(crate) schema: Schema,
}

/// The JSON Schema of a kind.
#[derive(Clone, Copy)]
pub(crate) enum Schema {
    /// The members of the schema, without braces.
    Members(&'static str),
    /// The words of a choice.
    Words(fn() -> Vec<&'static str>),
}

/// Creates a kind of value that is written as it is shown.
const fn kind<T>(
    read: fn(&ValueNode) -> Result<T, ParseFaults>,
    show: fn(&T) -> Json,
    members: &'static str,
) -> ValueKind<T> {
    ValueKind { read, show, write: show, schema: Schema::Members(members) }
}

const PATH: &str = r##""$ref": "#/$defs/path""##;
const SIZE: &str = r##""$ref": "#/$defs/size""##;
const SIZE_OR_ZERO: &str = r##""anyOf": [{ "$ref": "#/$defs/size" }, { "enum": ["0", 0] }]"##;
const COUNT: &str = r#""oneOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "pattern": "^([1-9][0-9]*|infinity)$" }]"#;
const TIME: &str = r##""$ref": "#/$defs/span""##;
const TIME_OR_INFINITY: &str = r##""$ref": "#/$defs/spanOrInfinity""##;

/// One line of text.
pub(crate) const LINE: ValueKind<Option<String>> = kind(
    |node| Ok(Some(value::description(node)?)),
    show_text,
    r#""type": "string", "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$""#,
);

/// A program and its arguments.
pub(crate) const COMMAND: ValueKind<Vec<String>> = ValueKind {
    read: value::command,
    show: |command| Json::from(command.as_slice()),
    write: |command| command.iter().map(|argument| template::escape(argument)).collect(),
    schema: Schema::Members(
        r##""type": "array", "minItems": 1, "items": { "$ref": "#/$defs/argument" }, "examples": [["/usr/bin/python3", "-m", "runner", "{config}"]]"##,
    ),
};

/// A text that can be the value of a variable.
pub(crate) const VARIABLE: ValueKind<Option<String>> = kind(
    |node| Ok(Some(value::environment_value(node)?.to_owned())),
    show_text,
    r##""$ref": "#/$defs/variable""##,
);

pub(crate) const DIRECTORY: ValueKind<Option<AbsolutePath>> = kind(
    |node| Ok(Some(value::directory(node)?)),
    |path| path.as_ref().map_or(Json::Null, |path| Json::from(path.as_str())),
    PATH,
);

pub(crate) const USER: ValueKind<Option<String>> = kind(
    |node| Ok(Some(value::user(node)?)),
    show_text,
    r#""oneOf": [{ "type": "string", "pattern": "^([A-Za-z_][A-Za-z0-9_-]{0,30}|0|[1-9][0-9]{0,9})$" }, { "type": "integer", "minimum": 0, "maximum": 4294967294 }]"#,
);

pub(crate) const ENVIRONMENT: ValueKind<BTreeMap<String, String>> = kind(
    value::environment,
    |variables| {
        let entry = |(name, value): (&String, &String)| (name.clone(), Json::from(value.as_str()));
        Json::Object(variables.iter().map(entry).collect())
    },
    r##""type": "object", "propertyNames": { "pattern": "^(?!BIJ_)[A-Za-z_][A-Za-z0-9_]*$" }, "additionalProperties": { "$ref": "#/$defs/variable" }"##,
);

pub(crate) const PATHS: ValueKind<Vec<AbsolutePath>> = kind(
    value::paths,
    |paths| paths.iter().map(AbsolutePath::as_str).collect(),
    r##""type": "array", "items": { "$ref": "#/$defs/path" }"##,
);

/// A limit of memory above zero.
pub(crate) const MEMORY: ValueKind<Option<MemoryLimit>> = ValueKind {
    read: |node| Ok(Some(value::memory(node)?)),
    show: |limit| show_memory(*limit),
    write: |limit| write_memory(*limit),
    schema: Schema::Members(SIZE),
};

/// A limit of swap space, which may be zero.
pub(crate) const SWAP: ValueKind<Option<MemoryLimit>> = ValueKind {
    read: |node| Ok(Some(value::swap(node)?)),
    schema: Schema::Members(SIZE_OR_ZERO),
    ..MEMORY
};

/// A limit of locked memory, which may be zero and is never a share.
pub(crate) const LOCKED_MEMORY: ValueKind<Option<Limit<Bytes>>> = ValueKind {
    read: |node| Ok(Some(value::locked_memory(node)?)),
    show: |limit| show_memory(limit.map(MemoryLimit::Absolute)),
    write: |limit| write_memory(limit.map(MemoryLimit::Absolute)),
    schema: Schema::Members(SIZE_OR_ZERO),
};

pub(crate) const CPU_QUOTA: ValueKind<Option<Limit<CpuQuota>>> = kind(
    |node| Ok(Some(value::cpu_quota(node)?)),
    show_text,
    r#""type": "string", "pattern": "^\\s*([0-9]+(\\.[0-9]*)?\\s*%|infinity)\\s*$", "examples": ["100%", "250%"]"#,
);

pub(crate) const CPU_SET: ValueKind<Option<CpuSet>> = kind(
    |node| Ok(Some(value::cpu_set(node)?)),
    show_text,
    r#""type": "string", "pattern": "^[0-9]+(-[0-9]+)?([, ]+[0-9]+(-[0-9]+)?)*$", "examples": ["0-3,8"]"#,
);

pub(crate) const TASKS: ValueKind<Option<Limit<u64>>> =
    kind(|node| Ok(Some(value::tasks(node)?)), show_text, COUNT);

pub(crate) const OPEN_FILES: ValueKind<Option<Limit<u64>>> =
    kind(|node| Ok(Some(value::open_files(node)?)), show_text, COUNT);

/// A span of time above zero, or `infinity`.
pub(crate) const SPAN_LIMIT: ValueKind<Option<Limit<TimeSpan>>> =
    kind(|node| Ok(Some(value::span_limit(node)?)), show_text, TIME_OR_INFINITY);

/// A span of time, which may be zero, or `infinity`.
pub(crate) const SPAN_LIMIT_OR_ZERO: ValueKind<Limit<TimeSpan>> = kind(
    |node| Ok(value::span_limit_or_zero(node)?),
    |limit| Json::from(limit.to_string()),
    TIME_OR_INFINITY,
);

/// A span of time, which may be zero.
pub(crate) const SPAN_OR_ZERO: ValueKind<TimeSpan> =
    kind(|node| Ok(value::span_or_zero(node)?), |span| Json::from(span.to_string()), TIME);

/// A span of time above zero.
pub(crate) const SPAN: ValueKind<TimeSpan> =
    kind(|node| Ok(value::span(node)?), |span| Json::from(span.to_string()), TIME);

/// A span of time above zero that may be absent.
pub(crate) const OPTIONAL_SPAN: ValueKind<Option<TimeSpan>> =
    kind(|node| Ok(Some(value::span(node)?)), show_text, TIME);

pub(crate) const FLAG: ValueKind<bool> =
    kind(|node| Ok(value::flag(node)?), |flag| Json::from(*flag), r#""type": "boolean""#);

/// A flag whose default depends on other settings.
pub(crate) const OPTIONAL_FLAG: ValueKind<Option<bool>> = kind(
    |node| Ok(Some(value::flag(node)?)),
    |flag| flag.map_or(Json::Null, Json::from),
    r#""type": "boolean""#,
);

pub(crate) const PRIORITY: ValueKind<i32> = kind(
    |node| Ok(value::priority(node)?),
    |priority| Json::from(*priority),
    r#""type": "integer", "minimum": -2147483648, "maximum": 2147483647"#,
);

pub(crate) const GROUP: ValueKind<Option<String>> = kind(
    |node| Ok(Some(value::group(node)?)),
    show_text,
    r##""$ref": "#/$defs/id", "default": "default""##,
);

pub(crate) const AFTER: ValueKind<Option<After>> = kind(
    value::after,
    |after| {
        let list = |ids: &[ExperimentId]| ids.iter().map(ExperimentId::as_str).collect();
        match after {
            None => Json::Null,
            Some(After::All(ids)) => list(ids),
            Some(After::Any(ids)) => Json::Object(Map::from_iter([("any".to_owned(), list(ids))])),
        }
    },
    r##""oneOf": [{ "type": "array", "items": { "$ref": "#/$defs/id" } }, { "$ref": "#/$defs/someOf", "required": ["any"] }, { "$ref": "#/$defs/someOf", "required": ["all"] }]"##,
);

pub(crate) const BURST: ValueKind<u32> = kind(
    |node| Ok(value::burst(node)?),
    |burst| Json::from(*burst),
    r#""type": "integer", "minimum": 1, "maximum": 4294967295"#,
);

pub(crate) const SIGNAL: ValueKind<String> = kind(
    |node| Ok(value::signal(node)?),
    |signal| Json::from(signal.as_str()),
    r#""oneOf": [{ "type": "string", "pattern": "^((SIG)?[A-Z0-9]+([+-][0-9]+)?|[0-9]+)$" }, { "type": "integer", "minimum": 1, "maximum": 31 }]"#,
);

pub(crate) const CELSIUS: ValueKind<Option<f64>> = kind(
    |node| Ok(Some(value::celsius(node)?)),
    |celsius| celsius.map_or(Json::Null, Json::from),
    r#""type": "number", "minimum": 20, "maximum": 125"#,
);

pub(crate) const POWER_MODE: ValueKind<Option<PowerModeRef>> = kind(
    |node| Ok(Some(value::power_mode(node)?)),
    |mode| match mode {
        None => Json::Null,
        Some(PowerModeRef::Number(number)) => Json::from(*number),
        Some(PowerModeRef::Name(name)) => Json::from(name.as_str()),
    },
    r#""oneOf": [{ "type": "string", "minLength": 1, "maxLength": 64 }, { "type": "integer", "minimum": 0, "maximum": 4294967295 }], "examples": ["MAXN", 0]"#,
);

pub(crate) const PATTERNS: ValueKind<Option<Vec<VariablePattern>>> = kind(
    |node| Ok(Some(value::patterns(node)?)),
    |patterns| match patterns {
        None => Json::Null,
        Some(patterns) => patterns.iter().map(VariablePattern::as_str).collect(),
    },
    r#""type": "array", "items": { "type": "string", "pattern": "^([A-Za-z_][A-Za-z0-9_]*\\*?|\\*)$" }"#,
);

pub(crate) const OOM_POLICY: ValueKind<OomPolicy> = choice();
pub(crate) const ON_REBOOT: ValueKind<OnReboot> = choice();
pub(crate) const CLOCKS: ValueKind<Clocks> = choice();
pub(crate) const PROFILE: ValueKind<SandboxProfile> = choice();

/// A choice among words.
trait Choice: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

impl Choice for OomPolicy {
    const WORDS: &'static [(&'static str, Self)] =
        &[("stop", Self::Stop), ("continue", Self::Continue), ("kill", Self::Kill)];
}

impl Choice for OnReboot {
    const WORDS: &'static [(&'static str, Self)] =
        &[("resume", Self::Resume), ("requeue", Self::Requeue), ("hold", Self::Hold)];
}

impl Choice for Clocks {
    const WORDS: &'static [(&'static str, Self)] =
        &[(Self::Dynamic.as_str(), Self::Dynamic), (Self::Max.as_str(), Self::Max)];
}

impl Choice for SandboxProfile {
    const WORDS: &'static [(&'static str, Self)] =
        &[("default", Self::Default), ("strict", Self::Strict), ("trusted", Self::Trusted)];
}

const fn choice<T: Choice>() -> ValueKind<T> {
    ValueKind {
        read: |node| Ok(value::choice(node, T::WORDS)?),
        show: show_word,
        write: show_word,
        schema: Schema::Words(|| T::WORDS.iter().map(|(word, _)| *word).collect()),
    }
}

fn show_word<T: Choice>(value: &T) -> Json {
    let word = T::WORDS.iter().find(|(_, known)| known == value);
    word.map_or(Json::Null, |(word, _)| Json::from(*word))
}

#[expect(clippy::ref_option, reason = "this is the type of `ValueKind::show`")]
fn show_text<T: ToString>(value: &Option<T>) -> Json {
    value.as_ref().map_or(Json::Null, |value| Json::from(value.to_string()))
}

/// Returns a limit in bytes, as systemctl shows it; its `Display` is rounded.
fn show_memory(limit: Option<MemoryLimit>) -> Json {
    match limit {
        Some(MemoryLimit::Absolute(Limit::At(bytes))) => Json::from(bytes.get()),
        limit => show_text(&limit),
    }
}

/// Returns a limit to the byte, with its unit.
fn write_memory(limit: Option<MemoryLimit>) -> Json {
    match limit {
        Some(MemoryLimit::Absolute(Limit::At(bytes))) => Json::from(with_unit(bytes)),
        limit => show_text(&limit),
    }
}

fn with_unit(bytes: Bytes) -> String {
    const UNITS: [(&str, u32); 6] =
        [("E", 60), ("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let count = bytes.get();
    if count == 0 {
        return "0".to_owned();
    }
    let whole = UNITS.iter().find(|(_, shift)| count.trailing_zeros() >= *shift);
    match whole {
        Some((unit, shift)) => format!("{}{unit}", count >> shift),
        None => format!("{count}B"),
    }
}
