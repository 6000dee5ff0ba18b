//! The bytes of text files: UTF-8 with or without a byte-order mark, or the name of what they are instead.

use thiserror::Error;

/// Why the bytes of a file are not the text that is expected, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotText {
    /// A file of no bytes.
    #[error("it is empty, as after an interrupted download; replace it, or remove it")]
    Empty,
    /// A file of another kind, which its first bytes show.
    #[error("it is {kind}, not text; {remedy}")]
    Kind {
        /// The kind.
        kind: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A NUL, which no text has.
    #[error(
        "line {line} contains a NUL byte, so the file is damaged or not text; if it is text, remove them: \
         `tr -d '\\000' < FILE > NEW`"
    )]
    Nul {
        /// The line, from 1.
        line: usize,
    },
    /// Another encoding.
    #[error(
        "line {line} is not UTF-8 at byte {byte}; if the file is in Latin-1 or Windows-1252, convert it: \
         `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`"
    )]
    Encoding {
        /// The line, from 1.
        line: usize,
        /// The byte within the line, from 1.
        byte: usize,
    },
    /// Lines that end with a carriage return alone.
    #[error("its lines end with a carriage return (CR) alone; convert it: `tr '\\r' '\\n' < FILE > NEW`")]
    CarriageReturns,
}

/// The remedy for compressed files that are not read.
const GZIP: &str = "unpack it (only gzip files may stay compressed)";

/// Kinds of files by their first bytes.
const KINDS: [(&[u8], &str, &str); 16] = [
    (b"\x1f\x8b", "compressed with gzip", "unpack it: `gunzip FILE`"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it: `unzstd FILE` (only gzip files may stay compressed)"),
    (b"\xfd7zXZ\0", "compressed with xz", "unpack it: `unxz FILE` (only gzip files may stay compressed)"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "unpack it: `unlz4 FILE` (only gzip files may stay compressed)"),
    (b"PK\x03\x04", "a zip archive or an Office document", "unpack it: `unzip FILE`, or save it as text"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", GZIP),
    (b"Rar!\x1a\x07", "a RAR archive", GZIP),
    (b"PAR1", "a Parquet file", "name its columns: `format: {parquet: ...}`"),
    (b"ARROW1", "an Arrow file", "save it as Parquet or JSON Lines"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "save it as Parquet or JSON Lines"),
    (b"SQLite format 3\0", "an SQLite database", "save the table as JSON Lines or CSV"),
    (b"%PDF-", "a PDF document", "save it as plain text"),
    (b"{\\rtf", "a document in rich text (RTF)", "save it as plain text"),
    // Before UTF-16, whose mark begins in the same way.
    (b"\xff\xfe\0\0", "in UTF-32", "convert it: `iconv -f UTF-32 -t UTF-8 FILE > NEW`"),
    (b"\xff\xfe", "in UTF-16, as PowerShell and Excel write it", UTF_16),
    (b"\xfe\xff", "in UTF-16", UTF_16),
];

const UTF_16: &str = "convert it: `iconv -f UTF-16 -t UTF-8 FILE > NEW`";

/// The text of a file, without its byte-order mark.
///
/// # Errors
/// Bytes that are not UTF-8 text, named by their kind, or by the line of the first wrong byte. No bytes are the empty text.
pub fn plain_text(bytes: &[u8]) -> Result<&str, NotText> {
    if let Some((_, kind, remedy)) = KINDS.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return Err(NotText::Kind { kind, remedy });
    }
    // "BZh", the block size, and the first bytes of pi.
    if bytes.starts_with(b"BZh") && bytes.get(4..8) == Some(b"\x31\x41\x59\x26") {
        return Err(NotText::Kind {
            kind: "compressed with bzip2",
            remedy: "unpack it: `bunzip2 FILE` (only gzip files may stay compressed)",
        });
    }
    if let Some(nul) = bytes.iter().position(|&byte| byte == 0) {
        return Err(match unmarked_utf_16(bytes) {
            Some(remedy) => NotText::Kind { kind: "in UTF-16 without a byte-order mark", remedy },
            None => NotText::Nul { line: line_and_byte(&bytes[..nul]).0 },
        });
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let (line, byte) = line_and_byte(&bytes[..error.valid_up_to()]);
        NotText::Encoding { line, byte }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Refuses a text whose lines end with a carriage return alone, of which most would be read as one line. A few of them
/// within lines are characters like any other.
///
/// # Errors
/// A text with more of them than of line feeds.
pub fn refuse_carriage_returns(text: &str) -> Result<(), NotText> {
    let bytes = text.as_bytes();
    let Some(first) = bytes.iter().position(|&byte| byte == b'\r') else { return Ok(()) };
    let (mut alone, mut feeds) = (0_usize, 0_usize);
    for (place, &byte) in bytes.iter().enumerate() {
        feeds += usize::from(byte == b'\n');
        alone += usize::from(place >= first && byte == b'\r' && bytes.get(place + 1) != Some(&b'\n'));
    }
    if alone > feeds { Err(NotText::CarriageReturns) } else { Ok(()) }
}

/// The line and the byte within the line, both from 1, of the byte after these.
fn line_and_byte(before: &[u8]) -> (usize, usize) {
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |feed| feed + 1);
    (1 + before.iter().filter(|&&byte| byte == b'\n').count(), before.len() - start + 1)
}

/// The remedy if nearly all characters at the start have a NUL as the same one of their two bytes.
fn unmarked_utf_16(bytes: &[u8]) -> Option<&'static str> {
    let start = &bytes[..bytes.len().min(512) / 2 * 2];
    let nuls = |place: usize| start.chunks(2).filter(|pair| pair[place] == 0).count();
    let most = |place: usize| nuls(place) * 5 >= start.len() / 2 * 4 && nuls(1 - place) == 0;
    if start.len() < 4 {
        return None;
    }
    match (most(1), most(0)) {
        (true, _) => Some("convert it: `iconv -f UTF-16LE -t UTF-8 FILE > NEW`"),
        (_, true) => Some("convert it: `iconv -f UTF-16BE -t UTF-8 FILE > NEW`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn text_is_utf_8_with_or_without_a_mark() {
        for text in ["", "one", "é 你好 😀", "a\r\nb\r\n", "\u{feff}", "BZh9 is text", "PK"] {
            assert_eq!(plain_text(text.as_bytes()), Ok(text.trim_start_matches('\u{feff}')));
            assert_eq!(
                plain_text(format!("\u{feff}{text}").as_bytes()).unwrap().trim_start_matches('\u{feff}'),
                text.trim_start_matches('\u{feff}')
            );
        }
    }

    #[test]
    fn other_files_are_named_with_a_remedy() {
        let text = "one line\nanother line\n";
        let files: [(&[u8], &str); 13] = [
            (b"\x1f\x8b\x08\0", "it is compressed with gzip, not text; unpack it: `gunzip FILE`"),
            (
                b"\x28\xb5\x2f\xfd....",
                "with zstd, not text; unpack it: `unzstd FILE` (only gzip files may stay compressed)",
            ),
            (b"\xfd7zXZ\0..", "compressed with xz"),
            (b"BZh91AY&SY..", "compressed with bzip2"),
            (b"PK\x03\x04..", "a zip archive or an Office document"),
            (b"PAR1..", "a Parquet file"),
            (b"%PDF-1.7", "a PDF document, not text; save it as plain text"),
            (&[b"\xff\xfe".as_slice(), &utf_16(text, u16::to_le_bytes)].concat(), "in UTF-16, as PowerShell"),
            (&[b"\xfe\xff".as_slice(), &utf_16(text, u16::to_be_bytes)].concat(), "`iconv -f UTF-16 -t UTF-8 FILE"),
            (
                &utf_16(text, u16::to_le_bytes),
                "UTF-16 without a byte-order mark, not text; convert it: `iconv -f UTF-16LE",
            ),
            (&utf_16(text, u16::to_be_bytes), "UTF-16BE"),
            (b"one\ntwo\0\n", "line 2 contains a NUL byte"),
            (b"good line\ncaf\xe9", "line 2 is not UTF-8 at byte 4; if the file is in Latin-1"),
        ];
        for (bytes, said) in files {
            let error = plain_text(bytes).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn carriage_returns_alone_are_no_line_ends() {
        for text in ["", "one", "a\r\nb\r\n", "a\rb\nc\n", "a\r\rb\n\nc\r\n", "\r\n\r\n"] {
            assert_eq!(refuse_carriage_returns(text), Ok(()), "{text:?}");
        }
        for text in ["a\rb\rc", "a\r", "a\r\rb\rc\n", "\ra\r"] {
            assert_eq!(refuse_carriage_returns(text), Err(NotText::CarriageReturns), "{text:?}");
        }
    }
}
