//! Durations on the command line, in one grammar: `90`, `90s`, `60m`, `1h30m`, `2d`.

use std::time::Duration;

/// Parses a duration of whole seconds: a plain number of them, or numbers with units, as `humantime`
/// reads them. Made for clap's `value_parser`; the number type is the limit.
pub fn seconds<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let refused = || format!("{text:?} is not a time such as 90s, 15m, 1h30m or 2d");
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_number {
        text.parse().map_err(|_| refused())?
    } else {
        let duration = humantime::parse_duration(text).map_err(|_| refused())?;
        if duration != Duration::from_secs(duration.as_secs()) {
            return Err(format!("{text:?} is not a whole number of seconds"));
        }
        duration.as_secs()
    };
    N::try_from(seconds).map_err(|_| format!("{text:?} is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units_or_plain_seconds() {
        for (text, expected) in [
            ("0", 0),
            ("0s", 0),
            ("2", 2),
            ("90", 90),
            ("90s", 90),
            ("5m", 300),
            ("15m", 900),
            ("60m", 3600),
            ("1h", 3600),
            ("1h30m", 5400),
            ("1h 30m", 5400),
            ("1.5h", 5400),
            ("2d", 172_800),
            ("2d12h", 216_000),
            ("7d", 604_800),
            ("1w", 604_800),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in [
            "",
            " ",
            "m",
            "-1",
            "-1h",
            "+1",
            "+5",
            "1ä",
            "1x",
            "99999999999999999d",
            "18446744073709551615m",
            "99999999999999999999",
        ] {
            let refused = seconds::<u64>(text).unwrap_err();
            assert!(refused.contains("such as 90s"), "{text}: {refused}");
        }
        let refused = seconds::<u64>("1500ms").unwrap_err();
        assert!(refused.contains("whole number of seconds"), "{refused}");
    }

    #[test]
    fn the_number_type_is_the_limit() {
        assert_eq!(seconds("4294967295"), Ok(u32::MAX));
        for text in ["4294967296", "99999999h"] {
            assert!(seconds::<u32>(text).unwrap_err().contains("too long"));
        }
    }
}
