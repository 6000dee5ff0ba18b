//! The types of columns in text files, as the library `datasets` infers them.

use serde_json::{Map, Number, Value};

/// Texts that stand for a missing value.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Replaces the texts of every column in which all cells are whole numbers, numbers or truth values. A missing value
/// becomes null; whole numbers beside one become numbers with a fraction, as in the library.
pub fn infer_types(rows: &mut [Value]) {
    let names: Vec<String> = rows.first().and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect();
    for name in names {
        let cells = || rows.iter().filter_map(|row| row.get(&name)?.as_str());
        let present = || cells().filter(|cell| !MISSING.contains(cell));
        let is_complete = present().count() == rows.len();
        let all =
            |of: fn(&str) -> Option<Value>| present().next().is_some() && present().all(|cell| of(cell).is_some());
        let typed: fn(&str) -> Option<Value> = match () {
            () if is_complete && all(whole) => whole,
            () if all(real) => real,
            () if is_complete && all(truth) => truth,
            () => |cell| Some(Value::from(cell)),
        };
        for row in rows.iter_mut() {
            let Some(cell) = row.get_mut(&name) else { continue };
            let text = cell.as_str().unwrap_or_default();
            *cell = if MISSING.contains(&text) { Value::Null } else { typed(text).unwrap_or(Value::Null) };
        }
    }
}

fn whole(cell: &str) -> Option<Value> {
    cell.trim().parse::<i64>().ok().map(Value::from)
}

fn real(cell: &str) -> Option<Value> {
    Number::from_f64(cell.trim().parse().ok()?).map(Value::Number)
}

fn truth(cell: &str) -> Option<Value> {
    match cell {
        "True" | "TRUE" | "true" => Some(Value::Bool(true)),
        "False" | "FALSE" | "false" => Some(Value::Bool(false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_column_has_one_type() {
        let row = |cells: [&str; 6]| json!({"a": cells[0], "b": cells[1], "c": cells[2], "d": cells[3], "e": cells[4], "f": cells[5]});
        let mut rows = vec![row(["1", "1.5", "True", "1", "x", "1"]), row(["-2", "3", "false", "y", "NA", ""])];
        infer_types(&mut rows);
        assert_eq!(rows[0], json!({"a": 1, "b": 1.5, "c": true, "d": "1", "e": "x", "f": 1.0}));
        assert_eq!(rows[1], json!({"a": -2, "b": 3.0, "c": false, "d": "y", "e": null, "f": null}));
    }
}
