//! Names from an image, safe to print.

use std::fmt::{self, Write};

/// A name with its control characters escaped, because a terminal obeys them, and with what is not
/// UTF-8 as `\x…`. So is a backslash, so that two names never look the same.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || c == '\\' {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    f.write_char(c)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (name, shown) in [
            (&b"plain"[..], "plain"),
            ("größe 日本語 €".as_bytes(), "größe 日本語 €"),
            (b"\x1b[2J", "\\u{1b}[2J"),
            (b"a\nb\tc\rd\x7f", "a\\nb\\tc\\rd\\u{7f}"),
            ("\u{9b}0m".as_bytes(), "\\u{9b}0m"),
            (b"a\\nb", "a\\\\nb"),
            (b"\xffx\xc3", "\\xffx\\xc3"),
        ] {
            assert_eq!(Escaped(name).to_string(), shown);
        }
    }
}
