//! `NAME=VALUES` of `--param`.

use std::str::FromStr;

use thiserror::Error;

use super::MOST;

/// A parameter and the values that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Param {
    /// The name of a variable.
    pub(crate) name: String,
    /// At least one; each another.
    pub(crate) values: Vec<String>,
}

/// Why a text is no parameter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum InvalidParam {
    /// There is no `=`.
    #[error("{found:?} is not a parameter: write NAME=VALUES, for example lr=0.1,0.2 or seed=1..3")]
    NoValues {
        /// What was found, shortened.
        found: String,
    },
    /// The name is none.
    #[error("{name:?} cannot be the name of a parameter: use A-Z a-z 0-9 _, no digit first")]
    Name {
        /// What stands there, shortened.
        name: String,
    },
    /// The name means something already.
    #[error("`config` is the definition's own: {{config}} and $BIJ_CONFIG; take another name")]
    Config,
    /// Between two commas stands nothing.
    #[error("{name} has an empty value; the empty text is written \"\"")]
    Empty {
        /// The parameter.
        name: String,
    },
    /// A quotation does not end, or goes on behind its end.
    #[error(
        "{name} has a quotation that does not end well: write \"a,b\", and \"\" for a \" in it"
    )]
    Quotation {
        /// The parameter.
        name: String,
    },
    /// It looks like a range and is none.
    #[error(
        "{range} is not a range: write FIRST..LAST or FIRST..LAST..STEP with integers; other \
         values are listed, and a text with .. in it is quoted"
    )]
    Range {
        /// What stands there, shortened.
        range: String,
    },
    /// A range without a number in it.
    #[error("the range {range} is empty: to count down, write {first}..{last}..-1")]
    EmptyRange {
        /// What stands there.
        range: String,
        /// Its first number.
        first: i64,
        /// Its last.
        last: i64,
    },
    /// There are more values than one sweep takes.
    #[error("{name} has more than {MOST} values, and a sweep takes as many combinations")]
    TooMany {
        /// The parameter.
        name: String,
    },
    /// A value stands there twice.
    #[error("{name} has the value {value:?} twice")]
    Twice {
        /// The parameter.
        name: String,
        /// The value.
        value: String,
    },
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
                Item::Plain(value) if looks_like_a_range(value) => values.extend(range(value)?),
                Item::Plain(value) => values.push(value.to_owned()),
            }
            if values.len() > MOST {
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

enum Item<'a> {
    /// Its text, whatever it looks like.
    Quoted(String),
    Plain(&'a str),
}

/// The first value, and what stands behind its comma; `None` if a quotation does not end well.
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

/// Paths such as `../data` have dots, too.
fn looks_like_a_range(value: &str) -> bool {
    value.contains("..") && !value.starts_with("..") && !value.contains('/')
}

/// `FIRST..LAST` or `FIRST..LAST..STEP`, both ends included.
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
        if values.len() > MOST {
            // Refused by the one who counts all values.
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
