//! JSON files that end with the digest of everything before it, so that a damaged file is recognized.
//!
//! Such a file is a JSON object whose last member is `"digest"`: the BLAKE3 digest of the text before that member.

use std::fmt::Write;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Digest, brief};

/// How the last member begins.
const MEMBER: &str = "\n  \"digest\": \"";

/// What follows the digest.
const END: &str = "\"\n}\n";

/// The text of a file with this value, which must serialize to an object with at least one member.
///
/// # Errors
/// A value that JSON cannot represent.
pub fn to_text(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string_pretty(value)?;
    let mut text = json.trim_end_matches('}').trim_end().to_owned();
    text.push(',');
    let digest = Digest::of(text.as_bytes());
    write!(text, "{MEMBER}{digest}{END}").expect("a string can be written to");
    Ok(text)
}

/// The value in the text of a file.
///
/// # Errors
/// What is wrong with the text: it has no digest, another one, or does not describe such a value.
pub fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let (content, rest) = text.rsplit_once(MEMBER).ok_or("it is damaged: it does not end with its digest")?;
    let found = Digest::of(content.as_bytes());
    if rest != format!("{found}{END}") {
        let recorded = brief(rest.trim_end_matches(END));
        return Err(format!("it is damaged: its digest is {found}, but it ends with {recorded}"));
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn one_bit_anywhere_in_a_file_is_noticed() {
        let value = BTreeMap::from([("a", vec![1.5, 0.1]), ("b", vec![])]);
        let text = to_text(&value).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["a"][1], 0.1);
        let read = |text: &str| from_text::<BTreeMap<String, serde_json::Value>>(text);
        assert_eq!(read(&text).unwrap()["a"], serde_json::json!([1.5, 0.1]));
        for (byte, bit) in (0..text.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
            let mut damaged = text.clone().into_bytes();
            damaged[byte] ^= 1 << bit;
            let Ok(damaged) = String::from_utf8(damaged) else { continue };
            assert!(read(&damaged).is_err(), "bit {bit} of byte {byte}: {damaged}");
        }
        assert!(read("{\n  \"a\": 1\n}\n").is_err() && read("").is_err());
        assert!(read(&text[..text.len() - 1]).is_err());
    }
}
