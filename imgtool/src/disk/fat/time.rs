//! Dates as FAT has them: two-second steps since 1980, without a time zone (here UTC).

const DAYS_TO_1980: i64 = 3652;

/// Date field: bits 0–4 day, 5–8 month, 9–15 years since 1980.
pub fn fat_date(timestamp: u32) -> u16 {
    let days = i64::from(timestamp / 86_400);
    if days < DAYS_TO_1980 {
        return (1 << 5) | 1;
    }
    // Civil date from days since 1970 (Howard Hinnant, "chrono-compatible low-level date
    // algorithms"): eras of 400 years that begin in March.
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let years = (year - 1980).clamp(0, 127);
    ((years << 9) | (month << 5) | day) as u16
}

/// Time field: bits 0–4 seconds halved, 5–10 minutes, 11–15 hours.
pub fn fat_time(timestamp: u32) -> u16 {
    if i64::from(timestamp / 86_400) < DAYS_TO_1980 {
        return 0;
    }
    let of_day = timestamp % 86_400;
    let (hours, minutes, seconds) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    ((hours << 11) | (minutes << 5) | (seconds / 2)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_the_calendar() {
        let fields = |t| {
            (
                fat_date(t) >> 9,
                fat_date(t) >> 5 & 15,
                fat_date(t) & 31,
                fat_time(t),
            )
        };
        assert_eq!(fields(0), (0, 1, 1, 0));
        assert_eq!(fields(315_532_800), (0, 1, 1, 0));
        // 2024-02-29 12:34:56 UTC
        assert_eq!(fields(1_709_210_096), (44, 2, 29, 12 << 11 | 34 << 5 | 28));
        // 2106-02-07 06:28:15 UTC
        assert_eq!(fields(u32::MAX), (126, 2, 7, 6 << 11 | 28 << 5 | 7));
    }
}
