//! Finding and reading local files.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::domain::{NotText, SourceFile, plain_text};

use super::error::DataError;
use super::source_file;

/// The files that match a glob pattern, or the one file whose name is exactly the pattern.
pub(super) fn matches(pattern: &Path) -> Result<Vec<PathBuf>, DataError> {
    if pattern.is_dir() {
        return Err(DataError::IsFolder { path: pattern.to_owned() });
    }
    if pattern.is_file() {
        return Ok(vec![pattern.to_owned()]);
    }
    // An existing folder, even if called `runs[1]`, is taken literally; only the rest of the path is a pattern.
    let text = match pattern.ancestors().skip(1).find(|ancestor| ancestor.is_dir()) {
        Some(folder) => {
            let rest = pattern.strip_prefix(folder).expect("an ancestor is a prefix");
            PathBuf::from(glob::Pattern::escape(&folder.to_string_lossy())).join(rest)
        }
        None => pattern.to_owned(),
    };
    let text = text.to_string_lossy();
    let found = glob::glob(&text)
        .map_err(|error| DataError::Pattern { pattern: text.to_string(), reason: error.to_string() })?;
    let mut files = Vec::new();
    for entry in found {
        let path = entry.map_err(|error| {
            let path = error.path().to_owned();
            DataError::Io { action: "read", path, source: error.into() }
        })?;
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(visible_by_name(files))
}

/// The evaluation files in a folder; none if it does not exist.
pub(super) fn evaluation_files_in(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io("read", folder))? {
        let path = entry.map_err(DataError::io("read", folder))?.path();
        if is_evaluation_file(&path) && path.is_file() {
            files.push(path);
        }
    }
    Ok(visible_by_name(files))
}

/// Drops hidden files and sorts the others by name.
pub(super) fn visible_by_name(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.retain(|path| !file_name(path).starts_with('.'));
    files.sort_by_cached_key(|path| (file_name(path), path.clone()));
    files
}

/// The last component of a path.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a file of this name may contain evaluation items: JSON or CSV, compressed with gzip or not, and not hidden.
pub(super) fn is_evaluation_file(path: &Path) -> bool {
    let name = file_name(path);
    let kind = Path::new(unpacked_name(&name)).extension().and_then(|extension| extension.to_str());
    matches!(kind, Some("jsonl" | "json" | "csv")) && !name.starts_with('.')
}

/// The name of a file without `.gz`.
pub(super) fn unpacked_name(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}

/// Reads a file, and unpacks it if it is compressed with gzip, whatever its name. It may consist of several members.
pub(super) fn read_unpacked(file: &SourceFile) -> Result<Vec<u8>, DataError> {
    let bytes = source_file::read(file)?;
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let unpack_error =
        |reason: String| DataError::Io { action: "unpack", path: file.path.clone(), source: io::Error::other(reason) };
    unpack_gzip(&bytes, free_memory().unwrap_or(u64::MAX)).map_err(unpack_error)
}

/// The content of a gzip file if it fits into `free` bytes of memory. The size that a gzip file declares is that of its
/// last member, modulo 4 GiB, so that it says only in some cases that the content does not fit.
fn unpack_gzip(bytes: &[u8], free: u64) -> Result<Vec<u8>, String> {
    let too_large = |size: String| {
        Err(format!("it unpacks to {size} bytes, and {free} bytes of memory are free; split it into smaller files"))
    };
    let declared = bytes.last_chunk::<4>().map_or(0, |size| u64::from(u32::from_le_bytes(*size)));
    if declared > free {
        return too_large(declared.to_string());
    }
    let mut unpacked = vec![];
    match MultiGzDecoder::new(bytes).take(free.saturating_add(1)).read_to_end(&mut unpacked) {
        Ok(size) if size as u64 > free => too_large(format!("more than {free}")),
        Ok(_) => Ok(unpacked),
        Err(error) => Err(format!("it is a damaged gzip file ({error}); make or download it again")),
    }
}

/// The memory that programs may still take, in bytes.
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// The first bytes of a file that is compressed with gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads a text file, which may be compressed with gzip, without its byte-order mark.
///
/// # Errors
/// Files that cannot be read, have changed since the plan was made, are empty, or are not UTF-8.
pub(super) fn read_text(file: &SourceFile) -> Result<String, DataError> {
    let bytes = read_unpacked(file)?;
    let length = plain_text(&bytes).map_err(DataError::not_text(&file.path))?.len();
    if length == 0 {
        return Err(DataError::not_text(&file.path)(NotText::Empty));
    }
    let mark = bytes.len() - length;
    let mut text = String::from_utf8(bytes).expect("checked above");
    text.drain(..mark);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::source_file::tests::planned;
    use super::*;

    /// A gzip file of one member.
    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn read(name: &str, bytes: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        read_text(&planned(&path))
            .map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "data"))
    }

    #[test]
    fn text_is_read_with_a_mark_and_from_gzip() {
        let members = [gzip("one\n"), gzip(""), gzip("two\n")].concat();
        let files: [(&str, &[u8], &str); 7] = [
            ("a.txt", "\u{feff}text".as_bytes(), "text"),
            ("a.txt.gz", &gzip("one\r\ntwo"), "one\r\ntwo"),
            ("a.train", &gzip("not named so"), "not named so"),
            ("a.txt.gz", b"named so, but plain", "named so, but plain"),
            ("a.txt.gz", &members, "one\ntwo\n"),
            ("a.txt.gz", &gzip("\u{feff}text"), "text"),
            ("a.txt.gz", &gzip(&"a line\n".repeat(100_000)), &"a line\n".repeat(100_000)),
        ];
        for (name, bytes, text) in files {
            assert_eq!(read(name, bytes).as_deref(), Ok(text), "{name}");
        }
    }

    #[test]
    fn what_is_not_text_is_refused_with_its_name() {
        let whole = gzip("one line of text");
        let errors = [
            read("latin.txt", b"good line\ncaf\xe9"),
            read("empty.txt", b""),
            read("empty.txt.gz", &gzip("")),
            read("cut.txt.gz", &whole[..whole.len() - 6]),
            read("text.txt.zst", b"\x28\xb5\x2f\xfd...."),
            read("binary.gz", &gzip("a\0b")),
        ];
        let errors: Vec<String> = errors.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(errors.join("\n"), @r"
        read data/latin.txt: line 2 is not UTF-8 at byte 4; if the file is in Latin-1 or Windows-1252, convert it: `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`
        read data/empty.txt: it is empty, as after an interrupted download; replace it, or remove it
        read data/empty.txt.gz: it is empty, as after an interrupted download; replace it, or remove it
        unpack data/cut.txt.gz: it is a damaged gzip file (unexpected end of file); make or download it again
        read data/text.txt.zst: it is compressed with zstd, not text; unpack it: `unzstd FILE` (only gzip files may stay compressed)
        read data/binary.gz: line 1 contains a NUL byte, so the file is damaged or not text; if it is text, remove them: `tr -d '\000' < FILE > NEW`
        ");
    }

    #[test]
    fn a_gzip_file_that_does_not_fit_into_memory_is_refused() {
        let text = "x".repeat(100_000);
        let packed = gzip(&text);
        assert_eq!(unpack_gzip(&packed, 100_000).unwrap(), text.as_bytes());
        let declared = unpack_gzip(&packed, 99_999).unwrap_err();
        assert!(declared.starts_with("it unpacks to 100000 bytes, and 99999 bytes of memory are free"), "{declared}");
        // Only the last member declares its size.
        let members = [packed, gzip("end")].concat();
        let actual = unpack_gzip(&members, 99_999).unwrap_err();
        assert!(actual.starts_with("it unpacks to more than 99999 bytes"), "{actual}");
        assert!(free_memory().is_none_or(|free| free > 1 << 20));
    }
}
