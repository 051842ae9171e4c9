//! What requests say in paths, queries and headers.

use super::error::{parameter, validation};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_protocol::AwsError;
use emulator_state::layers::Digest;
use http::HeaderMap;
use std::collections::BTreeMap;

/// A query string's parameters.
pub struct Query(BTreeMap<String, String>);

impl Query {
    pub fn parse(query: Option<&str>) -> Self {
        Self(
            form_urlencoded::parse(query.unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// A parameter that is given and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// `maxResults`, 100 to 10,000; as many as can be without.
    pub fn max_results(&self) -> Result<usize, AwsError> {
        self.get("maxResults").map_or(Ok(10_000), |text| {
            text.parse()
                .ok()
                .filter(|number| (100..=10_000).contains(number))
                .ok_or_else(|| bad("maxResults", text, "a number from 100 to 10000"))
        })
    }

    /// `startingBlockIndex`; 0 without.
    pub fn starting_block_index(&self) -> Result<u32, AwsError> {
        self.get("startingBlockIndex").map_or(Ok(0), |text| {
            integer(text).ok_or_else(|| bad("startingBlockIndex", text, "a number, not negative"))
        })
    }
}

/// A snapshot's id, as the model has it: `^snap-[0-9a-f]+$`, at most 64 characters.
pub fn snapshot_id(text: &str) -> Result<&str, AwsError> {
    let digits = text.strip_prefix("snap-").unwrap_or_default();
    let fine = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.is_empty() || text.len() > 64 || !digits.bytes().all(fine) {
        return Err(validation(
            "INVALID_SNAPSHOT_ID",
            format!("The snapshot ID '{text}' is not valid."),
        ));
    }
    Ok(text)
}

/// A block's index. Whether the volume has it, the snapshot knows.
pub fn block_index(text: &str) -> Result<u32, AwsError> {
    integer(text).ok_or_else(|| {
        bad("blockIndex", text, "a number, not negative").with_reason("INVALID_BLOCK")
    })
}

/// A whole number from 0 to the largest that the model's integers have.
fn integer(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<i32>()
        .ok()
        .filter(|_| digits)
        .and_then(|number| u32::try_from(number).ok())
}

/// A header that may be left out.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, AwsError> {
    headers
        .get(name)
        .map(|value| {
            value
                .to_str()
                .map_err(|_| parameter(format!("The header {name} is not text.")))
        })
        .transpose()
}

/// A header that has to be there.
pub fn required_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, AwsError> {
    header(headers, name)?.ok_or_else(|| parameter(format!("The header {name} is missing.")))
}

/// A header with a number in it.
pub fn number_header(headers: &HeaderMap, name: &str) -> Result<u32, AwsError> {
    let text = required_header(headers, name)?;
    integer(text).ok_or_else(|| bad(name, text, "a number, not negative"))
}

/// `x-amz-Checksum`: a SHA-256 in base64.
pub fn checksum(text: &str) -> Result<Digest, AwsError> {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| bad("x-amz-Checksum", text, "a SHA-256 in base64"))
}

/// A header or parameter that has one value only.
pub fn only(name: &str, text: &str, value: &str) -> Result<(), AwsError> {
    if text == value {
        Ok(())
    } else {
        Err(bad(name, text, value))
    }
}

fn bad(name: &str, text: &str, expected: &str) -> AwsError {
    // The name and what is expected must not fall off the end of a long message.
    let text: String = text.chars().take(80).collect();
    parameter(format!(
        "The value '{text}' of {name} is not valid: expecting {expected}."
    ))
}
