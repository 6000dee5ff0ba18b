use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::super::source_file::tests::planned;
use super::*;

fn rows(name: &str, bytes: &[u8], layout: Layout, fields: &[&str]) -> Result<Vec<Vec<String>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let mut rows = vec![];
    let read = each_row(&planned(&path), layout, fields, |row| rows.push(row));
    read.map(|()| rows).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "data"))
}

/// Two text columns, compressed as Hugging Face does.
fn parquet(rows: &[(&str, &str)]) -> Vec<u8> {
    parquet_with(rows, Compression::SNAPPY)
}

/// Two text columns and one of numbers, in row groups of two rows.
fn parquet_with(rows: &[(&str, &str)], compression: Compression) -> Vec<u8> {
    let schema = "message schema { required binary q (UTF8); required int64 id; required binary a (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = vec![];
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for group in rows.chunks(2) {
        let mut group_writer = writer.next_row_group().unwrap();
        for column in 0..3 {
            let mut column_writer = group_writer.next_column().unwrap().unwrap();
            if column == 1 {
                let ids: Vec<i64> = (0..group.len() as i64).collect();
                column_writer.typed::<parquet::data_type::Int64Type>().write_batch(&ids, None, None).unwrap();
            } else {
                let text = |row: &(&str, &str)| ByteArray::from(if column == 0 { row.0 } else { row.1 });
                let texts: Vec<ByteArray> = group.iter().map(text).collect();
                column_writer.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
            }
            column_writer.close().unwrap();
        }
        group_writer.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

#[test]
fn every_layout_gives_the_same_rows() {
    let expected = vec![
        vec!["so, \"there\"".to_owned(), "why".into()],
        vec!["é\nü".into(), "who".into()],
        vec!["".into(), "x".into()],
    ];
    let json = r#"{"q": "why", "id": 1, "a": ["so, \"there\"", "no"]}
        {"q": "who", "a": "é\nü"}

        {"q": "x", "a": []}"#;
    let list = r#" [{"q": "why", "a": "so, \"there\""}, {"q": "who", "a": "é\nü"}, {"q": "x", "a": null}]"#;
    let csv = "q,id,a\nwhy,1,\"so, \"\"there\"\"\"\nwho,2,\"é\nü\"\nx,3,\n";
    let tsv = "q\tid\ta\nwhy\t1\t\"so, \"\"there\"\"\"\nwho\t2\t\"é\nü\"\nx\t3\t\n";
    let parquet = parquet(&[("why", "so, \"there\""), ("who", "é\nü"), ("x", "")]);
    let fields = ["a", "q"];
    assert_eq!(rows("a.jsonl", json.as_bytes(), Layout::Json, &fields), Ok(expected.clone()));
    assert_eq!(rows("a.json", list.as_bytes(), Layout::Json, &fields), Ok(expected.clone()));
    assert_eq!(rows("a.csv", csv.as_bytes(), Layout::Csv, &fields), Ok(expected.clone()));
    assert_eq!(rows("a.tsv", tsv.as_bytes(), Layout::Tsv, &fields), Ok(expected.clone()));
    assert_eq!(rows("a.parquet", &parquet, Layout::Parquet, &fields), Ok(expected));
}

#[test]
fn parquet_is_read_whatever_its_compression() {
    let text = "so it goes ".repeat(50);
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
        Compression::LZ4,
    ];
    for codec in codecs {
        let bytes = parquet_with(&[("why", &text), ("who", "me"), ("when", "")], codec);
        let read = rows("a.parquet", &bytes, Layout::Parquet, &["a", "id"]);
        let expected = [[text.as_str(), "0"], ["me", "1"], ["", "0"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(read, Ok(expected.to_vec()), "{codec:?}");
    }
}

#[test]
fn lists_of_structures_are_read_from_parquet() {
    let schema = "message schema { required group messages (LIST) { repeated group list { required group element {
        required binary role (UTF8); optional binary content (UTF8); } } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = vec![];
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (texts, defined) in [(vec!["user", "assistant", "user"], [1, 1, 1]), (vec!["q", "a"], [2, 2, 1])] {
        let mut column = group.next_column().unwrap().unwrap();
        let texts: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
        column.typed::<ByteArrayType>().write_batch(&texts, Some(&defined), Some(&[0, 1, 0])).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    std::fs::write(&path, bytes).unwrap();
    let mut found = vec![];
    let visit = |row: &Value| {
        found.push(row.to_string());
        Ok(())
    };
    assert!(
        each_value(&planned(&path), Layout::Parquet, Columns::Existing(&["messages", "id"]), visit).unwrap().is_ok()
    );
    assert_eq!(
        found,
        [
            r#"{"messages":[{"content":"q","role":"user"},{"content":"a","role":"assistant"}]}"#,
            r#"{"messages":[{"content":null,"role":"user"}]}"#,
        ]
    );
}

#[test]
fn fields_within_fields_numbers_and_wrapped_rows_are_read() {
    let nested = r#"{"data": {"prompt": "q"}, "reply": 42}
        {"data": {"prompt": null}, "reply": 0.5}"#;
    let expected = |rows: &[[&str; 2]]| Ok(rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect());
    let fields = ["data.prompt", "reply"];
    assert_eq!(rows("a.jsonl", nested.as_bytes(), Layout::Json, &fields), expected(&[["q", "42"], ["", "0.5"]]));
    let whole = "{\n \"data\": [\n {\"q\": \"a\", \"a\": \"b\"},\n {\"q\": \"c\", \"a\": \"d\"}\n]}";
    assert_eq!(rows("a.json", whole.as_bytes(), Layout::Json, &["q", "a"]), expected(&[["a", "b"], ["c", "d"]]));
    let single = "{\n \"q\": \"a\",\n \"a\": \"b\"\n}";
    assert_eq!(rows("a.json", single.as_bytes(), Layout::Json, &["q", "a"]), expected(&[["a", "b"]]));
}

#[test]
fn errors_name_the_position_and_the_expected_format() {
    let parquet = parquet(&[("why", "so")]);
    let faults = [
        rows("a.json", br#"[{"q": "x"}, {"q": {"a": 1}}]"#, Layout::Json, &["q"]),
        rows("a.csv", b"q,a\nwhy,so\nwho\n", Layout::Csv, &["q"]),
        rows("a.tsv", b"q,a\n", Layout::Tsv, &["q"]),
        rows("a.csv", b"q,a,q\nx,y,z\n", Layout::Csv, &["q"]),
        rows("a.csv", b"", Layout::Csv, &["q"]),
        rows("a.parquet", &parquet, Layout::Parquet, &["q", "answer"]),
        rows("a.parquet", &parquet[..parquet.len() - 3], Layout::Parquet, &["q"]),
    ];
    let faults: Vec<String> = faults.into_iter().map(Result::unwrap_err).collect();
    insta::assert_snapshot!(faults.join("\n"), @"
    read data/a.json: line 1: element 2 of the array: field 'q' is an object, not a text; name a field in it, as in 'outer.inner'; expected a JSON object on every line, or one array of them, with the text fields 'q'
    read data/a.csv: line 3: the row has 1 value, but the header line has 2; expected comma-separated values with a header line that contains 'q'
    read data/a.tsv: line 1: no field 'q'; there are 'q,a'; expected tab-separated values with a header line that contains 'q'
    read data/a.csv: line 1: the header line has the field 'q' twice; rename one; expected comma-separated values with a header line that contains 'q'
    read data/a.csv: it is empty, as after an interrupted download; replace it, or remove it
    read data/a.parquet: line 1: no column 'answer'; there are 'q', 'id', 'a'; expected text columns 'q', 'answer'
    read data/a.parquet: line 1: Parquet error: Invalid Parquet file. Corrupt footer; expected text columns 'q'
    ");
}
