//! Problems of values, before their file and key are known.

use bij_core::port::Problem;

use crate::source::Text;

/// A problem at a byte offset of a text.
#[derive(Clone, Debug)]
pub(crate) struct ParseFault {
    at: usize,
    key: String,
    message: String,
    hint: Option<String>,
}

impl ParseFault {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, key: String::new(), message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the hint unless there is one.
    pub(crate) fn or_hint(mut self, hint: impl FnOnce() -> Option<String>) -> Self {
        self.hint = self.hint.or_else(hint);
        self
    }

    /// Prepends `key` to the key of the fault, which begins with `.` or `[`, or is empty.
    pub(crate) fn within(mut self, key: &str) -> Self {
        self.key.insert_str(0, key);
        self
    }

    /// Returns the fault as a problem of a file.
    pub(crate) fn in_text(self, text: &Text<'_>) -> Problem {
        Problem {
            location: text.location(self.at),
            key: (!self.key.is_empty()).then_some(self.key),
            message: self.message,
            hint: self.hint,
        }
    }
}

/// The most problems of one file that are listed. It keeps a megabyte of garbage from giving a million
/// messages.
const MAX_FAULTS: usize = 50;

/// All problems of one text.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParseFaults {
    list: Vec<ParseFault>,
    unlisted: usize,
}

impl ParseFaults {
    pub(crate) fn push(&mut self, fault: ParseFault) {
        if self.list.len() < MAX_FAULTS {
            self.list.push(fault);
        } else {
            self.unlisted += 1;
        }
    }

    /// Returns whether further faults are only counted, so that hints for them are useless.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MAX_FAULTS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the first fault; an error always has one.
    pub(crate) fn into_first(self) -> ParseFault {
        self.list.into_iter().next().unwrap_or_else(|| ParseFault::new(0, "invalid value"))
    }

    /// Adds the faults of another list, each changed by `map`.
    pub(crate) fn extend(&mut self, other: Self, map: impl Fn(ParseFault) -> ParseFault) {
        self.unlisted += other.unlisted;
        for fault in other.list {
            self.push(map(fault));
        }
    }

    /// Returns the faults as problems of a file, in the order of the file.
    pub(crate) fn into_problems(mut self, text: &Text<'_>) -> Vec<Problem> {
        self.list.sort_by_key(|fault| fault.at);
        let last = self.list.last().map_or(0, |fault| fault.at);
        let mut problems: Vec<_> = self.list.into_iter().map(|f| f.in_text(text)).collect();
        if self.unlisted > 0 {
            let message = format!("and {} more problems", self.unlisted);
            problems.push(ParseFault::new(last, message).in_text(text));
        }
        problems
    }
}

impl From<ParseFault> for ParseFaults {
    fn from(fault: ParseFault) -> Self {
        Self { list: vec![fault], unlisted: 0 }
    }
}
