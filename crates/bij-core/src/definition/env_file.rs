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
}

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

struct Reader {
    file: EnvironmentFile,
    at: usize,
    key: String,
    value: String,
    /// How much of the value stays when blanks at its end go.
    kept: usize,
}

/// Reads a whole file; every text is some environment file.
pub(crate) fn read(text: &Text<'_>) -> EnvironmentFile {
    let mut reader = Reader {
        file: EnvironmentFile::default(),
        at: 0,
        key: String::new(),
        value: String::new(),
        kept: 0,
    };
    let mut state = State::BeforeKey;
    for (at, c) in text.text.char_indices() {
        state = reader.step(state, at, c);
    }
    match state {
        State::Key => reader.no_value(),
        State::BeforeKey | State::Comment | State::CommentEscape => {}
        _ => reader.assign(),
    }
    reader.file
}

const fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

impl Reader {
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
        });
    }

    fn no_value(&mut self) {
        let key = std::mem::take(&mut self.key);
        let line = super::tree::quoted(key.trim_end_matches(is_blank));
        self.file.skipped.push((self.at, format!("{line} has no `=`; systemd skips this line")));
    }
}

impl EnvironmentFile {
    /// Moves what systemd would skip for its name or value from the assignments to the skipped
    /// lines.
    pub(crate) fn drop_what_systemd_drops(&mut self) {
        let skipped = &mut self.skipped;
        self.assignments.retain(|Assignment { at, name, value }| {
            let reason = if let Some(exported) = name.strip_prefix("export ") {
                let set = super::tree::quoted(exported.trim_start());
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
