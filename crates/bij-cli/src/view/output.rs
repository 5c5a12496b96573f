//! The output of an experiment in the foreground.

use bij_core::ExperimentId;

use super::escape::{last_frame, visible};
use super::{Format, Tone};

/// Formats a line of output; after the experiment's name if several run side by side.
pub(crate) fn output_line(
    id: &ExperimentId,
    hue: Option<usize>,
    text: &str,
    format: &Format,
) -> String {
    match hue {
        Some(hue) => {
            let name = format.paint(Tone::Nth(hue), id.as_str());
            format!("{name} | {}", visible(last_frame(text)))
        }
        // A program may read the pipe, so every byte stays.
        None if !format.is_terminal => text.to_owned(),
        None => visible(last_frame(text)).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_experiment_is_not_named_and_its_output_in_a_pipe_is_unchanged() {
        let id = ExperimentId::new("x").unwrap();
        let pipe = Format::for_test();
        // A terminal of unknown width, such as a serial console.
        let terminal = Format { is_terminal: true, ..Format::for_test() };
        assert_eq!(output_line(&id, None, "1%\r\x1b[1m2%", &pipe), "1%\r\x1b[1m2%");
        assert_eq!(output_line(&id, None, "1%\r\x1b[1m2%", &terminal), "2%");
        assert_eq!(output_line(&id, Some(0), "1%\r2%", &pipe), "x | 2%");
    }
}
