//! A limit on the nesting of Jinja templates, which protects the stack: the parser calls itself for each operator of an
//! expression and for each `elif`.

/// The most operators in one expression, and the most `elif` in a template. Templates of published models have some tens.
const MOST: usize = 400;

/// Refuses a template whose expressions have too many operators.
///
/// # Errors
/// What there is too much of, with the line.
pub fn check_nesting(template: &str) -> Result<(), String> {
    let (mut operators, mut branches, mut line) = (0, 0, 1);
    let (mut quote, mut within, mut comment, mut word) = (None, false, false, String::new());
    let mut before = '\0';
    for c in template.chars() {
        line += usize::from(c == '\n');
        match quote {
            Some(open) => quote = (c != open || before == '\\').then_some(open),
            None if comment => comment = before != '#' || c != '}',
            None if !within => {
                within = before == '{' && (c == '{' || c == '%');
                comment = before == '{' && c == '#';
                operators = 0;
            }
            None => {
                if c.is_alphanumeric() || c == '_' {
                    word.push(c);
                } else {
                    operators += usize::from(matches!(word.as_str(), "not" | "and" | "or" | "is" | "in" | "if"));
                    branches += usize::from(word == "elif");
                    word.clear();
                }
                match c {
                    '\'' | '"' => quote = Some(c),
                    '}' if before == '}' || before == '%' => within = false,
                    '-' | '+' | '~' | '*' | '/' | '%' | '|' | '.' | '[' | '(' | '{' | '=' | '<' | '>' | '!' => {
                        operators += 1;
                    }
                    _ => {}
                }
                if operators > MOST {
                    return Err(format!("an expression in line {line} has more than {MOST} operators"));
                }
                if branches > MOST {
                    return Err(format!("there are more than {MOST} `elif` up to line {line}"));
                }
            }
        }
        before = if before == '\\' && c == '\\' { '\0' } else { c };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_expressions_are_refused_and_long_texts_are_not() {
        let signs = "- ".repeat(MOST + 1);
        assert_eq!(
            check_nesting(&format!("a\n{{{{ {signs} x }}}}")),
            Err(format!("an expression in line 2 has more than {MOST} operators"))
        );
        let sum = vec!["x"; MOST + 2].join(" and ");
        assert!(check_nesting(&format!("{{% if {sum} %}}{{% endif %}}")).is_err());
        let branches = "{% elif x %}".repeat(MOST + 1);
        assert!(check_nesting(&format!("{{% if x %}}{branches}{{% endif %}}")).is_err());
        for fine in [
            format!("{signs} {{{{ x }}}}"),
            format!("{{{{ '{signs}' ~ \"it's {signs}\" ~ 'a \\' {signs}' }}}}"),
            "{{ a + b }}".repeat(MOST + 1),
            format!("{{# it's {{% {signs} #}}{{{{ x }}}}"),
        ] {
            assert_eq!(check_nesting(&fine), Ok(()), "{fine}");
        }
    }
}
