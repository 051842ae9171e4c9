//! Dates as FAT has them: two-second steps since 1980. It says no time zone; UTC is assumed, which
//! `imgtool build` writes.

/// Days from 1970 to 1980.
const DAYS_TO_1980: i64 = 3652;

/// Seconds since 1970 of a time and a date: hours from bit 11, minutes from bit 5, seconds halved;
/// years since 1980 from bit 9, months from bit 5, days. What no calendar has counts on from there.
pub(super) fn seconds(time: u16, date: u16) -> i64 {
    let field = |value: u16, shift: u32, bits: u32| i64::from(value >> shift & ((1 << bits) - 1));
    let (years, month, day) = (field(date, 9, 7), field(date, 5, 4), field(date, 0, 5));
    let days = DAYS_TO_1980 + years * 365 + leap_days(years, month) + before(month) + day - 1;
    let (hours, minutes) = (field(time, 11, 5), field(time, 5, 6));
    days * 86_400 + hours * 3600 + minutes * 60 + field(time, 0, 5) * 2
}

/// 29ths of February between 1980 and a month of a year after it. 2100 has none.
fn leap_days(years: i64, month: i64) -> i64 {
    let begun = if month > 2 { years + 1 } else { years };
    let leap = (begun + 3) / 4;
    if begun > 120 { leap - 1 } else { leap }
}

/// Days of a common year before a month.
fn before(month: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let month = month.clamp(1, 12) as usize;
    BEFORE[month - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_the_calendar() {
        let of = |year: u16, month: u16, day: u16, hour: u16, minute: u16, second: u16| {
            seconds(
                (hour << 11) | (minute << 5) | (second / 2),
                ((year - 1980) << 9) | (month << 5) | day,
            )
        };
        for (seconds, expected) in [
            (of(1980, 1, 1, 0, 0, 0), 315_532_800),
            (of(1980, 3, 1, 0, 0, 0), 320_716_800),
            (of(2000, 2, 29, 0, 0, 0), 951_782_400),
            (of(2024, 2, 29, 12, 34, 56), 1_709_210_096),
            (of(2100, 2, 28, 0, 0, 0), 4_107_456_000),
            (of(2100, 3, 1, 0, 0, 0), 4_107_542_400),
            (of(2106, 2, 7, 6, 28, 14), 4_294_967_294),
        ] {
            assert_eq!(seconds, expected);
        }
        // No month, no day: nothing overflows.
        assert!(seconds(0, 0) < 315_532_800);
        assert!(seconds(!0, !0) > 4_294_967_294);
    }
}
