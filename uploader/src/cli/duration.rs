//! Times on the command line.

/// Seconds: a number of them, or with `s`, `m`, `h` or `d` behind it.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let refused = || "a time is a number with s, m, h or d behind it, as 90s, 60m or 1h".to_owned();
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(refused());
    }
    let number: u32 = digits.parse().map_err(|_| refused())?;
    number.checked_mul(unit).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_units() {
        for (text, wanted) in [
            ("2", 2),
            ("90s", 90),
            ("60m", 3600),
            ("1h", 3600),
            ("7d", 604_800),
        ] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "m",
            "-1",
            "1.5h",
            "1 h",
            "4294967296",
            "99999999h",
            "1w",
            "+1",
            "1ä",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
