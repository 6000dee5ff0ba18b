//! The forms of a table: terminal, Markdown, CSV, JSON.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

use super::table::{Cell, Table};

impl Table {
    /// For a terminal: numbers to the right, a rule under the heads, another above the footer.
    pub fn terminal(&self) -> String {
        let mut grid = Grid::new();
        grid.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(self.heads.clone());
        for row in self.rows.iter().chain(&self.published).chain(&self.footer) {
            grid.add_row(row.iter().map(Cell::text));
        }
        for (index, column) in grid.column_iter_mut().enumerate() {
            let alignment = if index < self.labels { CellAlignment::Left } else { CellAlignment::Right };
            column.set_cell_alignment(alignment);
        }
        // One line per row: the rules between rows would double the height of the table.
        let lines: Vec<String> = grid.lines().collect();
        let rule = |line: &str| line.trim().chars().all(|c| matches!(c, '─' | '═' | '╶' | '╴' | '┄'));
        let mut text = format!("{}\n", self.title);
        let mut content = 0;
        // Lines of text above the rules between rows, published rows and footer.
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
            text.push_str(&format!("{note}\n"));
        }
        text
    }

    /// For a document.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escape = |text: &str| text.replace('|', "\\|");
        let rule = (0..self.heads.len()).map(|index| if index < self.labels { "---" } else { "---:" }.to_owned());
        let mut text = format!("**{}**\n\n", self.title);
        text.push_str(&line(self.heads.iter().map(|head| escape(head)).collect()));
        text.push_str(&line(rule.collect()));
        for row in self.rows.iter().chain(&self.published).chain(&self.footer) {
            text.push_str(&line(row.iter().map(|cell| escape(&cell.text())).collect()));
        }
        for note in &self.notes {
            text.push_str(&format!("\n{note}\n"));
        }
        text
    }

    /// For a spreadsheet: one row per condition, then the published ones; plain numbers; a score has three columns
    /// (mean, sd, seeds).
    pub fn csv(&self) -> String {
        let quote = |text: &str| match text.contains([',', '"', '\n']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.to_owned(),
        };
        let wide = |index: usize| {
            let kind = |row: &Vec<Cell>| match &row[index] {
                Cell::Score(_) => Some(&["", "_sd", "_seeds"][..]),
                Cell::Interval(..) => Some(&["_low", "_high"][..]),
                Cell::Missing => None,
                _ => Some(&[""][..]),
            };
            self.rows.iter().chain(&self.published).find_map(kind).unwrap_or(&[""])
        };
        let heads = self.heads.iter().enumerate();
        let heads: Vec<String> = heads
            .flat_map(|(index, head)| wide(index).iter().map(move |suffix| quote(&format!("{head}{suffix}"))))
            .collect();
        let mut text = heads.join(",") + "\n";
        for row in self.rows.iter().chain(&self.published) {
            let mut fields = vec![];
            for (index, cell) in row.iter().enumerate() {
                let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
                match cell {
                    Cell::Score(score) => {
                        let numbers = [score.mean.to_string(), optional(score.deviation), score.seeds.to_string()];
                        fields.extend(numbers);
                    }
                    Cell::Interval(low, high) => fields.extend([low.to_string(), high.to_string()]),
                    Cell::Number(value, _) | Cell::Probability(value) => {
                        fields.push(value.to_string());
                        // A published number has neither deviation nor seeds.
                        fields.extend(wide(index).iter().skip(1).map(|_| String::new()));
                    }
                    Cell::Label(_) | Cell::Count(_) => fields.push(quote(&cell.text())),
                    Cell::Missing => fields.extend(wide(index).iter().map(|_| String::new())),
                }
            }
            text.push_str(&(fields.join(",") + "\n"));
        }
        text
    }

    /// For a program.
    ///
    /// # Panics
    /// Never: a table has string keys only.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a table has string keys only") + "\n"
    }
}
