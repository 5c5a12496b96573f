//! Writes to stdout and stderr.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use crate::args::Global;
use crate::error::CliError;
use crate::view::{
    BootClock, LocalZone, TextFormat, Tone, View, for_terminal, in_ascii, in_json, is_utf8,
};

/// The streams of the process: stdout for results, stderr for messages.
#[derive(Clone, Copy)]
pub(crate) struct Terminal {
    json: bool,
    quiet: bool,
    utf8: bool,
    out: OutputStream,
    err: OutputStream,
}

/// Returns the width of a terminal in columns, from `$COLUMNS` or from the terminal itself.
fn width(size: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.or_else(|| size.map(|(width, _)| usize::from(width.0)))
}

/// The properties of one stream.
#[derive(Clone, Copy)]
struct OutputStream {
    is_terminal: bool,
    colour: bool,
    width: Option<usize>,
}

impl OutputStream {
    fn new(is_terminal: bool, wants_colour: bool, width: Option<usize>) -> Self {
        Self {
            is_terminal,
            colour: is_terminal && wants_colour,
            width: width.filter(|_| is_terminal),
        }
    }
}

impl Terminal {
    /// Creates a terminal for the process's streams, with the options of the command line and the environment.
    pub(crate) fn new(global: &Global) -> Self {
        let wants_colour = !global.no_color && Self::wants_colour();
        let (out, err) = (io::stdout(), io::stderr());
        Self {
            json: global.json,
            quiet: global.quiet,
            utf8: is_utf8(|name| std::env::var_os(name)),
            out: OutputStream::new(
                out.is_terminal(),
                wants_colour,
                width(terminal_size::terminal_size_of(&out)),
            ),
            err: OutputStream::new(
                err.is_terminal(),
                wants_colour,
                width(terminal_size::terminal_size_of(&err)),
            ),
        }
    }

    /// Returns whether the environment permits colours (`NO_COLOR`, `TERM`).
    pub(crate) fn wants_colour() -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        !set("NO_COLOR") && !dumb
    }

    /// Returns whether results are printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Returns whether lines on stderr may be redrawn in place.
    pub(crate) fn is_live(&self) -> bool {
        self.err.is_terminal && !self.quiet && !self.json
    }

    /// Returns the format of text on stdout, at the current time.
    pub(crate) fn format(&self) -> TextFormat {
        format(self.out)
    }

    /// Returns the format of text on stderr, at the current time.
    pub(crate) fn err_format(&self) -> TextFormat {
        format(self.err)
    }

    /// Returns the terminal with the current width of stderr, which may have been resized.
    pub(crate) fn remeasured(&self) -> Self {
        let OutputStream { is_terminal, colour, .. } = self.err;
        let width = width(terminal_size::terminal_size_of(io::stderr()));
        Self {
            err: OutputStream { is_terminal, colour, width: width.filter(|_| is_terminal) },
            ..*self
        }
    }

    /// Prints a result on stdout, as text or as JSON.
    pub(crate) fn show(&self, view: &impl View) -> Result<(), CliError> {
        let mut out = BufWriter::new(io::stdout().lock());
        if self.json && self.out.is_terminal {
            write_json(&mut out, serde_json::to_string_pretty(view))?;
        } else if self.json {
            write_json(&mut out, serde_json::to_string(view))?;
        } else {
            self.write_text(&mut out, view, &self.format())?;
        }
        Ok(out.flush()?)
    }

    /// Writes a view as text, escaped for a terminal.
    fn write_text(
        &self,
        out: &mut impl Write,
        view: &impl View,
        format: &TextFormat,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        view.text(&mut text, format)?;
        let text = String::from_utf8_lossy(&text);
        out.write_all(self.escaped(&text, format.colour).as_bytes())
    }

    /// Returns text with escapes for characters that a terminal would obey, in ASCII if the locale requires it.
    fn escaped<'a>(&self, text: &'a str, colour: bool) -> Cow<'a, str> {
        match for_terminal(text, colour) {
            safe if self.utf8 => safe,
            Cow::Borrowed(safe) => in_ascii(safe),
            Cow::Owned(safe) => in_ascii(&safe).into_owned().into(),
        }
    }

    /// Prints one result of a sequence; in JSON, one value per line.
    pub(crate) fn show_next(&self, view: &impl View) -> Result<(), CliError> {
        let mut out = BufWriter::new(io::stdout().lock());
        if self.json {
            write_json(&mut out, serde_json::to_string(view))?;
        } else {
            self.write_text(&mut out, view, &self.format())?;
        }
        Ok(out.flush()?)
    }

    /// Begins a result that comes in pieces, each of which is an array in JSON.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        let array = JsonArray::new(self.out.is_terminal);
        Pieces { terminal: self, out: BufWriter::new(io::stdout()), format: self.format(), array }
    }

    /// Shows a view that replaces the one before: on a terminal in its place, elsewhere as one line of JSON.
    pub(crate) fn show_in_place(&self, view: &impl View) -> Result<(), CliError> {
        if self.json || !self.out.is_terminal {
            return Self { json: true, ..*self }.show_next(view);
        }
        let size = terminal_size::terminal_size_of(io::stdout());
        let mut text = Vec::new();
        self.write_text(&mut text, view, &TextFormat { width: width(size), ..self.format() })?;
        let height = size.map_or(usize::MAX, |(_, height)| usize::from(height.0));
        let mut out = BufWriter::new(io::stdout().lock());
        out.write_all(&screen(&text, height))?;
        Ok(out.flush()?)
    }

    /// Prints text that is itself the result, unescaped.
    pub(crate) fn print(text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Prints a status line on stderr.
    pub(crate) fn status(&self, text: &str) {
        if !self.quiet {
            self.write_line(text);
        }
    }

    /// Prints a hint on stderr.
    pub(crate) fn hint(&self, text: &str) {
        if !self.quiet {
            self.write_line(&format!("{} {text}", self.err_format().paint(Tone::Accent, "hint:")));
        }
    }

    /// Prints a warning on stderr.
    pub(crate) fn warning(&self, text: &str) {
        self.write_line(&format!("{} {text}", self.err_format().paint(Tone::Busy, "warning:")));
    }

    /// Prints an error with its hints on stderr.
    pub(crate) fn error(&self, error: &CliError) {
        if error.broken_pipe {
            return;
        }
        let word = self.err_format().paint(Tone::Bad, "error:");
        self.write_line(&format!("{word} {}", error.sentence()));
        for hint in &error.hints {
            self.hint(hint);
        }
    }

    /// Shows a view as text on stderr.
    pub(crate) fn show_on_stderr(&self, view: &impl View) {
        if !self.quiet {
            let mut text = Vec::new();
            // Writing to memory cannot fail, and a closed stderr can be reported nowhere.
            let _ = self.write_text(&mut text, view, &self.err_format());
            let _ = io::stderr().lock().write_all(&text);
        }
    }

    /// Writes a line to stderr, also with `--quiet`.
    pub(crate) fn write_line(&self, text: &str) {
        let text = self.escaped(text, self.err.colour);
        // A closed stderr can be reported nowhere.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Writes a line of an experiment's output to stdout; unescaped unless stdout is a terminal.
    pub(crate) fn output(&self, line: &str) -> Result<(), CliError> {
        if !self.out.is_terminal {
            return Self::print(&format!("{line}\n"));
        }
        Self::print(&format!("{}\n", self.escaped(line, self.out.colour)))
    }

    /// Writes a line of an experiment's output to stderr; unescaped unless stderr is a terminal.
    pub(crate) fn error_output(&self, line: &str) {
        if self.err.is_terminal {
            self.write_line(line);
        } else {
            // A closed stderr can be reported nowhere.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }
}

/// Writes one JSON value and a line break.
fn write_json(out: &mut impl Write, value: serde_json::Result<String>) -> io::Result<()> {
    writeln!(out, "{}", in_json(&value?))
}

/// A result that comes in pieces, in JSON one array.
pub(crate) struct Pieces<'a> {
    terminal: &'a Terminal,
    out: BufWriter<io::Stdout>,
    format: TextFormat,
    array: JsonArray,
}

impl Pieces<'_> {
    /// Prints the next piece.
    pub(crate) fn show(&mut self, piece: &impl View) -> Result<(), CliError> {
        if self.terminal.json {
            self.array.write(&mut self.out, piece)?;
        } else {
            self.terminal.write_text(&mut self.out, piece, &self.format)?;
        }
        Ok(())
    }

    /// Prints what stands behind the last piece.
    pub(crate) fn end(mut self) -> Result<(), CliError> {
        if self.terminal.json {
            self.array.end(&mut self.out)?;
        }
        Ok(self.out.flush()?)
    }
}

/// Writes a JSON array in pieces.
struct JsonArray {
    is_pretty: bool,
    is_begun: bool,
}

impl JsonArray {
    const fn new(is_pretty: bool) -> Self {
        Self { is_pretty, is_begun: false }
    }

    /// Writes the elements of the next array.
    fn write(&mut self, out: &mut impl Write, piece: &impl View) -> io::Result<()> {
        let text = if self.is_pretty {
            serde_json::to_string_pretty(piece)?
        } else {
            serde_json::to_string(piece)?
        };
        let elements = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let elements = elements.unwrap_or(&text).trim_matches('\n');
        if elements.is_empty() {
            return Ok(());
        }
        let before = match (self.is_begun, self.is_pretty) {
            (false, false) => "[",
            (false, true) => "[\n",
            (true, false) => ",",
            (true, true) => ",\n",
        };
        self.is_begun = true;
        write!(out, "{before}{}", in_json(elements))
    }

    fn end(self, out: &mut impl Write) -> io::Result<()> {
        match (self.is_begun, self.is_pretty) {
            (false, _) => writeln!(out, "[]"),
            (true, false) => writeln!(out, "]"),
            (true, true) => writeln!(out, "\n]"),
        }
    }
}

/// Returns text that replaces a whole screen: each line clears the rest of its line, the last one everything
/// below (ECMA-48 CUP, EL and ED). Lines that do not fit are left out, because they would scroll the screen.
fn screen(text: &[u8], height: usize) -> Vec<u8> {
    let mut screen = b"\x1b[H".to_vec();
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    for line in lines.take(height.saturating_sub(1)) {
        screen.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        screen.extend_from_slice(b"\x1b[K\n");
    }
    screen.extend_from_slice(b"\x1b[J");
    screen
}

/// Lines at the end of stderr that are redrawn in place.
pub(crate) struct Drawing {
    terminal: Terminal,
    drawn: usize,
}

impl Drawing {
    /// Creates a drawing without lines.
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, drawn: 0 }
    }

    /// Erases the lines, so that other text can be printed.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            // Moves up to the first drawn line and clears everything below (ECMA-48 CPL and ED).
            let _ = write!(io::stderr().lock(), "\x1b[{}F\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    /// Draws these lines in place of the ones before; each must fit the terminal's width.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        if self.terminal.is_live() {
            self.clear();
            self.terminal.write_line(&lines.join("\n"));
            self.drawn = lines.len();
        }
    }
}

fn format(stream: OutputStream) -> TextFormat {
    TextFormat {
        colour: stream.colour,
        is_terminal: stream.is_terminal,
        width: stream.width,
        now: std::time::SystemTime::now().into(),
        boot: BootClock::default(),
        zone: LocalZone::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_written_over_and_never_scrolls() {
        let shown =
            |text: &str, height| String::from_utf8(screen(text.as_bytes(), height)).unwrap();
        assert_eq!(shown("a\nb\n", 24), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(shown("a\nb\nc\n", 3), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(shown("a", 24), "\x1b[Ha\x1b[K\n\x1b[J");
    }
}
