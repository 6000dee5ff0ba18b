//! Tables as text: terminal, Markdown, CSV, JSON.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

use super::human;
use super::table::{Cell, Table};
use crate::domain::{no_formula, one_line};

/// The maximum number of characters in a line of a headline.
const HEADLINE_WIDTH: usize = 110;

impl Table {
    /// The table for a terminal: numbers are right-aligned, and rules separate the heads, the published rows and the
    /// footer.
    pub fn terminal(&self) -> String {
        let mut grid = Grid::new();
        grid.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(self.head_lines());
        for row in self.rows.iter().chain(&self.published).chain(&self.footer) {
            grid.add_row(row.iter().map(|cell| self.text(cell)));
        }
        for (index, column) in grid.column_iter_mut().enumerate() {
            let alignment = if index < self.labels { CellAlignment::Left } else { CellAlignment::Right };
            column.set_cell_alignment(alignment);
        }
        // comfy-table draws a rule between all rows, which would double the height of the table: keep the wanted ones.
        let lines: Vec<String> = grid.lines().collect();
        let rule = |line: &str| line.trim().chars().all(|c| matches!(c, '─' | '═' | '╶' | '╴' | '┄'));
        let mut text = format!("{}\n", one_line(&self.title));
        if let Some(head) = self.spread.head() {
            text.push_str(&format!("{head}\n"));
        }
        for line in self.headline.iter().flat_map(|headline| human::wrapped(&one_line(headline), HEADLINE_WIDTH)) {
            text.push_str(&format!("{line}\n"));
        }
        let mut content = 0;
        // The number of lines of text above the rules to keep.
        let published = 1 + self.rows.len() + self.published.len();
        let borders = [1 + self.rows.len(), published];
        for (number, line) in lines.iter().enumerate() {
            let last = number + 1 == lines.len();
            if rule(line) && !(content <= 1 || last || borders.contains(&content)) {
                continue;
            }
            content += usize::from(!rule(line));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("{}\n", one_line(note)));
        }
        text
    }

    /// The table as Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = (0..self.heads.len()).map(|index| if index < self.labels { "---" } else { "---:" }.to_owned());
        let mut text = format!("**{}**\n\n", escaped_markdown(&self.title));
        if let Some(head) = self.spread.head() {
            text.push_str(&format!("{head}\n\n"));
        }
        if let Some(headline) = &self.headline {
            text.push_str(&format!("{}\n\n", escaped_markdown(headline)));
        }
        text.push_str(&line(self.heads.iter().map(|head| escaped_markdown(head)).collect()));
        text.push_str(&line(rule.collect()));
        for row in self.rows.iter().chain(&self.published).chain(&self.footer) {
            text.push_str(&line(row.iter().map(|cell| escaped_markdown(&self.text(cell))).collect()));
        }
        for note in &self.notes {
            text.push_str(&format!("\n{}\n", escaped_markdown(note)));
        }
        text
    }

    /// The table as CSV with unrounded numbers: one row per condition, then the published rows.
    ///
    /// A score has three columns (mean, sd, seeds). Columns for what the terminal shows around the scores follow after
    /// all others.
    pub fn csv(&self) -> String {
        let wide = |index: usize| {
            let kind = |row: &Vec<Cell>| match &row[index] {
                Cell::Score(_) => Some(&["", "_sd", "_seeds"][..]),
                Cell::Interval(..) => Some(&["_low", "_high"][..]),
                Cell::Missing => None,
                _ => Some(&[""][..]),
            };
            self.rows.iter().chain(&self.published).find_map(kind).unwrap_or(&[""])
        };
        let scored: Vec<usize> = (0..self.heads.len()).filter(|index| wide(*index).contains(&"_seeds")).collect();
        let heads = self.heads.iter().enumerate();
        let mut heads: Vec<String> = heads
            .flat_map(|(index, head)| {
                wide(index).iter().map(move |suffix| no_formula(&format!("{}{suffix}", one_line(head))).into_owned())
            })
            .collect();
        let context = scored.iter().flat_map(|index| self.context_heads(*index));
        let more = context.chain(self.csv_columns.iter().map(|column| column.head.clone()));
        heads.extend(more.map(|head| no_formula(&one_line(&head)).into_owned()));
        // Writing to memory cannot fail, and neither can a row of any length.
        let mut out = csv::WriterBuilder::new().flexible(true).from_writer(vec![]);
        let _ = out.write_record(&heads);
        for (number, row) in self.rows.iter().chain(&self.published).enumerate() {
            let mut fields = vec![];
            for (index, cell) in row.iter().enumerate() {
                match cell {
                    Cell::Score(score) => {
                        fields.extend([score.mean.to_string(), optional(score.deviation), score.seeds.to_string()]);
                    }
                    Cell::Interval(low, high, _) => fields.extend([low.to_string(), high.to_string()]),
                    Cell::Number(value, _)
                    | Cell::Marked(value, ..)
                    | Cell::Difference(value, _)
                    | Cell::Probability(value) => {
                        fields.push(value.to_string());
                        // A published number has no deviation and no seeds.
                        fields.extend(wide(index).iter().skip(1).map(|_| String::new()));
                    }
                    Cell::Label(_) => fields.push(no_formula(&cell.text()).into_owned()),
                    Cell::Count(_) => fields.push(cell.text()),
                    Cell::Missing => fields.extend(wide(index).iter().map(|_| String::new())),
                }
            }
            fields.extend(scored.iter().flat_map(|index| self.context(*index, &row[*index])));
            let more = self.csv_columns.iter().map(|column| column.cells.get(number));
            fields.extend(more.map(|cell| match cell {
                Some(label @ Cell::Label(_)) => no_formula(&label.plain()).into_owned(),
                cell => cell.map_or(String::new(), Cell::plain),
            }));
            let _ = out.write_record(&fields);
        }
        out.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// The heads of the columns for what the terminal shows around the scores of a column.
    fn context_heads(&self, index: usize) -> impl Iterator<Item = String> {
        let footer = self.footer.iter().map(|row| row[0].text().replace(' ', "_"));
        let context = ["stderr", "seeds_planned", "rules", "marks"].into_iter().map(str::to_owned).chain(footer);
        context.map(move |name| format!("{}_{name}", self.heads[index]))
    }

    /// The standard error, the planned seeds, the mode and the marks of a score, and the footer below it. The fields of
    /// other cells are blank, except for the marks of published numbers.
    fn context(&self, index: usize, cell: &Cell) -> Vec<String> {
        let reasons = |marks: &str| {
            let reason = |letter| self.marks.iter().find(|note| note.letter == letter).map(|note| note.reason.as_str());
            marks.chars().filter_map(reason).collect::<Vec<&str>>().join("; ")
        };
        let blank =
            |marks: String| [vec![String::new(); 3], vec![marks], vec![String::new(); self.footer.len()]].concat();
        let score = match cell {
            Cell::Score(score) => score,
            Cell::Marked(_, _, marks) => return blank(reasons(marks)),
            _ => return blank(String::new()),
        };
        let planned = score.seeds_expected.to_string();
        let mut fields = vec![optional(score.stderr), planned, score.modes.clone(), reasons(&score.marks)];
        fields.extend(self.footer.iter().map(|row| match row[index] {
            Cell::Number(value, _) => value.to_string(),
            _ => String::new(),
        }));
        fields
    }

    /// The table as JSON.
    ///
    /// # Panics
    /// Never: a table has only string keys.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a table has only string keys") + "\n"
    }
}

/// A text in a line of Markdown, with escapes where it would be taken for a cell, emphasis, code, a link, an entity or HTML.
fn escaped_markdown(text: &str) -> String {
    let text = one_line(text);
    let mut escaped = String::new();
    let mut before: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let beside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let active = match c {
            '|' | '*' => true,
            '\\' => next.is_some_and(|next| next.is_ascii_punctuation()),
            '_' => !(beside(before) && beside(next)),
            '<' => next.is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?')),
            '&' => next.is_some_and(|next| next.is_ascii_alphabetic() || next == '#'),
            '~' => next == Some('~') || before == Some('~'),
            ']' => next == Some('('),
            _ => false,
        };
        if active {
            escaped.push('\\');
        }
        escaped.push(c);
        before = Some(c);
    }
    escaped
}

fn optional(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that mean something in one of the formats.
    const NAMES: [&str; 12] = [
        "two\nlines",
        "cr\r\nlf",
        "a|b",
        "say \"a\", b",
        "<b>bold</b> &amp;",
        "*star* _under_ `code` snake_case",
        "=HYPERLINK(\"x\")",
        "+1 more",
        "-1.5",
        "[x](y) \\| 50% $a$ #1 {b} ^ ~~c~~",
        "\u{1b}[31mred\u{7}",
        "\u{202e}txt\u{2028}end",
    ];

    fn table() -> Table {
        let row = |name: &&str| vec![Cell::Label((*name).to_owned()), Cell::Number(1.0, 1)];
        let (first, last) = NAMES.split_at(9);
        Table {
            title: "a *title*\n".to_owned(),
            heads: vec!["a|\nhead".to_owned(), "=score".to_owned()],
            labels: 1,
            rows: first.iter().map(row).collect(),
            published: last.iter().map(row).collect(),
            notes: vec!["a note\nof two lines".to_owned()],
            ..Table::default()
        }
    }

    /// The number of cells of a line of Markdown.
    fn cells(line: &str) -> usize {
        line.replace("\\\\", "").replace("\\|", "").matches('|').count() - 1
    }

    #[test]
    fn names_keep_rows_apart_in_every_format() {
        let table = table();
        let markdown = table.markdown();
        let rows: Vec<&str> = markdown.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), NAMES.len() + 2, "{markdown}");
        assert!(rows.iter().all(|row| cells(row) == 2), "{markdown}");

        let csv = table.csv();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        assert_eq!(reader.headers().unwrap(), vec!["a|\\nhead", "'=score"]);
        let names: Vec<String> = reader.records().map(|row| row.unwrap()[0].to_owned()).collect();
        assert_eq!(names.len(), NAMES.len());
        assert_eq!(names[6..9], ["'=HYPERLINK(\"x\")", "'+1 more", "-1.5"]);

        // Heads, rows, and the title, the rules and the note.
        let terminal = table.terminal();
        assert_eq!(terminal.lines().count(), 1 + NAMES.len() + 1 + 4 + 1, "{terminal}");
        let html = crate::report::html_page("t", &[(&table, None)]);
        assert_eq!(html.matches("<tr>").count(), NAMES.len() + 1, "{html}");
        assert!(!html.contains("<b>bold"), "{html}");
        let latex = table.latex();
        assert_eq!(latex.lines().filter(|line| line.ends_with(" \\\\")).count(), NAMES.len() + 1, "{latex}");
        assert!(latex.contains("  {}[x](y)"), "{latex}");
        let json: serde_json::Value = serde_json::from_str(&table.json()).unwrap();
        assert_eq!(json["rows"][0][0]["label"], "two\nlines", "programs get names as they are");
        for text in [&markdown, &csv, &terminal, &html, &latex] {
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{2028}', '\r']), "{text}");
        }
    }

    #[test]
    fn markdown_is_escaped_where_it_would_be_read() {
        let text = NAMES.map(escaped_markdown).join("\n");
        insta::assert_snapshot!(text, @r#"
        two\nlines
        cr\r\nlf
        a\|b
        say "a", b
        \<b>bold\</b> \&amp;
        \*star\* \_under\_ `code` snake_case
        =HYPERLINK("x")
        +1 more
        -1.5
        [x\](y) \\\| 50% $a$ #1 {b} ^ \~\~c\~\~
        \u{1b}[31mred\u{7}
        \u{202e}txt\u{2028}end
        "#);
        // What tables have without any name.
        for plain in
            ["62.0 ± 2.8 [2/3]a", "<0.001", "[+0.0, +0.5]", "determiner_noun_agreement_1", "—", "`mode: fixed`"]
        {
            assert_eq!(escaped_markdown(plain), plain);
        }
    }
}
