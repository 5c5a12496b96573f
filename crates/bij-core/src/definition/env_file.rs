//! Environment files, read as systemd reads them (systemd.exec(5), `EnvironmentFile=`).

use super::names;
use super::source::Text;

/// One variable of an environment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// Where its line begins.
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) value: String,
    /// What in its text other readers of such files take otherwise.
    pub(crate) oddities: Vec<Oddity>,
}

/// A piece of a value that a shell, or a program that reads `.env` files itself, takes otherwise than
/// systemd does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A `#` behind blanks or a closing quote.
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
    /// What systemd makes of it, and what to write instead. No more of the value is told than a name,
    /// because the value may be a secret.
    pub(crate) fn remark(&self) -> String {
        match self {
            Self::Comment => {
                "systemd knows no comments behind a value: the program gets the `#` and \
                              all that follows it. Put the comment on a line of its own"
                    .to_owned()
            }
            Self::Reference(text) => format!(
                "systemd replaces nothing in a value: the program gets {text} as it stands. Write out \
                 what is meant, or put the value into single quotes if it is meant so"
            ),
            Self::Home => {
                "systemd replaces nothing in a value: the program gets `~` as it stands. \
                           Write the directory out"
                    .to_owned()
            }
            Self::Escape(c) => format!(
                "for systemd `\\{c}` in double quotes is a backslash and the letter {c}. Put the \
                 character itself between the quotes, or the value into single quotes if it is meant so"
            ),
            Self::Backslash => {
                "systemd leaves out a backslash that is not in quotes. Put the value into \
                                single quotes"
                    .to_owned()
            }
            Self::OpenQuote => {
                "this quote is not closed: for systemd all lines that follow belong to \
                                the value. Close it on its line"
                    .to_owned()
            }
        }
    }
}

/// The most oddities of one value that are told.
const MOST_ODDITIES: usize = 5;

/// What an environment file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvironmentFile {
    pub(crate) assignments: Vec<Assignment>,
    /// Lines that systemd skips, with the reason.
    pub(crate) skipped: Vec<(usize, String)>,
}

/// Where in a line the reader is; the same states as systemd's `parse_env_file_internal`.
#[derive(Clone, Copy)]
enum State {
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

struct Reader<'a> {
    text: &'a str,
    file: EnvironmentFile,
    oddities: Vec<Oddity>,
    at: usize,
    key: String,
    value: String,
    /// How much of the value stays when blanks at its end go.
    kept: usize,
}

/// Reads a whole file; every text is some environment file.
pub(crate) fn read(text: &Text<'_>) -> EnvironmentFile {
    let mut reader = Reader {
        text: text.text,
        file: EnvironmentFile::default(),
        oddities: Vec::new(),
        at: 0,
        key: String::new(),
        value: String::new(),
        kept: 0,
    };
    let mut state = State::BeforeKey;
    for (at, c) in text.text.char_indices() {
        reader.notice(state, at, c);
        state = reader.step(state, at, c);
    }
    match state {
        State::Key => reader.no_value(),
        State::BeforeKey | State::Comment | State::CommentEscape => {}
        State::SingleQuoted | State::DoubleQuoted | State::DoubleQuotedEscape => {
            reader.note(Oddity::OpenQuote);
            reader.assign();
        }
        State::BeforeValue | State::Value | State::ValueEscape => reader.assign(),
    }
    reader.file
}

const fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Whether a word that begins with `~` is the caller's home directory for a shell.
fn is_home(word: &str) -> bool {
    word[1..].starts_with('/') || word[1..].chars().next().is_none_or(is_blank)
}

/// What a shell would replace, where a text begins with it.
fn reference(text: &str) -> Option<String> {
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
        Some(super::tree::quoted(&format!("${name}")))
    } else {
        Some("a `$` with a name behind it".to_owned())
    }
}

impl Reader<'_> {
    /// Notes what other readers take otherwise, before the character is taken.
    fn notice(&mut self, state: State, at: usize, c: char) {
        let (before, rest) = self.text.split_at(at);
        let oddity = match (state, c) {
            (State::BeforeValue | State::Value, '#') => {
                let begins = |c| is_blank(c) || matches!(c, '"' | '\'');
                before.ends_with(begins).then_some(Oddity::Comment)
            }
            (State::BeforeValue, '~') if self.value.is_empty() => {
                is_home(rest).then_some(Oddity::Home)
            }
            (State::BeforeValue | State::Value | State::DoubleQuoted, '$' | '`') => {
                reference(rest).map(Oddity::Reference)
            }
            (State::DoubleQuotedEscape, 'n' | 'r' | 't') => Some(Oddity::Escape(c)),
            (State::ValueEscape, c) if c.is_alphanumeric() => Some(Oddity::Backslash),
            _ => None,
        };
        if let Some(oddity) = oddity {
            self.note(oddity);
        }
    }

    fn note(&mut self, oddity: Oddity) {
        if self.oddities.len() < MOST_ODDITIES && !self.oddities.contains(&oddity) {
            self.oddities.push(oddity);
        }
    }

    fn step(&mut self, state: State, at: usize, c: char) -> State {
        match state {
            State::BeforeKey => match c {
                '#' | ';' => State::Comment,
                c if is_blank(c) => State::BeforeKey,
                c => {
                    self.at = at;
                    self.key.push(c);
                    State::Key
                }
            },
            State::Key => match c {
                '=' => State::BeforeValue,
                c if is_newline(c) => {
                    self.no_value();
                    State::BeforeKey
                }
                c => {
                    self.key.push(c);
                    State::Key
                }
            },
            State::BeforeValue => match c {
                c if is_newline(c) => {
                    self.assign();
                    State::BeforeKey
                }
                '\'' => State::SingleQuoted,
                '"' => State::DoubleQuoted,
                '\\' => State::ValueEscape,
                c if is_blank(c) => State::BeforeValue,
                c => self.keep(c, State::Value),
            },
            State::Value => match c {
                c if is_newline(c) => {
                    self.assign();
                    State::BeforeKey
                }
                '\\' => {
                    self.kept = self.value.len();
                    State::ValueEscape
                }
                c if is_blank(c) => {
                    self.value.push(c);
                    State::Value
                }
                c => self.keep(c, State::Value),
            },
            // An escaped newline joins two lines.
            State::ValueEscape if is_newline(c) => State::Value,
            State::ValueEscape => self.keep(c, State::Value),
            State::SingleQuoted if c == '\'' => State::BeforeValue,
            State::SingleQuoted => self.keep(c, State::SingleQuoted),
            State::DoubleQuoted => match c {
                '"' => State::BeforeValue,
                '\\' => State::DoubleQuotedEscape,
                c => self.keep(c, State::DoubleQuoted),
            },
            State::DoubleQuotedEscape => match c {
                '"' | '\\' | '`' | '$' => self.keep(c, State::DoubleQuoted),
                '\n' => State::DoubleQuoted,
                // As in a shell: a backslash before anything else stands for itself.
                c => {
                    self.keep('\\', state);
                    self.keep(c, State::DoubleQuoted)
                }
            },
            State::Comment => match c {
                '\\' => State::CommentEscape,
                c if is_newline(c) => State::BeforeKey,
                _ => State::Comment,
            },
            // Since v254 a comment ends with its line even after a backslash.
            State::CommentEscape if is_newline(c) => State::BeforeKey,
            State::CommentEscape => State::Comment,
        }
    }

    fn keep(&mut self, c: char, next: State) -> State {
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

    fn no_value(&mut self) {
        let key = std::mem::take(&mut self.key);
        let line = super::tree::quoted(key.trim_end_matches(is_blank));
        self.file.skipped.push((self.at, format!("{line} has no `=`; systemd skips this line")));
    }
}

/// The name behind a shell's `export`.
fn exported(name: &str) -> Option<&str> {
    name.strip_prefix("export").filter(|rest| rest.starts_with(is_blank)).map(str::trim_start)
}

impl EnvironmentFile {
    /// Moves what systemd would skip for its name or value from the assignments to the skipped
    /// lines.
    pub(crate) fn drop_what_systemd_drops(&mut self) {
        let skipped = &mut self.skipped;
        self.assignments.retain(|Assignment { at, name, value, oddities: _ }| {
            let reason = if let Some(exported) = exported(name) {
                let set = super::tree::quoted(exported);
                format!("`export` is the shell's; systemd skips this line: remove it to set {set}")
            } else if names::environment_name(name) == Err(names::BadName::Malformed) {
                let name = super::tree::quoted(name);
                format!("{name} is no name of a variable; systemd skips this line")
            } else if let Err(bad) = names::environment_value(value) {
                format!("{bad}; systemd skips this line")
            } else {
                return true;
            };
            skipped.push((*at, reason));
            false
        });
    }
}
