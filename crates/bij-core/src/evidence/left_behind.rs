//! Processes that outlive the main process of an attempt.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::printable;

/// How often it is looked for processes that are left, and how long it is waited in between.
const LOOKS: u32 = 10;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The processes that the main process left behind when it ended by itself. They were killed: an attempt
/// ends with its main process.
///
/// Its text is a sentence for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftBehind {
    /// How many there were.
    pub count: usize,
    /// The names of the first of them (`comm`, `proc_pid_comm(5)`), made printable: a process chooses its own.
    pub names: Vec<String>,
    /// Whether they did not leave in time when they were asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

impl LeftBehind {
    /// How many processes are named.
    pub const NAMED: usize = 8;

    /// Looks at the processes that are left until there are none, or patience is over: helpers of a library
    /// end by themselves when their pipe to the main process closes. `names` looks, `wait` lets time pass.
    pub fn observe(
        mut names: impl FnMut() -> Vec<String>,
        mut wait: impl FnMut(Duration),
    ) -> Option<Self> {
        let mut left = Self::new(names());
        for _ in 1..LOOKS {
            left.as_ref()?;
            wait(LOOK_AGAIN_AFTER);
            left = Self::new(names());
        }
        left
    }

    /// The processes with these names; `None` if there are none.
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
    fn what_was_left_behind_is_counted_and_named() {
        let told = |names: &[&str]| LeftBehind::new(names).unwrap().to_string();
        assert_eq!(told(&["sh", "sleep"]), "2 processes were left behind and killed (sh, sleep)");
        assert_eq!(told(&["sleep"]), "1 process was left behind and killed (sleep)");
        assert!(told(&["x"; 99]).ends_with("(x, x, x, x, x, x, x, x, …)"));
        assert_eq!(LeftBehind::new([""; 0]), None);
    }

    #[test]
    fn what_was_late_is_told_as_such() {
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
        let observe = |looks: u32| {
            let mut waited = 0;
            let helper = |look| if look < looks { vec!["helper".to_owned()] } else { vec![] };
            let mut left = (0..).map(helper);
            let observed = LeftBehind::observe(|| left.next().unwrap(), |_| waited += 1);
            (observed.map(|left| left.count), waited)
        };
        assert_eq!(observe(0), (None, 0), "nothing is waited for");
        assert_eq!(observe(3), (None, 3));
        assert_eq!(observe(99), (Some(1), 9));
    }

    #[test]
    fn a_name_does_no_harm_on_a_terminal() {
        let told = LeftBehind::new(["\u{1b}[2J", "a\nb"]).unwrap().to_string();
        assert!(told.chars().all(crate::is_printable), "{told:?}");
    }
}
