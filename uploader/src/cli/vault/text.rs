//! Lengths, times and ages as people read and write them.

use time::{Duration, OffsetDateTime};

/// `1.5 GiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded to 1024 is one of the next.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `2026-11-20 12:00`.
pub(super) fn when(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    format!("{} {:02}:{:02}", time.date(), time.hour(), time.minute())
}

/// As many digits as tell images apart.
pub(super) fn short_digest(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// `90d`, `12h`, `1d12h`: always with a unit, since a plain number might be meant as days.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "{text:?} is no age: a number with s, m, h or d, as in 7d"
        ));
    }
    Ok(Duration::seconds(cli_support::seconds(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn ages() {
        assert_eq!(age("7d"), Ok(Duration::days(7)));
        assert_eq!(age("0s"), Ok(Duration::ZERO));
        assert_eq!(
            age("4294967295d").map(|it| it.whole_days()),
            Ok(4_294_967_295)
        );
        assert_eq!(age("1d12h"), Ok(Duration::hours(36)));
        for wrong in ["", "d", "7", "-1d", "+1d", "7x", "7ä", "999999999999999d"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
