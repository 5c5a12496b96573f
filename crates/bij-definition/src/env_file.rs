//! Environment files, read as systemd reads them (systemd.exec(5), `EnvironmentFile=`).

use bij_core::variable::{self, BadVariableName};

use crate::source::Text;

/// One variable of an environment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The byte offset of its line.
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) value: String,
    /// The parts of its text that other programs interpret differently.
    pub(crate) oddities: Vec<Oddity>,
}

/// A part of a value that a shell, or a program that reads `.env` files itself, interprets differently from
/// systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A `#` after blanks or a closing quote.
    Comment,
    /// A variable's value, as in `$HOME` or `${HOME}`, or the output of a command.
    Reference(String),
    /// The home directory, as in `~/data`.
    Home,
    /// An escape such as `\n` in double quotes.
    Escape(char),
    /// A backslash outside of quotes.
    Backslash,
    /// A quote that is not closed.
    OpenQuote,
}

impl Oddity {
    /// Returns what systemd does with it, and what to write instead. The remark quotes no more of the value
    /// than a variable's name, because the value may be a secret.
    pub(crate) fn remark(&self) -> String {
        match self {
            Self::Comment => {
                "systemd has no comments after a value: the program gets the `#` and everything \
                              after it. Put the comment on its own line"
                    .to_owned()
            }
            Self::Reference(text) => format!(
                "systemd expands nothing in a value: the program gets {text} literally. Write the value out, \
                 or put it in single quotes if it is meant literally"
            ),
            Self::Home => {
                "systemd expands nothing in a value: the program gets `~` literally. Write the \
                           directory out"
                    .to_owned()
            }
            Self::Escape(c) => format!(
                "to systemd, `\\{c}` in double quotes is a backslash and the letter {c}. Write the character \
                 itself, or put the value in single quotes if it is meant literally"
            ),
            Self::Backslash => {
                "systemd removes a backslash outside of quotes. Put the value in single quotes"
                    .to_owned()
            }
            Self::OpenQuote => {
                "this quote is not closed: to systemd, all following lines belong to the \
                                value. Close it on its line"
                    .to_owned()
            }
        }
    }
}

/// The most oddities of one value that are reported.
const MAX_ODDITIES: usize = 5;

/// The content of an environment file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvironmentFile {
    pub(crate) assignments: Vec<Assignment>,
    /// The byte offsets of lines that systemd skips, with the reasons.
    pub(crate) skipped: Vec<(usize, String)>,
}

/// The state of the parser; the same states as in systemd's `parse_env_file_internal`.
#[derive(Clone, Copy)]
enum ParserState {
    BeforeKey,
    Key,
    BeforeValue,
    Value,
    ValueEscape,
    SingleQuoted,
    DoubleQuoted,
    DoubleQuotedEscape,
    Comment,
    CommentEscape,
}

struct Parser<'a> {
    text: &'a str,
    file: EnvironmentFile,
    oddities: Vec<Oddity>,
    at: usize,
    key: String,
    value: String,
    /// The length of the value without blanks at its end.
    kept: usize,
}

/// Parses a whole file. Every text is a valid environment file.
pub(crate) fn parse(text: &Text<'_>) -> EnvironmentFile {
    let mut parser = Parser {
        text: text.text,
        file: EnvironmentFile::default(),
        oddities: Vec::new(),
        at: 0,
        key: String::new(),
        value: String::new(),
        kept: 0,
    };
    let mut state = ParserState::BeforeKey;
    for (at, c) in text.text.char_indices() {
        parser.check_oddity(state, at, c);
        state = parser.step(state, at, c);
    }
    match state {
        ParserState::Key => parser.skip_line(),
        ParserState::BeforeKey | ParserState::Comment | ParserState::CommentEscape => {}
        ParserState::SingleQuoted | ParserState::DoubleQuoted | ParserState::DoubleQuotedEscape => {
            parser.add_oddity(Oddity::OpenQuote);
            parser.assign();
        }
        ParserState::BeforeValue | ParserState::Value | ParserState::ValueEscape => parser.assign(),
    }
    parser.file
}

const fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Returns whether a shell expands a word that begins with `~` to the caller's home directory.
fn is_home(word: &str) -> bool {
    word[1..].starts_with('/') || word[1..].chars().next().is_none_or(is_blank)
}

/// Returns a description of what a shell would expand at the beginning of a text.
fn shell_expansion(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('`') {
        return rest.contains('`').then(|| "a command in backquotes".to_owned());
    }
    let rest = text.strip_prefix('$')?;
    if rest.starts_with('(') {
        return Some("a command in `$(…)`".to_owned());
    }
    let name = rest.strip_prefix('{').unwrap_or(rest);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = name.find(|c| !is_part(c)).unwrap_or(name.len());
    let name = &name[..end];
    let is_variable = |c: char| c.is_ascii_uppercase() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        None
    } else if name.starts_with(is_variable) {
        Some(crate::document::quoted(&format!("${name}")))
    } else {
        Some("a `$` before a name".to_owned())
    }
}

impl Parser<'_> {
    /// Records an oddity that begins with the next character.
    fn check_oddity(&mut self, state: ParserState, at: usize, c: char) {
        let (before, rest) = self.text.split_at(at);
        let oddity = match (state, c) {
            (ParserState::BeforeValue | ParserState::Value, '#') => {
                let begins = |c| is_blank(c) || matches!(c, '"' | '\'');
                before.ends_with(begins).then_some(Oddity::Comment)
            }
            (ParserState::BeforeValue, '~') if self.value.is_empty() => {
                is_home(rest).then_some(Oddity::Home)
            }
            (
                ParserState::BeforeValue | ParserState::Value | ParserState::DoubleQuoted,
                '$' | '`',
            ) => shell_expansion(rest).map(Oddity::Reference),
            (ParserState::DoubleQuotedEscape, 'n' | 'r' | 't') => Some(Oddity::Escape(c)),
            (ParserState::ValueEscape, c) if c.is_alphanumeric() => Some(Oddity::Backslash),
            _ => None,
        };
        if let Some(oddity) = oddity {
            self.add_oddity(oddity);
        }
    }

    fn add_oddity(&mut self, oddity: Oddity) {
        if self.oddities.len() < MAX_ODDITIES && !self.oddities.contains(&oddity) {
            self.oddities.push(oddity);
        }
    }

    fn step(&mut self, state: ParserState, at: usize, c: char) -> ParserState {
        match state {
            ParserState::BeforeKey => match c {
                '#' | ';' => ParserState::Comment,
                c if is_blank(c) => ParserState::BeforeKey,
                c => {
                    self.at = at;
                    self.key.push(c);
                    ParserState::Key
                }
            },
            ParserState::Key => match c {
                '=' => ParserState::BeforeValue,
                c if is_newline(c) => {
                    self.skip_line();
                    ParserState::BeforeKey
                }
                c => {
                    self.key.push(c);
                    ParserState::Key
                }
            },
            ParserState::BeforeValue => match c {
                c if is_newline(c) => {
                    self.assign();
                    ParserState::BeforeKey
                }
                '\'' => ParserState::SingleQuoted,
                '"' => ParserState::DoubleQuoted,
                '\\' => ParserState::ValueEscape,
                c if is_blank(c) => ParserState::BeforeValue,
                c => self.keep(c, ParserState::Value),
            },
            ParserState::Value => match c {
                c if is_newline(c) => {
                    self.assign();
                    ParserState::BeforeKey
                }
                '\\' => {
                    self.kept = self.value.len();
                    ParserState::ValueEscape
                }
                c if is_blank(c) => {
                    self.value.push(c);
                    ParserState::Value
                }
                c => self.keep(c, ParserState::Value),
            },
            // An escaped newline joins two lines.
            ParserState::ValueEscape if is_newline(c) => ParserState::Value,
            ParserState::ValueEscape => self.keep(c, ParserState::Value),
            ParserState::SingleQuoted if c == '\'' => ParserState::BeforeValue,
            ParserState::SingleQuoted => self.keep(c, ParserState::SingleQuoted),
            ParserState::DoubleQuoted => match c {
                '"' => ParserState::BeforeValue,
                '\\' => ParserState::DoubleQuotedEscape,
                c => self.keep(c, ParserState::DoubleQuoted),
            },
            ParserState::DoubleQuotedEscape => match c {
                '"' | '\\' | '`' | '$' => self.keep(c, ParserState::DoubleQuoted),
                '\n' => ParserState::DoubleQuoted,
                // As in a shell, a backslash before another character is kept.
                c => {
                    self.keep('\\', state);
                    self.keep(c, ParserState::DoubleQuoted)
                }
            },
            ParserState::Comment => match c {
                '\\' => ParserState::CommentEscape,
                c if is_newline(c) => ParserState::BeforeKey,
                _ => ParserState::Comment,
            },
            // Since v254 a comment ends with its line even after a backslash.
            ParserState::CommentEscape if is_newline(c) => ParserState::BeforeKey,
            ParserState::CommentEscape => ParserState::Comment,
        }
    }

    fn keep(&mut self, c: char, next: ParserState) -> ParserState {
        self.value.push(c);
        self.kept = self.value.len();
        next
    }

    fn assign(&mut self) {
        let name = std::mem::take(&mut self.key);
        let mut value = std::mem::take(&mut self.value);
        value.truncate(std::mem::take(&mut self.kept));
        self.file.assignments.push(Assignment {
            at: self.at,
            name: name.trim_end_matches(is_blank).to_owned(),
            value,
            oddities: std::mem::take(&mut self.oddities),
        });
    }

    fn skip_line(&mut self) {
        let key = std::mem::take(&mut self.key);
        let line = crate::document::quoted(key.trim_end_matches(is_blank));
        self.file.skipped.push((self.at, format!("{line} has no `=`; systemd skips this line")));
    }
}

/// Returns the name after a shell's `export`.
fn exported(name: &str) -> Option<&str> {
    name.strip_prefix("export").filter(|rest| rest.starts_with(is_blank)).map(str::trim_start)
}

impl EnvironmentFile {
    /// Moves assignments that systemd skips for their name or value to the skipped lines.
    pub(crate) fn skip_invalid(&mut self) {
        let skipped = &mut self.skipped;
        self.assignments.retain(|Assignment { at, name, value, oddities: _ }| {
            let reason = if let Some(exported) = exported(name) {
                let variable = crate::document::quoted(exported);
                format!("`export` is shell syntax; systemd skips this line: remove `export` to set {variable}")
            } else if variable::check_name(name) == Err(BadVariableName::Malformed) {
                let name = crate::document::quoted(name);
                format!("{name} is not a variable name; systemd skips this line")
            } else if let Err(bad) = variable::check_value(value) {
                format!("{bad}; systemd skips this line")
            } else {
                return true;
            };
            skipped.push((*at, reason));
            false
        });
    }
}
