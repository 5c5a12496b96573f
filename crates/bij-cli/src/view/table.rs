//! Tables whose columns fit the terminal; without a terminal nothing is cut.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{TextFormat, Tone};

/// A column, and what happens to it if the table does not fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableColumn {
    title: &'static str,
    right: bool,
    /// The rank in which the column is left out, the highest first; 0 is never.
    dispensable: u8,
    /// Whether the cells may be cut, with an ellipsis.
    flexible: bool,
}

impl TableColumn {
    /// Creates a column that is aligned left, for words.
    pub(crate) const fn left(title: &'static str) -> Self {
        Self { title, right: false, dispensable: 0, flexible: false }
    }

    /// Creates a column that is aligned right, for numbers.
    pub(crate) const fn right(title: &'static str) -> Self {
        Self { title, right: true, dispensable: 0, flexible: false }
    }

    /// Lets the column be left out if the table does not fit; the highest rank first.
    pub(crate) const fn dispensable(mut self, rank: u8) -> Self {
        self.dispensable = rank;
        self
    }

    /// Lets the cells be cut if the table does not fit.
    pub(crate) const fn flexible(mut self) -> Self {
        self.flexible = true;
        self
    }
}

/// The text of a cell, with its tone.
#[derive(Clone, Debug)]
pub(crate) struct Cell<'a> {
    text: Cow<'a, str>,
    tone: Tone,
    /// The width in characters.
    width: usize,
}

impl<'a> Cell<'a> {
    /// Creates a cell with a tone.
    pub(crate) fn new(tone: Tone, text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        let width = text.chars().count();
        Self { text, tone, width }
    }
}

impl<'a, T: Into<Cow<'a, str>>> From<T> for Cell<'a> {
    fn from(text: T) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// Rows under the titles of their columns.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    ruler: Ruler,
    /// Row after row, each with a cell for every column.
    cells: Vec<Cell<'a>>,
}

impl<'a> Table<'a> {
    /// Creates a table without rows.
    pub(crate) fn new(columns: impl IntoIterator<Item = TableColumn>) -> Self {
        Self { ruler: Ruler::new(columns), cells: Vec::new() }
    }

    /// Adds a row; missing cells are blank.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) {
        let blanks = std::iter::repeat_with(|| Cell::from(""));
        let row: Vec<_> = cells.into_iter().chain(blanks).take(self.ruler.columns.len()).collect();
        self.ruler.measure(&row);
        self.cells.extend(row);
    }

    /// Writes titles and rows.
    pub(crate) fn write(self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        let columns = self.ruler.columns.len().max(1);
        let ruled = self.ruler.fit(format.width);
        ruled.titles(out, format)?;
        self.cells.chunks(columns).try_for_each(|cells| ruled.row(out, format, cells))
    }
}

/// Measures the rows of a table without keeping them.
#[derive(Clone, Debug)]
pub(crate) struct Ruler {
    columns: Vec<TableColumn>,
    /// The widest cell of each column.
    widest: Vec<usize>,
}

/// The narrowest that a flexible column is cut to.
const NARROWEST: usize = 8;

const GAP: usize = 2;

impl Ruler {
    /// Creates a ruler that has measured no rows.
    pub(crate) fn new(columns: impl IntoIterator<Item = TableColumn>) -> Self {
        let columns: Vec<TableColumn> = columns.into_iter().collect();
        Self { widest: vec![0; columns.len()], columns }
    }

    /// Widens the columns for the cells of a row.
    pub(crate) fn measure(&mut self, cells: &[Cell<'_>]) {
        for (widest, cell) in self.widest.iter_mut().zip(cells) {
            *widest = cell.width.max(*widest);
        }
    }

    /// Returns the columns with widths that fit the limit.
    pub(crate) fn fit(self, limit: Option<usize>) -> Ruled {
        let widths = self.widths(limit);
        Ruled { columns: self.columns, widths }
    }

    /// Returns the width of each column; `None` for a column that is left out.
    fn widths(&self, limit: Option<usize>) -> Vec<Option<usize>> {
        let natural = |(column, widest): (&TableColumn, &usize)| {
            // A dispensable column without entries is left out.
            (*widest > 0 || column.dispensable == 0).then(|| (*widest).max(column.title.len()))
        };
        let mut widths: Vec<Option<usize>> =
            self.columns.iter().zip(&self.widest).map(natural).collect();
        let Some(limit) = limit else { return widths };
        let total = |widths: &[Option<usize>]| {
            let shown = widths.iter().flatten();
            shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
        };
        loop {
            let over = total(&widths).saturating_sub(limit);
            let spare = self.spare(&widths);
            if over <= spare.iter().map(|(_, spare)| spare).sum() {
                shrink(&mut widths, over, &spare);
                return widths;
            }
            let next = (0..widths.len())
                .filter(|at| widths[*at].is_some() && self.columns[*at].dispensable > 0)
                .max_by_key(|at| self.columns[*at].dispensable);
            let Some(next) = next else {
                shrink(&mut widths, over, &spare);
                return widths;
            };
            widths[next] = None;
        }
    }

    /// Returns by how much each flexible column can shrink.
    fn spare(&self, widths: &[Option<usize>]) -> Vec<(usize, usize)> {
        let flexible = (0..widths.len()).filter(|at| self.columns[*at].flexible);
        flexible
            .filter_map(|at| widths[at].map(|width| (at, width.saturating_sub(NARROWEST))))
            .collect()
    }
}

/// Columns of known widths.
#[derive(Clone, Debug)]
pub(crate) struct Ruled {
    columns: Vec<TableColumn>,
    /// `None` for a column that is left out.
    widths: Vec<Option<usize>>,
}

impl Ruled {
    pub(crate) fn titles(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        let titles = self.columns.iter().map(|column| Cell::new(Tone::Heading, column.title));
        self.row(out, format, &titles.collect::<Vec<_>>())
    }

    pub(crate) fn row(
        &self,
        out: &mut dyn Write,
        format: &TextFormat,
        cells: &[Cell<'_>],
    ) -> io::Result<()> {
        let mut line = String::new();
        let mut pending = 0;
        for ((column, width), cell) in self.columns.iter().zip(&self.widths).zip(cells) {
            let Some(width) = *width else { continue };
            let text = cut(cell, width);
            let blank = width - cell.width.min(width);
            // Blanks are written only before text, so that no line ends in blanks.
            if column.right {
                pending += blank;
            }
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', pending));
                pending = 0;
                format.paint_onto(&mut line, cell.tone, &text);
            }
            pending += GAP + if column.right { 0 } else { blank };
        }
        line.push('\n');
        out.write_all(line.as_bytes())
    }
}

fn shrink(widths: &mut [Option<usize>], mut over: usize, spare: &[(usize, usize)]) {
    for (at, spare) in spare.iter().rev() {
        let less = over.min(*spare);
        widths[*at] = widths[*at].map(|width| width - less);
        over -= less;
    }
}

/// Returns the text of a cell, cut to at most `width` characters.
fn cut<'a>(cell: &'a Cell<'_>, width: usize) -> Cow<'a, str> {
    if cell.width <= width {
        return Cow::Borrowed(&cell.text);
    }
    let mut short: String = cell.text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: Option<usize>) -> String {
        let mut table = Table::new([
            TableColumn::left("ID"),
            TableColumn::right("N"),
            TableColumn::left("MORE").dispensable(1),
            TableColumn::left("TEXT").flexible(),
        ]);
        table.row([
            "a_long_experiment".into(),
            "1".into(),
            "more".into(),
            "a text of words".into(),
        ]);
        table.row(["b".into(), "12".into()]);
        let mut out = Vec::new();
        table.write(&mut out, &TextFormat { width, ..TextFormat::for_test() }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_is_cut_in_a_pipe() {
        insta::assert_snapshot!(written(None), @r"
        ID                  N  MORE  TEXT
        a_long_experiment   1  more  a text of words
        b                  12
        ");
    }

    #[test]
    fn a_terminal_first_cuts_text_then_leaves_columns_out_and_never_cuts_ids() {
        insta::assert_snapshot!(written(Some(40)), @r"
        ID                  N  MORE  TEXT
        a_long_experiment   1  more  a text of …
        b                  12
        ");
        insta::assert_snapshot!(written(Some(34)), @r"
        ID                  N  TEXT
        a_long_experiment   1  a text of …
        b                  12
        ");
        insta::assert_snapshot!(written(Some(10)), @r"
        ID                  N  TEXT
        a_long_experiment   1  a text …
        b                  12
        ");
    }
}
