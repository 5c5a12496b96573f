//! One experiment becomes many: each combination of values of its parameters. Pure.

mod param;

use bij_core::ExperimentId;
use bij_core::definition::{ExperimentSpec, SpecOverlay};
use thiserror::Error;

pub(crate) use param::Param;

/// As many as are worth queueing at once; more is a slip of the pen.
pub(crate) const MOST: usize = 10_000;

/// The parameters of a sweep; without any there is one combination, of nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    params: Vec<Param>,
}

/// Why parameters make no sweep.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum SweepError {
    /// A parameter is given twice.
    #[error("the parameter {name} is given twice: write all of its values in one --param")]
    Twice {
        /// Which.
        name: String,
    },
    /// There are too many combinations.
    #[error("{} combinations are too many for one sweep, which takes {MOST}", told(*count))]
    TooMany {
        /// How many; `None` is more than can be counted.
        count: Option<usize>,
    },
    /// A name would be too long.
    #[error("{name} is too long for the id of an experiment; --name gives a shorter one")]
    LongName {
        /// Which.
        name: String,
    },
    /// A value cannot be set.
    #[error("{name}={value}: {why}")]
    Value {
        /// The parameter.
        name: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
}

fn told(count: Option<usize>) -> String {
    count.map_or_else(|| "endlessly many".to_owned(), |count| count.to_string())
}

/// One value of each parameter, in the order in which they were given.
pub(crate) type Combination<'a> = Vec<(&'a str, &'a str)>;

impl Sweep {
    /// Checks that there is a reasonable number of combinations.
    pub(crate) fn new(params: Vec<Param>) -> Result<Self, SweepError> {
        for (at, param) in params.iter().enumerate() {
            if params[..at].iter().any(|other| other.name == param.name) {
                return Err(SweepError::Twice { name: param.name.clone() });
            }
        }
        let mut sizes = params.iter().map(|param| param.values.len());
        let count = sizes.try_fold(1_usize, usize::checked_mul);
        match count {
            Some(count) if count <= MOST => Ok(Self { params }),
            count => Err(SweepError::TooMany { count }),
        }
    }

    /// Whether there is nothing to vary.
    pub(crate) fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// All combinations; the last parameter changes fastest, as in nested loops.
    pub(crate) fn combinations(&self) -> Vec<Combination<'_>> {
        let mut all = vec![Vec::with_capacity(self.params.len())];
        for param in &self.params {
            let longer = all.iter().flat_map(|so_far: &Combination<'_>| {
                param.values.iter().map(|value| {
                    let mut next = so_far.clone();
                    next.push((param.name.as_str(), value.as_str()));
                    next
                })
            });
            all = longer.collect();
        }
        all
    }

    /// The experiments of a sweep over `base`: `<name>.1`, `<name>.2`, … in the order of the
    /// combinations.
    pub(crate) fn members(
        &self,
        base: &ExperimentSpec,
        name: &ExperimentId,
    ) -> Result<Vec<ExperimentSpec>, SweepError> {
        let combinations = self.combinations();
        let numbered = combinations.iter().zip(1_u32..);
        numbered.map(|(combination, number)| member(base, name, number, combination)).collect()
    }
}

/// `lr=0.1 seed=2`.
pub(crate) fn words(combination: &[(&str, &str)]) -> String {
    let words: Vec<String> =
        combination.iter().map(|(name, value)| format!("{name}={value}")).collect();
    words.join(" ")
}

fn member(
    base: &ExperimentSpec,
    name: &ExperimentId,
    number: u32,
    combination: &[(&str, &str)],
) -> Result<ExperimentSpec, SweepError> {
    let name = format!("{name}.{number}");
    let mut spec = base.clone();
    spec.id = ExperimentId::new(&name).map_err(|_| SweepError::LongName { name })?;
    overlay(combination)?.apply(&mut spec);
    spec.command = spec.command.iter().map(|word| replaced(word, combination)).collect();
    let title = base.description.as_deref().unwrap_or(base.id.as_str());
    let title = format!("{title} ({})", words(combination));
    spec.description = Some(title.chars().filter(|c| !c.is_control()).take(120).collect());
    Ok(spec)
}

/// The combination as variables; those of the older tool set limits, as with `-E`.
fn overlay(combination: &[(&str, &str)]) -> Result<SpecOverlay, SweepError> {
    let mut overlay = SpecOverlay::default();
    for (name, value) in combination {
        overlay.add_environment(&format!("{name}={value}")).map_err(|problem| {
            SweepError::Value {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
                why: problem.message,
            }
        })?;
    }
    Ok(overlay)
}

/// The word with each `{NAME}` replaced, and `{{NAME}}` as the text `{NAME}`. What a value brings in
/// is not looked at again.
fn replaced(word: &str, combination: &[(&str, &str)]) -> String {
    let mut whole = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('{') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let literal = combination.iter().find_map(|(name, _)| {
            let inner = rest.strip_prefix("{{")?.strip_prefix(name)?.strip_prefix("}}")?;
            Some((format!("{{{name}}}"), inner))
        });
        let value = || {
            combination.iter().find_map(|(name, value)| {
                let after = rest[1..].strip_prefix(name)?.strip_prefix('}')?;
                Some(((*value).to_owned(), after))
            })
        };
        let (text, after) = literal.or_else(value).unwrap_or_else(|| ("{".to_owned(), &rest[1..]));
        whole.push_str(&text);
        rest = after;
    }
    whole.push_str(rest);
    whole
}

#[cfg(test)]
mod tests;
