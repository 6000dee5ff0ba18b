//! Texts in tables that a spreadsheet program may open.

use std::borrow::Cow;

/// A text that a spreadsheet program does not take for a formula, which could read files or send data: an apostrophe stands
/// before a sign that begins one, as OWASP advises ("CSV Injection"). Numbers may begin with a sign.
pub fn no_formula(text: &str) -> Cow<'_, str> {
    // White space at the start is removed by some programs.
    let begins = text.starts_with(['\t', '\r', '\n']) || text.trim_start().starts_with(['=', '+', '-', '@']);
    match begins && text.parse::<f64>().is_err() {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_get_an_apostrophe_and_numbers_do_not() {
        for formula in ["=1+1", "+x", "-x", "@SUM(A1)", "=", "\t=1", "\rx", " =1", "\nx", "-1-2", "=cmd|' /C calc'!A0"]
        {
            assert_eq!(no_formula(formula), format!("'{formula}"));
        }
        for plain in ["", "a=b", "-1", "+2.5", "-1e-5", "-inf", "1-2", "é", "'", " x"] {
            assert_eq!(no_formula(plain), plain);
        }
    }
}
