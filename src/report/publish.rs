//! Tables for papers and browsers: LaTeX and HTML.

use super::figure::Figure;
use super::table::{Cell, Spread, Table};
use crate::domain::one_line;

impl Table {
    /// The table as LaTeX for the package booktabs, with the notes in the caption.
    pub fn latex(&self) -> String {
        let line = |cells: Vec<String>| format!("  {} \\\\\n", cells.join(" & "));
        let columns = "l".repeat(self.labels) + &"r".repeat(self.heads.len() - self.labels);
        let mut text = format!(
            "% needs \\usepackage{{booktabs}}\n\\begin{{table}}\n\\centering\n\\begin{{tabular}}{{{columns}}}\n"
        );
        text.push_str("  \\toprule\n");
        text.push_str(&line(self.head_lines().map(|head| latex_label(&head)).collect()));
        for part in [&self.rows, &self.published, &self.footer].into_iter().filter(|part| !part.is_empty()) {
            text.push_str("  \\midrule\n");
            for row in part {
                text.push_str(&line(row.iter().map(|cell| latex(cell, self.spread)).collect()));
            }
        }
        text.push_str("  \\bottomrule\n\\end{tabular}\n");
        let title = self.spread.head().map_or(self.title.clone(), |head| format!("{} ({head})", self.title));
        let texts = std::iter::once(&title).chain(&self.headline).chain(&self.notes);
        let caption = texts.map(|text| escaped_latex(&with_period(text))).collect::<Vec<String>>().join(" ");
        text.push_str(&format!("\\caption{{{caption}}}\n\\end{{table}}\n"));
        text
    }

    fn html(&self) -> String {
        let line = |cells: Vec<(&str, String)>| -> String {
            let cell = |(index, (tag, text)): (usize, (&str, String))| {
                let side = if index < self.labels { "" } else { " class=number" };
                format!("<{tag}{side}>{text}</{tag}>")
            };
            format!("<tr>{}</tr>\n", cells.into_iter().enumerate().map(cell).collect::<String>())
        };
        let mut text = format!("<h2>{}</h2>\n", escaped_html(&self.title));
        if let Some(head) = self.spread.head() {
            text.push_str(&format!("<p>{head}</p>\n"));
        }
        if let Some(headline) = &self.headline {
            text.push_str(&format!("<p><b>{}</b></p>\n", escaped_html(headline)));
        }
        text.push_str("<table>\n<thead>\n");
        text.push_str(&line(self.heads.iter().map(|head| ("th", escaped_html(head))).collect()));
        text.push_str("</thead>\n");
        for part in [&self.rows, &self.published, &self.footer].into_iter().filter(|part| !part.is_empty()) {
            text.push_str("<tbody>\n");
            for row in part {
                text.push_str(&line(row.iter().map(|cell| ("td", self.html_cell(cell))).collect()));
            }
            text.push_str("</tbody>\n");
        }
        text.push_str("</table>\n");
        for note in &self.notes {
            text.push_str(&format!("<p>{}</p>\n", escaped_html(note)));
        }
        text
    }

    /// A cell with the letters of its marks as superscripts, so that they are not read as part of the number.
    fn html_cell(&self, cell: &Cell) -> String {
        let marks = match cell {
            Cell::Score(score) => &score.marks,
            Cell::Marked(_, _, marks) => marks,
            _ => "",
        };
        let text = self.text(cell);
        match text.strip_suffix(marks).filter(|_| !marks.is_empty()) {
            Some(number) => format!("{}<sup>{}</sup>", escaped_html(number), escaped_html(marks)),
            None => escaped_html(&text),
        }
    }
}

/// An HTML page of tables and figures that needs no other file. Each figure is there twice, for wide and for narrow
/// screens.
pub fn html_page(title: &str, parts: &[(&Table, Option<&Figure>)]) -> String {
    let title = escaped_html(title);
    let part = |(table, figure): &(&Table, Option<&Figure>)| {
        let picture = |(screen, svg): (&str, String)| format!("<div class=\"{screen}\">\n{svg}</div>\n");
        let pictures = figure.map(|figure| [("wide", figure.svg()), ("narrow", figure.narrow_svg())].map(picture));
        table.html() + &pictures.map_or(String::new(), |pictures| pictures.concat())
    };
    let parts: String = parts.iter().map(part).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n\
         </head>\n<body>\n{parts}</body>\n</html>\n"
    )
}

const STYLE: &str = "\
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
table { display: block; overflow-x: auto; }
th, td { padding: .2em .9em .2em 0; text-align: left; white-space: nowrap; }
.number { text-align: right; }
sup { line-height: 0; }
thead { border-top: 2px solid; border-bottom: 1px solid; }
tbody + tbody { border-top: 1px solid #999; }
tbody:last-child { border-bottom: 2px solid; }
p { margin: .2em 0; color: #555; }
svg { max-width: 100%; height: auto; margin: 1em 0 2em; }
.narrow { display: none; }
@media screen and (max-width: 700px) {
  body { margin: 1em auto; }
  table { font-size: 13px; }
  th, td { padding-right: .6em; }
  td:not(.number) { white-space: normal; }
  .narrow { display: block; }
  .wide { display: none; }
}
";

fn latex(cell: &Cell, spread: Spread) -> String {
    match cell {
        Cell::Score(score) => {
            let digits = score.scale.decimals();
            let spread = spread.of(score).map_or(String::new(), |spread| format!(" \\pm {spread:.digits$}"));
            format!("${:.digits$}{spread}${}", score.mean, superscript(&score.remarks()))
        }
        Cell::Marked(value, digits, marks) => format!("${value:.digits$}${}", superscript(marks)),
        Cell::Number(..) | Cell::Difference(..) | Cell::Interval(..) | Cell::Probability(_) => {
            format!("${}$", cell.text())
        }
        Cell::Missing => "--".to_owned(),
        Cell::Label(_) | Cell::Count(_) => latex_label(&cell.text()),
    }
}

/// A text with a period at its end.
fn with_period(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

fn superscript(remarks: &str) -> String {
    match remarks.trim() {
        "" => String::new(),
        remarks => format!("\\textsuperscript{{{}}}", escaped_latex(remarks)),
    }
}

/// A label in a row. The command that ends the row before would take a bracket or an asterisk as its argument.
fn latex_label(text: &str) -> String {
    let escaped = escaped_latex(text);
    if escaped.starts_with(['[', '*']) { format!("{{}}{escaped}") } else { escaped }
}

fn escaped_latex(text: &str) -> String {
    let one = |c: char| match c {
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{c}"),
        '~' => "\\textasciitilde{}".to_owned(),
        '^' => "\\textasciicircum{}".to_owned(),
        '\\' => "\\textbackslash{}".to_owned(),
        '<' | '>' => format!("${c}$"),
        '±' => "$\\pm$".to_owned(),
        '×' => "$\\times$".to_owned(),
        '≥' => "$\\geq$".to_owned(),
        '≤' => "$\\leq$".to_owned(),
        '−' => "$-$".to_owned(),
        '—' => "---".to_owned(),
        '–' => "--".to_owned(),
        c => c.to_string(),
    };
    one_line(text).chars().map(one).collect()
}

fn escaped_html(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::super::{Columns, pivot};
    use super::*;
    use crate::domain::Suite;

    fn table() -> Table {
        let cells: Vec<_> = [1, 2].into_iter().map(|seed| cell("a_b", Some("x&y"), "merged", seed)).collect();
        let scores: Vec<_> =
            cells.iter().zip([60.0, 64.0]).map(|(cell, value)| row(cell, Suite::Blimp, None, value)).collect();
        pivot("toy", &cells, &scores, &Columns::Aggregates, &[])
    }

    #[test]
    fn latex_uses_booktabs() {
        insta::assert_snapshot!(table().latex(), @r"
        % needs \usepackage{booktabs}
        \begin{table}
        \centering
        \begin{tabular}{lllr}
          \toprule
          model & datasets & curriculum & blimp \\
          \midrule
          a\_b & x\&y & merged & $62.0 \pm 2.8$\textsuperscript{a} \\
          \midrule
          chance &  &  & $50.0$ \\
          trivial floor &  &  & $48.9$ \\
          \bottomrule
        \end{tabular}
        \caption{toy (mean $\pm$ sd over seeds). Scored with `mode: fixed` (corrected rules). a: not shown to be above chance at the 5\% level (one-sided t test over seeds).}
        \end{table}
        ");
    }

    #[test]
    fn a_page_needs_no_other_file() {
        let table = table();
        let figure = Figure::of(&table);
        let page = html_page("toy", &[(&table, Some(&figure))]);
        let (head, rest) = page.split_once("<svg").expect("a picture");
        insta::assert_snapshot!(head.split_once("</style>").expect("a style").1, @r#"

        </head>
        <body>
        <h2>toy</h2>
        <p>mean ± sd over seeds</p>
        <table>
        <thead>
        <tr><th>model</th><th>datasets</th><th>curriculum</th><th class=number>blimp</th></tr>
        </thead>
        <tbody>
        <tr><td>a_b</td><td>x&amp;y</td><td>merged</td><td class=number>62.0 ± 2.8<sup>a</sup></td></tr>
        </tbody>
        <tbody>
        <tr><td>chance</td><td></td><td></td><td class=number>50.0</td></tr>
        <tr><td>trivial floor</td><td></td><td></td><td class=number>48.9</td></tr>
        </tbody>
        </table>
        <p>Scored with `mode: fixed` (corrected rules).</p>
        <p>a: not shown to be above chance at the 5% level (one-sided t test over seeds)</p>
        <div class="wide">
        "#);
        assert!(rest.trim_end().ends_with("</svg>\n</div>\n</body>\n</html>"), "{rest}");
        // One figure for each width of screen; the style shows one of them.
        assert_eq!(page.matches("<svg").count(), 2, "{page}");
        assert!(page.contains("<div class=\"narrow\">\n<svg") && page.contains("name=\"viewport\""), "{page}");
        // XML namespaces are not fetched.
        let fetched = ["src=", "href=", "@import", "url("].into_iter().find(|word| page.contains(word));
        assert_eq!(fetched, None);
    }
}
