//! Words and lines.

use bij_core::ExperimentId;
use bij_core::spec::{AbsolutePath, CpuSet};
use bij_core::variable;

use crate::document::{Value, ValueNode, quoted};
use crate::fault::ParseFault;
use crate::names::{self, nearest};

/// The longest argument or environment value that execve(2) accepts: `MAX_ARG_STRLEN` is 32 pages with the
/// closing NUL.
pub(crate) const MAX_ARGUMENT: usize = 32 * 4096 - 1;

/// Reads any text without NUL.
pub(crate) fn text(node: &ValueNode) -> Result<&str, ParseFault> {
    match &node.value {
        Value::Text(text) => match text.find('\0') {
            None => Ok(text),
            Some(_) => Err(ParseFault::new(node.at, "the text contains a NUL byte")
                .hint("leave \\u0000 out; write bytes in another form, such as base64")),
        },
        Value::Number(number) => {
            let hint = format!("put it in quotes: {number:?}");
            Err(node.instead_of("a text in quotes").hint(hint))
        }
        Value::Flag(flag) => {
            let hint = format!("put it in quotes: \"{flag}\"");
            Err(node.instead_of("a text in quotes").hint(hint))
        }
        _ => Err(node.instead_of("a text in quotes")),
    }
}

/// Reads a text that can be one argument of a program.
pub(crate) fn argument_text(node: &ValueNode) -> Result<&str, ParseFault> {
    let text = text(node)?;
    if text.len() > MAX_ARGUMENT {
        let message = format!("{} bytes are more than Linux allows in one argument", text.len());
        return Err(ParseFault::new(node.at, message).hint("keep it in a file and name the file"));
    }
    Ok(text)
}

/// Reads a text that can be the value of an environment variable.
pub(crate) fn environment_value(node: &ValueNode) -> Result<&str, ParseFault> {
    let value = argument_text(node)?;
    variable::check_value(value)
        .map_err(|bad| ParseFault::new(node.at, bad).hint("leave the character out"))?;
    Ok(value)
}

/// Reads a text of one line.
pub(crate) fn line(node: &ValueNode) -> Result<&str, ParseFault> {
    let text = text(node)?;
    if text.chars().any(char::is_control) {
        return Err(node.instead_of("one line without control characters"));
    }
    Ok(text)
}

pub(crate) fn description(node: &ValueNode) -> Result<String, ParseFault> {
    line(node).map(ToOwned::to_owned)
}

pub(crate) fn flag(node: &ValueNode) -> Result<bool, ParseFault> {
    match &node.value {
        Value::Flag(flag) => Ok(*flag),
        _ => Err(node.instead_of("true or false")),
    }
}

/// Reads one of a few words.
pub(crate) fn choice<T: Copy>(
    node: &ValueNode,
    choices: &[(&'static str, T)],
) -> Result<T, ParseFault> {
    let words = || choices.iter().map(|(word, _)| *word);
    let expected = || words().collect::<Vec<_>>().join(" | ");
    let Value::Text(word) = &node.value else {
        return Err(node.instead_of(&expected()));
    };
    choices.iter().find(|(known, _)| known == word).map(|(_, value)| *value).ok_or_else(|| {
        let hint = nearest(word, words()).map(|near| format!("did you mean {near:?}?"));
        node.instead_of(&expected()).or_hint(|| hint)
    })
}

/// Reads the name or number of a user.
pub(crate) fn user(node: &ValueNode) -> Result<String, ParseFault> {
    let name = match &node.value {
        Value::Number(number) => number,
        _ => text(node)?,
    };
    if names::is_user(name) {
        Ok(name.to_owned())
    } else {
        Err(node.instead_of("a user's name or number, as in /etc/passwd"))
    }
}

/// Reads the name of a group of the queue.
pub(crate) fn group(node: &ValueNode) -> Result<String, ParseFault> {
    let name = text(node)?;
    match ExperimentId::new(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(node.instead_of(
            "a group's name: 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit",
        )),
    }
}

/// Reads a signal; returns its name with `SIG`.
pub(crate) fn signal(node: &ValueNode) -> Result<String, ParseFault> {
    let word = match &node.value {
        Value::Number(number) => number,
        _ => text(node)?,
    };
    names::signal(word).ok_or_else(|| {
        let upper = word.to_uppercase();
        let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
        let near = nearest(&full, names::SIGNALS.iter().map(|(name, _)| *name));
        node.instead_of("a signal such as \"SIGTERM\" or \"SIGINT\"")
            .or_hint(|| near.map(|near| format!("did you mean {near:?}?")))
    })
}

/// Reads an absolute path.
pub(crate) fn directory(node: &ValueNode) -> Result<AbsolutePath, ParseFault> {
    let path = text(node)?;
    path.parse().map_err(|_| {
        let fault = node.instead_of("an absolute path without control characters and `..`");
        match path {
            "~" => fault.hint("write the home directory out, for example \"/home/brain\""),
            path if path.starts_with("~/") => fault
                .hint(format!("write it out: {}", quoted(&format!("/home/brain{}", &path[1..])))),
            path if path.contains("..") || path.chars().any(char::is_control) => fault,
            path => fault.hint(format!("write it out: {}", quoted(&format!("/path/to/{path}")))),
        }
    })
}

/// Reads a set of processors.
pub(crate) fn cpu_set(node: &ValueNode) -> Result<CpuSet, ParseFault> {
    let expected = "a set of processors such as \"0-3,8\"";
    let Value::Text(text) = &node.value else {
        return Err(node.instead_of(expected));
    };
    text.parse().map_err(|_| node.instead_of(expected))
}

/// Reads a program: an absolute path, or a name that is searched for in the experiment's `PATH`.
///
/// systemd refuses quotes and backslashes in the path of a program (`string_is_safe`) and interprets a leading
/// `-`, `@`, `:`, `+`, `!` or `|` as a prefix, so these characters are refused here.
pub(crate) fn program(node: &ValueNode) -> Result<&str, ParseFault> {
    let program = argument_text(node)?;
    if program.is_empty() {
        return Err(ParseFault::new(node.at, "the program's name is empty"));
    }
    if program.chars().any(|c| c.is_control() || matches!(c, '"' | '\'' | '\\')) {
        return Err(node.instead_of("a program's path without quotes, backslashes and newlines"));
    }
    if program.starts_with('/') {
        if program.ends_with('/') || program.split('/').any(|part| part == "..") {
            return Err(node.instead_of("the path of a program, without `..`"));
        }
        return Ok(program);
    }
    if program.contains('/') {
        let name = program.trim_start_matches("./").trim_start_matches('/');
        let hint = format!("write it out: {}", quoted(&format!("/path/to/{name}")));
        return Err(node.instead_of("the absolute path of a program, or a bare name").hint(hint));
    }
    let first = program.chars().next().unwrap_or('-');
    if program == "." || program == ".." || matches!(first, '-' | '@' | ':' | '+' | '!' | '|' | '~')
    {
        return Err(node.instead_of("the absolute path of a program, or a bare name"));
    }
    Ok(program)
}
