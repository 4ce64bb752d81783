//! Tables for people: columns that align, values that are never wrapped or cut.

use super::printable;

/// Between two columns.
const GAP: &str = "   ";

/// A table with its heads.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(heads: &[&str]) -> Self {
        Table { rows: vec![heads.iter().map(|&head| head.to_owned()).collect()] }
    }

    /// Adds a row; each cell stays on one line.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// Its lines; nothing where it has no rows.
    pub(crate) fn text(&self) -> String {
        if self.rows.len() == 1 {
            return String::new();
        }
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
                line.push_str(GAP);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_by_letters_and_lines_end_with_their_last_word() {
        let mut table = Table::new(&["NAME", "HOSTS", "AGE"]);
        table.row(["grün", "a.test", "3m ago"].map(str::to_owned));
        table.row(["a-long-name", "a.test,b.test\n", ""].map(str::to_owned));
        let wanted = "NAME          HOSTS             AGE\n\
                      grün          a.test            3m ago\n\
                      a-long-name   a.test,b.test\\n\n";
        assert_eq!(table.text(), wanted);
    }

    #[test]
    fn a_table_without_rows_says_nothing() {
        assert_eq!(Table::new(&["NAME"]).text(), "");
    }
}
