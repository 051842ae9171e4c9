//! The parts as AWS has them: each file reads a part's settings, and sets them, side by side.

pub(crate) mod bucket;
pub(crate) mod keys;
pub(crate) mod queues;
pub(crate) mod role;

use crate::aws::{AwsError, Kind};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::error::operation::BuildError;
use serde_json::{Map, Value};
use std::error::Error;

/// An answer, or `None` where what was asked for is not there.
pub(crate) fn optional<T, E>(
    operation: &'static str,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Option<T>, AwsError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match answer.map_err(|error| AwsError::new(operation, error)) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A request that lacks a field: a slip of ours.
pub(crate) fn built<T>(
    operation: &'static str,
    request: Result<T, BuildError>,
) -> Result<T, AwsError> {
    request.map_err(|error| AwsError {
        operation,
        kind: Kind::Refused,
        code: String::new(),
        message: error.to_string(),
    })
}

/// A document that AWS keeps as text; what is no JSON is shown as it is.
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Those of a part's tags that are ours.
fn our_tags<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let ours = all.filter(|(key, _)| key.starts_with(super::tags::PREFIX));
    Value::Object(
        ours.map(|(key, value)| (key.to_owned(), Value::String(value.to_owned())))
            .collect(),
    )
}

/// Tags as pairs.
fn pairs(tags: &Value) -> impl Iterator<Item = (&str, &str)> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    let map = tags.as_object().unwrap_or(&NONE);
    map.iter()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
}
