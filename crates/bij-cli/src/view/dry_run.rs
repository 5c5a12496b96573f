//! The runs that a submission would queue.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bij_core::ExperimentId;
use serde::Serialize;

use super::escape::visible;
use super::table::{Column, Table};
use super::{Format, View};

/// Runs that would be queued: `bij submit --dry-run`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct DryRuns(pub(crate) Vec<DryRun>);

/// A run that would be queued.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DryRun {
    /// The experiment; `None` if its id would be generated.
    pub(crate) experiment: Option<ExperimentId>,
    /// Whether the experiment is already defined.
    pub(crate) defined: bool,
    /// Its parameter values in a sweep.
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) command: Vec<String>,
}

impl View for DryRuns {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            Column::left("EXPERIMENT"),
            Column::left("PARAMETERS").dispensable(1).flexible(),
            Column::left("COMMAND").flexible(),
        ]);
        for run in &self.0 {
            let id = run.experiment.as_ref().map_or("(generated)", ExperimentId::as_str);
            let parameters: Vec<String> =
                run.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            table.row([
                id.into(),
                visible(&parameters.join(" ")).into_owned().into(),
                visible(&run.command.join(" ")).into_owned().into(),
            ]);
        }
        table.write(out, format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_shows_its_values_first() {
        let one = |number: u32, lr: &str| DryRun {
            experiment: ExperimentId::new(&format!("train.{number}")).ok(),
            defined: false,
            parameters: [("lr".to_owned(), lr.to_owned())].into(),
            command: vec!["/usr/bin/train".to_owned(), format!("--lr={lr}")],
        };
        let runs = DryRuns(vec![one(1, "0.1"), one(2, "0.2")]);
        let text = |width| {
            let mut out = Vec::new();
            runs.text(&mut out, &Format { width, ..Format::for_test() }).unwrap();
            String::from_utf8(out).unwrap()
        };
        insta::assert_snapshot!(text(None));
        insta::assert_snapshot!(text(Some(30)));
        insta::assert_json_snapshot!(runs);
    }
}
