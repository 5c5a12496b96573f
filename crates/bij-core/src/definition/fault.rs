//! What is wrong with one value, before its file and key are known.

use super::error::Problem;
use super::source::Text;

/// One thing that is wrong at one place of a text.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    at: usize,
    key: String,
    message: String,
    hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, key: String::new(), message: message.into(), hint: None }
    }

    /// The same with what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with what to do about it, where nothing better has been said.
    pub(crate) fn or_hint(mut self, hint: impl FnOnce() -> Option<String>) -> Self {
        self.hint = self.hint.or_else(hint);
        self
    }

    /// The same for what lies below `key`; `below` begins with `.` or `[`, or is empty.
    pub(crate) fn within(mut self, key: &str) -> Self {
        self.key.insert_str(0, key);
        self
    }

    /// The problem of a file.
    pub(crate) fn in_text(self, text: &Text<'_>) -> Problem {
        Problem {
            place: text.place(self.at),
            key: (!self.key.is_empty()).then_some(self.key),
            message: self.message,
            hint: self.hint,
        }
    }
}

/// The most problems of one file that are told one by one.
///
/// People mend the first few; the bound keeps a megabyte of rubbish from becoming a million
/// messages.
const MOST: usize = 50;

/// Everything that is wrong with one text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    list: Vec<Fault>,
    untold: usize,
}

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        if self.list.len() < MOST {
            self.list.push(fault);
        } else {
            self.untold += 1;
        }
    }

    /// Whether further faults are only counted: no use to look for hints.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MOST
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The first of them; they are never made of nothing.
    pub(crate) fn into_first(self) -> Fault {
        self.list.into_iter().next().unwrap_or_else(|| Fault::new(0, "not what belongs here"))
    }

    /// Takes in what was found in a value below `key`.
    pub(crate) fn extend(&mut self, other: Self, map: impl Fn(Fault) -> Fault) {
        self.untold += other.untold;
        for fault in other.list {
            self.push(map(fault));
        }
    }

    /// The problems of a file, in its order.
    pub(crate) fn into_problems(mut self, text: &Text<'_>) -> Vec<Problem> {
        self.list.sort_by_key(|fault| fault.at);
        let last = self.list.last().map_or(0, |fault| fault.at);
        let mut problems: Vec<_> = self.list.into_iter().map(|f| f.in_text(text)).collect();
        if self.untold > 0 {
            let message = format!("and {} more problems", self.untold);
            problems.push(Fault::new(last, message).in_text(text));
        }
        problems
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self { list: vec![fault], untold: 0 }
    }
}
