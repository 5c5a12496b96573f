//! Processes that outlive the main process of an attempt.

use std::fmt;
use std::time::Duration;

use crate::printable;

/// How often the remaining processes are listed, at most.
const CHECKS: u32 = 10;
/// The pause between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The processes that the main process left behind when it exited by itself. They were killed, because an
/// attempt ends with its main process.
///
/// `Display` writes a sentence for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeftBehind {
    /// The number of processes.
    pub count: usize,
    /// The names of the first [`NAMED`](Self::NAMED) (`comm`, `proc_pid_comm(5)`), made printable because a
    /// process chooses its own name.
    pub names: Vec<String>,
    /// Whether they were asked to exit and did not do so in time.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub late: bool,
}

impl LeftBehind {
    /// The most processes that are named.
    pub const NAMED: usize = 8;

    /// Lists the remaining processes with `names` until there are none or the number of checks is used up,
    /// calling `wait` in between. Helper processes of a library exit by themselves when their pipe to the main
    /// process closes.
    pub fn observe(
        mut names: impl FnMut() -> Vec<String>,
        mut wait: impl FnMut(Duration),
    ) -> Option<Self> {
        let mut left = Self::new(names());
        for _ in 1..CHECKS {
            left.as_ref()?;
            wait(CHECK_INTERVAL);
            left = Self::new(names());
        }
        left
    }

    /// Creates the record of processes with these names; `None` if there are no names.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Option<Self> {
        let mut left = Self::default();
        for name in names {
            left.count += 1;
            if left.names.len() < Self::NAMED {
                left.names.push(printable(name.as_ref()).into_owned());
            }
        }
        (left.count > 0).then_some(left)
    }
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, names, late } = self;
        let (processes, were) =
            if *count == 1 { ("process", "was") } else { ("processes", "were") };
        if *count > 0 {
            write!(f, "{count} ")?;
        }
        write!(f, "{processes} {were} left behind")?;
        f.write_str(if *late { ", did not leave in time and " } else { " and " })?;
        write!(f, "{}killed", if *late { format!("{were} ") } else { String::new() })?;
        if !names.is_empty() {
            let more = if *count > names.len() { ", …" } else { "" };
            write!(f, " ({}{more})", names.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_behind_processes_are_counted_and_named() {
        let text = |names: &[&str]| LeftBehind::new(names).unwrap().to_string();
        assert_eq!(text(&["sh", "sleep"]), "2 processes were left behind and killed (sh, sleep)");
        assert_eq!(text(&["sleep"]), "1 process was left behind and killed (sleep)");
        assert!(text(&["x"; 99]).ends_with("(x, x, x, x, x, x, x, x, …)"));
        assert_eq!(LeftBehind::new([""; 0]), None);
    }

    #[test]
    fn processes_that_did_not_leave_in_time_are_reported_as_late() {
        let late = |names: &[&str]| LeftBehind {
            late: true,
            ..LeftBehind::new(names).unwrap_or_default()
        };
        assert_eq!(
            late(&["sleep"]).to_string(),
            "1 process was left behind, did not leave in time and was killed (sleep)"
        );
        assert_eq!(
            late(&[]).to_string(),
            "processes were left behind, did not leave in time and were killed"
        );
    }

    #[test]
    fn a_helper_that_ends_by_itself_was_not_left_behind() {
        let observe = |checks: u32| {
            let mut waited = 0;
            let helper = |check| if check < checks { vec!["helper".to_owned()] } else { vec![] };
            let mut left = (0..).map(helper);
            let observed = LeftBehind::observe(|| left.next().unwrap(), |_| waited += 1);
            (observed.map(|left| left.count), waited)
        };
        assert_eq!(observe(0), (None, 0), "no wait without processes");
        assert_eq!(observe(3), (None, 3));
        assert_eq!(observe(99), (Some(1), 9));
    }

    #[test]
    fn a_process_name_is_safe_on_a_terminal() {
        let text = LeftBehind::new(["\u{1b}[2J", "a\nb"]).unwrap().to_string();
        assert!(text.chars().all(crate::is_printable), "{text:?}");
    }
}
