//! Sweeps: one experiment for each combination of parameter values. Pure.

use bij_core::ExperimentId;
use bij_core::spec::ExperimentSpec;
use bij_definition::SpecOverlay;
use thiserror::Error;

use super::param::Param;

/// The largest number of combinations; more are probably a typing error.
pub(super) const MAX_COMBINATIONS: usize = 10_000;

/// The parameters of a sweep; without parameters there is one empty combination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sweep {
    params: Vec<Param>,
}

/// Parameters that make no sweep.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum SweepError {
    /// A parameter is given twice.
    #[error("the parameter {name} is given twice: write all of its values in one --param")]
    Twice { name: String },
    /// There are too many combinations.
    #[error("{} combinations are too many for one sweep; it takes up to {MAX_COMBINATIONS}", format_count(*count))]
    TooMany {
        /// The number of combinations; `None` if it overflows.
        count: Option<usize>,
    },
    /// An id would be too long.
    #[error("{name} is too long for the id of an experiment; --name gives a shorter one")]
    LongName { name: String },
    /// A value cannot be set.
    #[error("{name}={value}: {why}")]
    Value { name: String, value: String, why: String },
}

fn format_count(count: Option<usize>) -> String {
    count.map_or_else(|| format!("more than {}", usize::MAX), |count| count.to_string())
}

/// One value of each parameter, in the order in which they were given.
type Combination<'a> = Vec<(&'a str, &'a str)>;

impl Sweep {
    /// Creates a sweep; fails if a parameter is given twice or there are too many combinations.
    pub(crate) fn new(params: Vec<Param>) -> Result<Self, SweepError> {
        for (at, param) in params.iter().enumerate() {
            if params[..at].iter().any(|other| other.name == param.name) {
                return Err(SweepError::Twice { name: param.name.clone() });
            }
        }
        let mut sizes = params.iter().map(|param| param.values.len());
        let count = sizes.try_fold(1_usize, usize::checked_mul);
        match count {
            Some(count) if count <= MAX_COMBINATIONS => Ok(Self { params }),
            count => Err(SweepError::TooMany { count }),
        }
    }

    /// Returns whether there are no parameters.
    pub(crate) fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// Returns all combinations; the last parameter changes fastest, as in nested loops.
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

    /// Returns the experiments of a sweep over `base`: `<name>.1`, `<name>.2`, … in the order of the
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

/// Formats a combination: `lr=0.1 seed=2`.
fn format_combination(combination: &[(&str, &str)]) -> String {
    let values: Vec<String> =
        combination.iter().map(|(name, value)| format!("{name}={value}")).collect();
    values.join(" ")
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
    spec.command = spec.command.iter().map(|word| substitute(word, combination)).collect();
    let title = base.description.as_deref().unwrap_or(base.id.as_str());
    let title = format!("{title} ({})", format_combination(combination));
    spec.description = Some(title.chars().filter(|c| !c.is_control()).take(120).collect());
    Ok(spec)
}

/// Returns the combination as variables; the variables of the older tool set limits, as with `-E`.
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

/// Returns the word with each `{NAME}` replaced by its value, and each `{{NAME}}` by the text `{NAME}`. Values are not
/// substituted again.
fn substitute(word: &str, combination: &[(&str, &str)]) -> String {
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
