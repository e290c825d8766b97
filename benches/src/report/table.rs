//! Aligned columns of text.

use std::fmt::Write as _;

/// Rows under a line of heads. The first column is aligned left, all others right.
pub(super) struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The widest that a line may be.
pub(super) const WIDTH: usize = 120;

const GAP: usize = 2;

impl Table {
    pub(super) fn new<H: Into<String>>(heads: impl IntoIterator<Item = H>) -> Self {
        Table { heads: heads.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub(super) fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All lines, none wider than [`WIDTH`]: the first column is cut if that is needed, and the whole line if even that is not enough.
    pub(super) fn render(&self) -> String {
        let lines = || std::iter::once(&self.heads).chain(&self.rows);
        let mut widths: Vec<usize> = (0..self.heads.len())
            .map(|at| lines().filter_map(|row| row.get(at)).map(|cell| width(cell)).max())
            .map(Option::unwrap_or_default)
            .collect();
        let rest: usize = widths.iter().skip(1).map(|width| width + GAP).sum();
        if let Some(first) = widths.first_mut() {
            *first = (*first).min(WIDTH.saturating_sub(rest).max(12));
        }
        let mut out = String::new();
        for row in lines() {
            let mut line = String::new();
            for (at, (cell, &wide)) in row.iter().zip(&widths).enumerate() {
                let cell = cut(cell, wide);
                // Writing into a String cannot fail.
                let _ = if at == 0 { write!(line, "{cell:wide$}") } else { write!(line, "{:GAP$}{cell:>wide$}", "") };
            }
            out.push_str(cut(line.trim_end(), WIDTH).trim_end());
            out.push('\n');
        }
        out
    }
}

/// Words in lines of at most [`WIDTH`], each line behind `indent`. A word longer than that is cut.
pub(super) fn wrapped(text: &str, indent: &str) -> String {
    let room = WIDTH - width(indent);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = cut(word, room);
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines.iter().map(|line| format!("{indent}{line}\n")).collect()
}

/// At most `wide` characters, the last two dots if some are missing; what would move the terminal's cursor is a space.
fn cut(text: &str, wide: usize) -> String {
    let clean = |char: char| if char.is_control() { ' ' } else { char };
    if width(text) <= wide {
        return text.chars().map(clean).collect();
    }
    let mut out: String = text.chars().take(wide.saturating_sub(2)).map(clean).collect();
    out.push_str("..");
    out
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["name", "us"]);
        table.row(["pool", "4.00"]);
        table.row(["no pool", "12.5"]);
        assert_eq!(table.render(), "name       us\npool     4.00\nno pool  12.5\n");
    }

    #[test]
    fn nothing_is_wider_than_a_line() {
        let mut table = Table::new(["name", "us"]);
        table.row(["x".repeat(300), "1\u{1b}[2J".into()]);
        table.row(["y".into(), "z".repeat(300)]);
        let text = table.render() + &wrapped(&format!("{} a b", "w".repeat(500)), "  ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
