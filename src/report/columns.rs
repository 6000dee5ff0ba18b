//! Plain columns of text, without rules.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Aligns columns of text under their heads, the first `left` columns to the left and the others to the right.
///
/// Lines are indented by two spaces, columns are separated by two spaces, and every line ends with a line feed.
pub fn aligned_columns(heads: &[&str], left: usize, rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        let alignment = if index < left { CellAlignment::Left } else { CellAlignment::Right };
        column.set_padding((2, 0)).set_cell_alignment(alignment);
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_spaces() {
        let rows = [["a", "×12", "x"], ["long", "3", ""]].map(|row| row.map(str::to_owned).to_vec());
        let text = aligned_columns(&["name", "n", "left"], 1, &rows);
        assert_eq!(text, "  name    n  left\n  a     ×12     x\n  long    3\n");
    }
}
