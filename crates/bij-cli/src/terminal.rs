//! The two streams that `bij` writes to.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use crate::args::Global;
use crate::error::CliError;
use crate::signs;
use crate::view::{BootClock, Format, Tone, View, Zone, for_terminal, in_json};

/// stdout for the result, stderr for what is said about it.
#[derive(Clone, Copy)]
pub(crate) struct Terminal {
    json: bool,
    quiet: bool,
    utf8: bool,
    out: Stream,
    err: Stream,
}

/// How wide a terminal is: as `$COLUMNS` says, or the terminal itself.
fn width(size: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.or_else(|| size.map(|(width, _)| usize::from(width.0)))
}

/// What is known of one stream.
#[derive(Clone, Copy)]
struct Stream {
    is_terminal: bool,
    colour: bool,
    width: Option<usize>,
}

impl Stream {
    fn new(is_terminal: bool, wants_colour: bool, width: Option<usize>) -> Self {
        Self {
            is_terminal,
            colour: is_terminal && wants_colour,
            width: width.filter(|_| is_terminal),
        }
    }
}

impl Terminal {
    /// The process's own streams, as the command line and the environment want them.
    pub(crate) fn new(global: &Global) -> Self {
        let wants_colour = !global.no_color && Self::wants_colour();
        let (out, err) = (io::stdout(), io::stderr());
        Self {
            json: global.json,
            quiet: global.quiet,
            utf8: signs::is_utf8(|name| std::env::var_os(name)),
            out: Stream::new(
                out.is_terminal(),
                wants_colour,
                width(terminal_size::terminal_size_of(&out)),
            ),
            err: Stream::new(
                err.is_terminal(),
                wants_colour,
                width(terminal_size::terminal_size_of(&err)),
            ),
        }
    }

    /// Whether the environment has nothing against colours.
    pub(crate) fn wants_colour() -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        !set("NO_COLOR") && !dumb
    }

    /// Whether the result goes to a program.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether a line on stderr may be drawn over and over.
    pub(crate) fn is_live(&self) -> bool {
        self.err.is_terminal && !self.quiet && !self.json
    }

    /// How text on stdout is to look now.
    pub(crate) fn format(&self) -> Format {
        format(self.out)
    }

    /// How text on stderr is to look now.
    pub(crate) fn err_format(&self) -> Format {
        format(self.err)
    }

    /// The same terminal, which may have been resized.
    pub(crate) fn measured_again(&self) -> Self {
        let Stream { is_terminal, colour, .. } = self.err;
        let width = width(terminal_size::terminal_size_of(io::stderr()));
        Self { err: Stream { is_terminal, colour, width: width.filter(|_| is_terminal) }, ..*self }
    }

    /// Prints a result.
    pub(crate) fn show(&self, view: &impl View) -> Result<(), CliError> {
        let mut out = BufWriter::new(io::stdout().lock());
        if self.json && self.out.is_terminal {
            json(&mut out, serde_json::to_string_pretty(view))?;
        } else if self.json {
            json(&mut out, serde_json::to_string(view))?;
        } else {
            self.draw(&mut out, view, &self.format())?;
        }
        Ok(out.flush()?)
    }

    /// Writes a view for people, in the signs that they can see, and nothing that a terminal obeys.
    fn draw(&self, out: &mut impl Write, view: &impl View, format: &Format) -> io::Result<()> {
        let mut text = Vec::new();
        view.text(&mut text, format)?;
        let text = String::from_utf8_lossy(&text);
        out.write_all(self.shown(&text, format.colour).as_bytes())
    }

    /// Text for people as it may be written to either stream.
    fn shown<'a>(&self, text: &'a str, colour: bool) -> Cow<'a, str> {
        match for_terminal(text, colour) {
            safe if self.utf8 => safe,
            Cow::Borrowed(safe) => signs::in_ascii(safe),
            Cow::Owned(safe) => signs::in_ascii(&safe).into_owned().into(),
        }
    }

    /// Prints one result of an unending sequence: as JSON, one value a line.
    pub(crate) fn show_next(&self, view: &impl View) -> Result<(), CliError> {
        let mut out = BufWriter::new(io::stdout().lock());
        if self.json {
            json(&mut out, serde_json::to_string(view))?;
        } else {
            self.draw(&mut out, view, &self.format())?;
        }
        Ok(out.flush()?)
    }

    /// Begins a result that comes in pieces, each of which is an array in JSON.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        let array = Array::new(self.out.is_terminal);
        Pieces { terminal: self, out: BufWriter::new(io::stdout()), format: self.format(), array }
    }

    /// Shows what stands for the one before: on a terminal in its place, elsewhere as one line of JSON.
    pub(crate) fn show_again(&self, view: &impl View) -> Result<(), CliError> {
        if self.json || !self.out.is_terminal {
            return Self { json: true, ..*self }.show_next(view);
        }
        let size = terminal_size::terminal_size_of(io::stdout());
        let mut text = Vec::new();
        self.draw(&mut text, view, &Format { width: width(size), ..self.format() })?;
        let height = size.map_or(usize::MAX, |(_, height)| usize::from(height.0));
        let mut out = BufWriter::new(io::stdout().lock());
        out.write_all(&screen(&text, height))?;
        Ok(out.flush()?)
    }

    /// Prints text that is a result in itself, as it is.
    pub(crate) fn print(text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Says what happened, on stderr.
    pub(crate) fn status(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Says what might help, on stderr.
    pub(crate) fn hint(&self, text: &str) {
        if !self.quiet {
            self.say(&format!("{} {text}", self.err_format().paint(Tone::Accent, "hint:")));
        }
    }

    /// Says what is odd, on stderr.
    pub(crate) fn warning(&self, text: &str) {
        self.say(&format!("{} {text}", self.err_format().paint(Tone::Busy, "warning:")));
    }

    /// Says what went wrong, with its remedies, on stderr.
    pub(crate) fn error(&self, error: &CliError) {
        if error.broken_pipe {
            return;
        }
        self.say(&format!("{} {}", self.err_format().paint(Tone::Bad, "error:"), error.sentence()));
        for hint in &error.hints {
            self.hint(hint);
        }
    }

    /// Shows a view on stderr, for people who watch.
    pub(crate) fn part(&self, view: &impl View) {
        if !self.quiet {
            let mut text = Vec::new();
            // Writing to memory cannot fail, and nobody is left to hear that stderr is closed.
            let _ = self.draw(&mut text, view, &self.err_format());
            let _ = io::stderr().lock().write_all(&text);
        }
    }

    /// Writes a line to stderr, whatever was asked for.
    pub(crate) fn say(&self, text: &str) {
        let text = self.shown(text, self.err.colour);
        // Nobody is left to hear that stderr is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Writes a line of an experiment's output to stdout; where no terminal shows it, every byte.
    pub(crate) fn output(&self, line: &str) -> Result<(), CliError> {
        if !self.out.is_terminal {
            return Self::print(&format!("{line}\n"));
        }
        Self::print(&format!("{}\n", self.shown(line, self.out.colour)))
    }

    /// Writes a line of an experiment's output to stderr; where no terminal shows it, every byte.
    pub(crate) fn error_output(&self, line: &str) {
        if self.err.is_terminal {
            self.say(line);
        } else {
            // Nobody is left to hear that stderr is closed.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }
}

/// Writes one value of JSON on lines of its own.
fn json(out: &mut impl Write, value: serde_json::Result<String>) -> io::Result<()> {
    writeln!(out, "{}", in_json(&value?))
}

/// A result that comes in pieces, in JSON one array.
pub(crate) struct Pieces<'a> {
    terminal: &'a Terminal,
    out: BufWriter<io::Stdout>,
    format: Format,
    array: Array,
}

impl Pieces<'_> {
    /// Prints the next piece.
    pub(crate) fn show(&mut self, piece: &impl View) -> Result<(), CliError> {
        if self.terminal.json {
            self.array.write(&mut self.out, piece)?;
        } else {
            self.terminal.draw(&mut self.out, piece, &self.format)?;
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

/// An array of JSON that is written in pieces.
struct Array {
    is_pretty: bool,
    is_begun: bool,
}

impl Array {
    const fn new(is_pretty: bool) -> Self {
        Self { is_pretty, is_begun: false }
    }

    /// Writes the elements of an array behind those that were written.
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

/// Text that takes the place of a whole screen: from its first line on each line is cleared behind what
/// is written, then everything below (ECMA-48 CUP, EL and ED). What does not fit is left out, since a
/// screen that scrolls has another first line.
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

/// Lines at the end of stderr that are drawn over and over.
pub(crate) struct Drawing {
    terminal: Terminal,
    drawn: usize,
}

impl Drawing {
    /// Nothing is drawn yet.
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, drawn: 0 }
    }

    /// Takes away what was drawn, so that something else may be printed.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            // Up to the first drawn line, then everything below is cleared (ECMA-48 CPL and ED).
            let _ = write!(io::stderr().lock(), "\x1b[{}F\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    /// Draws these lines in the place of those before; each must fit the terminal.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        if self.terminal.is_live() {
            self.clear();
            self.terminal.say(&lines.join("\n"));
            self.drawn = lines.len();
        }
    }
}

fn format(stream: Stream) -> Format {
    Format {
        colour: stream.colour,
        is_terminal: stream.is_terminal,
        width: stream.width,
        now: std::time::SystemTime::now().into(),
        boot: BootClock::default(),
        zone: Zone::default(),
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
