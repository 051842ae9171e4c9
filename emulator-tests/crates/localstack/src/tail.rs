//! The end of a log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

const MOST_BYTES: u64 = 8 << 10;
const MOST_LINES: usize = 20;

/// The last lines of a text.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let from = lines.len().saturating_sub(MOST_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// The last lines of a file; empty if it can't be read.
pub(super) fn of_file(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(MOST_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    last_lines(&String::from_utf8_lossy(&read().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_end_is_shown() {
        let text: String = (0..100).map(|line| format!("{line}\n")).collect();
        let end = super::last_lines(&text);
        assert!(end.starts_with("80\n") && end.ends_with("\n99"), "{end}");
        assert_eq!(super::last_lines(""), "");
    }
}
