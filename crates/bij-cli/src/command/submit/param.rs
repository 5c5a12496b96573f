//! Parses the `NAME=VALUES` of `--param`.

use std::str::FromStr;

use thiserror::Error;

use super::sweep::MAX_COMBINATIONS;

/// A parameter of a sweep and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Param {
    /// The name, which is that of an environment variable.
    pub(crate) name: String,
    /// At least one value; all are distinct.
    pub(crate) values: Vec<String>,
}

/// A text that is not a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum InvalidParam {
    /// There is no `=`.
    #[error("{found:?} is not a parameter: write NAME=VALUES, for example lr=0.1,0.2 or seed=1..3")]
    NoValues {
        /// The text as it was written, shortened.
        found: String,
    },
    /// The name is not that of a variable.
    #[error("{name:?} cannot be the name of a parameter: use A-Z a-z 0-9 _, no digit first")]
    Name {
        /// The name as it was written, shortened.
        name: String,
    },
    /// The name is reserved.
    #[error("`config` is the definition's own: {{config}} and $BIJ_CONFIG; use another name")]
    Config,
    /// A value between two commas is empty.
    #[error("{name} has an empty value; the empty text is written \"\"")]
    Empty { name: String },
    /// A quoted value has no closing quotation mark, or text follows it.
    #[error(
        "{name} has a quoted value that does not end well: write \"a,b\", and \"\" for a \" in it"
    )]
    Quotation { name: String },
    /// A value has `..` in it but is not a range of integers.
    #[error(
        "{range} is not a range: write FIRST..LAST or FIRST..LAST..STEP with integers; list other \
         values, and quote a text with .. in it"
    )]
    Range {
        /// The value as it was written, shortened.
        range: String,
    },
    /// A range contains no number.
    #[error("the range {range} is empty: to count down, write {first}..{last}..-1")]
    EmptyRange {
        /// The range as it was written.
        range: String,
        /// The number before the `..`.
        first: i64,
        /// The number behind the `..`.
        last: i64,
    },
    /// There are more values than one sweep takes combinations.
    #[error(
        "{name} has more than {MAX_COMBINATIONS} values; a sweep takes up to {MAX_COMBINATIONS} \
         combinations"
    )]
    TooMany { name: String },
    /// A value is given twice.
    #[error("{name} has the value {value:?} twice")]
    Twice { name: String, value: String },
}

impl FromStr for Param {
    type Err = InvalidParam;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_values = || InvalidParam::NoValues { found: shortened(text) };
        let (name, rest) = text.split_once('=').ok_or_else(no_values)?;
        if rest.is_empty() {
            return Err(no_values());
        }
        check_name(name)?;
        let mut values = Vec::new();
        let mut rest = Some(rest);
        while let Some(text) = rest {
            let (item, after) =
                item(text).ok_or_else(|| InvalidParam::Quotation { name: name.to_owned() })?;
            match item {
                Item::Quoted(value) => values.push(value),
                Item::Plain("") => return Err(InvalidParam::Empty { name: name.to_owned() }),
                Item::Plain(value) if is_range_like(value) => values.extend(range(value)?),
                Item::Plain(value) => values.push(value.to_owned()),
            }
            if values.len() > MAX_COMBINATIONS {
                return Err(InvalidParam::TooMany { name: name.to_owned() });
            }
            rest = after;
        }
        let mut sorted: Vec<&String> = values.iter().collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(InvalidParam::Twice { name: name.to_owned(), value: shortened(twice[0]) });
        }
        Ok(Self { name: name.to_owned(), values })
    }
}

fn check_name(name: &str) -> Result<(), InvalidParam> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = name.chars().all(word) && name.starts_with(|c: char| !c.is_ascii_digit());
    if !good {
        return Err(InvalidParam::Name { name: shortened(name) });
    }
    if name == "config" { Err(InvalidParam::Config) } else { Ok(()) }
}

/// One value of a list, as it was written.
enum Item<'a> {
    /// A quoted value, which is taken literally.
    Quoted(String),
    Plain(&'a str),
}

/// Returns the first value and the text after its comma; `None` if a quoted value does not end well.
fn item(text: &str) -> Option<(Item<'_>, Option<&str>)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (value, after) = text.split_once(',').map_or((text, None), |(v, a)| (v, Some(a)));
        return Some((Item::Plain(value), after));
    };
    let mut value = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        value.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None if after.is_empty() => return Some((Item::Quoted(value), None)),
            None => return Some((Item::Quoted(value), Some(after.strip_prefix(',')?))),
        }
    }
}

/// Returns whether a value is meant as a range; paths such as `../data` are not.
fn is_range_like(value: &str) -> bool {
    value.contains("..") && !value.starts_with("..") && !value.contains('/')
}

/// Returns the integers of `FIRST..LAST` or `FIRST..LAST..STEP`, both ends included.
fn range(text: &str) -> Result<Vec<String>, InvalidParam> {
    let wrong = || InvalidParam::Range { range: shortened(text) };
    let numbers: Option<Vec<i64>> = text.split("..").map(|part| part.parse().ok()).collect();
    let (first, last, step) = match numbers.as_deref() {
        Some([first, last]) => (*first, *last, 1),
        Some([first, last, step]) if *step != 0 => (*first, *last, *step),
        _ => return Err(wrong()),
    };
    let mut values = Vec::new();
    let mut next = Some(first);
    while let Some(value) = next.filter(|v| if step > 0 { *v <= last } else { *v >= last }) {
        values.push(value.to_string());
        if values.len() > MAX_COMBINATIONS {
            // The caller refuses that many values.
            break;
        }
        next = value.checked_add(step);
    }
    if values.is_empty() {
        return Err(InvalidParam::EmptyRange { range: shortened(text), first, last });
    }
    Ok(values)
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
