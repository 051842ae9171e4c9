//! Times of signatures.

use http::{HeaderMap, header};
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// When a request was signed: `X-Amz-Date`, else `Date`.
pub(super) fn header_time(headers: &HeaderMap) -> Option<OffsetDateTime> {
    match headers.get("x-amz-date") {
        Some(date) => basic_time(date.to_str().ok()?),
        None => {
            let date = headers.get(header::DATE)?.to_str().ok()?;
            basic_time(date).or_else(|| OffsetDateTime::parse(date, &Rfc2822).ok())
        }
    }
}

/// ISO 8601's basic format, `20260131T235959Z`.
pub(super) fn basic_time(text: &str) -> Option<OffsetDateTime> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    PrimitiveDateTime::parse(text, &format)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
}

pub(super) fn basic(time: OffsetDateTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    time.to_offset(time::UtcOffset::UTC)
        .format(format)
        .unwrap_or_default()
}
