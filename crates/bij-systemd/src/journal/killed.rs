//! The processes that a manager killed, from its log messages.

use super::record::Record;

/// Returns the names of the killed processes, in the order of the records.
///
/// A process chooses its own name, which may contain anything but a NUL; the text before and behind it is the
/// manager's.
pub(super) fn process_names(records: &[Record]) -> Vec<String> {
    let message = |record: &Record| record.text("MESSAGE");
    records.iter().filter_map(message).filter_map(|message| process_name(&message)).collect()
}

/// Returns the name in `brain-experiment@x.service: Killing process 123 (sleep) with signal SIGKILL.` (`log_kill` of
/// systemd's unit.c).
fn process_name(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(": Killing process ")?;
    let (pid, rest) = rest.split_once(" (")?;
    let name = rest.strip_suffix(") with signal SIGKILL.")?;
    let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    let shown = || name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    is_pid.then(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_killed_process_is_read_from_the_message() {
        let message = |text: &str| format!("brain-experiment@x.service: {text}");
        let read = |text: &str| process_name(&message(text));
        assert_eq!(
            read("Killing process 123 (sleep) with signal SIGKILL."),
            Some("sleep".to_owned())
        );
        assert_eq!(
            read("Killing process 7 (a) (b\u{1b}) with signal SIGKILL."),
            Some("a) (b ".to_owned())
        );
        for other in [
            "Killing process 123 (sleep) with signal SIGTERM.",
            "Killing process x (sleep) with signal SIGKILL.",
            "State 'stop-sigterm' timed out. Killing.",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
