//! Tables for the terminal.

use unicode_width::UnicodeWidthStr as _;

/// Returns one line for each row, in which the columns are aligned.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let line = |row: &[String; N]| {
        // Padding by a format such as `{:8}` counts characters, but some characters are two columns wide, and
        // others have no width.
        let padding = |cell: &str, width: usize| " ".repeat(width - cell.width());
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell}{}", padding(cell, width)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_combining_characters_are_aligned() {
        let rows =
            [["門", "a"], ["e\u{301}", "b"], ["gate", "c"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "門    a\ne\u{301}     b\ngate  c");
    }
}
