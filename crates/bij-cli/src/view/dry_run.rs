//! What a submission would put into the queue.

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

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DryRun {
    /// Absent if a name would have to be made.
    pub(crate) experiment: Option<ExperimentId>,
    /// Whether it is defined already.
    pub(crate) defined: bool,
    /// Its values in a sweep.
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
        for one in &self.0 {
            let id = one.experiment.as_ref().map_or("(a made name)", ExperimentId::as_str);
            let parameters: Vec<String> =
                one.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            table.row([
                id.into(),
                visible(&parameters.join(" ")).into_owned().into(),
                visible(&one.command.join(" ")).into_owned().into(),
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
