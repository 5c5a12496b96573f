//! The placeholder `{config}` in a command.

use crate::fault::ParseFault;
use crate::value::MAX_ARGUMENT;

const PLACEHOLDER: &str = "{config}";

/// The largest size of all arguments together, in bytes.
///
/// Linux allows more, but `{config}` may occur in many arguments, and a line of a unit file may have one
/// megabyte with everything escaped.
const MAX_COMMAND: usize = 256 << 10;

/// Returns whether an argument has a `{config}` to replace.
pub(crate) fn has_placeholder(argument: &str) -> bool {
    pieces(argument).any(|piece| piece == Piece::Config)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Config,
}

/// Splits an argument at its placeholders. `{{config}}` stands for the literal text `{config}`.
fn pieces(argument: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = Some(argument);
    let mut pending = None;
    std::iter::from_fn(move || {
        if let Some(piece) = pending.take() {
            return Some(piece);
        }
        let text = rest.take()?;
        let Some(at) = text.find(PLACEHOLDER) else { return Some(Piece::Text(text)) };
        let (before, after) = (&text[..at], &text[at + PLACEHOLDER.len()..]);
        let unwrapped = before.strip_suffix('{').zip(after.strip_prefix('}'));
        let (before, piece, after) = match unwrapped {
            Some((before, after)) => (before, Piece::Text(PLACEHOLDER), after),
            None => (before, Piece::Config, after),
        };
        rest = Some(after);
        pending = Some(piece);
        Some(Piece::Text(before))
    })
}

/// Replaces the placeholders of a command by the config.
pub(crate) fn expand(command: &[String], config: Option<&str>) -> Result<Vec<String>, ParseFault> {
    let mut size = 0;
    let mut expanded = Vec::with_capacity(command.len());
    for (index, argument) in command.iter().enumerate() {
        let fault =
            |message: String| ParseFault::new(0, message).within(&format!("command[{index}]"));
        let mut whole = String::with_capacity(argument.len());
        for piece in pieces(argument) {
            let text = match (piece, config) {
                (Piece::Text(text), _) => text,
                (Piece::Config, Some(config)) => config,
                (Piece::Config, None) => {
                    return Err(fault("`{config}` is used, but there is no config".to_owned())
                        .hint("set `config = …`, or write {{config}} for the literal text"));
                }
            };
            whole.push_str(text);
            if whole.len() > MAX_ARGUMENT {
                return Err(fault(
                    "with the config inserted, it is longer than Linux allows".to_owned(),
                ));
            }
        }
        size += whole.len() + 1;
        if size > MAX_COMMAND {
            return Err(fault(format!("up to here the command has more than {MAX_COMMAND} bytes"))
                .hint("keep long texts in files and name the files"));
        }
        expanded.push(whole);
    }
    Ok(expanded)
}

/// Escapes an argument so that nothing in it is replaced.
pub(crate) fn escape(argument: &str) -> String {
    argument.replace(PLACEHOLDER, "{{config}}")
}
