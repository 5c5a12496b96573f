//! `bij doctor`: checks of the machine and of the installation, each with the command that corrects its fault.

mod installation;
mod kernel;
mod storage;

use std::io::{self, Write};

use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::view::{TextFormat, Tone, View, visible};

/// Runs all checks. Fails if one of them finds a failure; warnings do not count.
pub(super) async fn doctor(context: &Context) -> Result<(), CliError> {
    let mut checks = kernel::checks(&context.root);
    checks.extend(storage::checks(context));
    checks.extend(installation::checks(context).await);
    let diagnosis = Diagnosis(checks);
    context.terminal.show(&diagnosis)?;
    match diagnosis.0.iter().filter(|check| check.verdict == Verdict::Failure).count() {
        0 => Ok(()),
        failed => {
            let message = format!("{failed} of {} checks failed", diagnosis.0.len());
            Err(CliError::new(Kind::Failed, message))
        }
    }
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Ok,
    /// Something is missing that experiments can do without.
    Warning,
    /// Experiments do not run, are not held to their limits, or lose their records.
    Failure,
}

/// A check with its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    /// The name of the check, one word for programs.
    name: &'static str,
    verdict: Verdict,
    /// What was found, as a fragment.
    message: String,
    /// The command that corrects the fault, or what to do.
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, message: message.into(), remedy: None }
    }

    fn warning(name: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { name, verdict: Verdict::Warning, message: message.into(), remedy }
    }

    fn failure(name: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failure, ..Self::warning(name, message, remedy) }
    }
}

/// All checks: `bij doctor`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
struct Diagnosis(Vec<Check>);

impl View for Diagnosis {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        for check in &self.0 {
            let (tone, word) = match check.verdict {
                Verdict::Ok => (Tone::Good, "ok     "),
                Verdict::Warning => (Tone::Busy, "warning"),
                Verdict::Failure => (Tone::Bad, "FAILURE"),
            };
            let word = format.paint(tone, word);
            writeln!(out, "{word}  {}: {}", check.name, visible(&check.message))?;
            if let Some(remedy) = &check.remedy {
                let hint = format.paint(Tone::Accent, "remedy:");
                writeln!(out, "           {hint} {}", visible(remedy))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_remedy_below() {
        let diagnosis = Diagnosis(vec![
            Check::ok("swap", "8G"),
            Check::failure("group", "there is no group bij", "sudo systemd-sysusers"),
        ]);
        let mut text = Vec::new();
        diagnosis.text(&mut text, &TextFormat::for_test()).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "ok       swap: 8G\nFAILURE  group: there is no group bij\n           remedy: \
             sudo systemd-sysusers\n"
        );
    }
}
