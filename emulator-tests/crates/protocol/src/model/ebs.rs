//! Requests of the EBS direct API.

use super::{Kind, Model, Shape, Wrong, no_table};
use crate::AwsError;
use crate::operation::EbsOperation;
use http::request::Parts;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(super) static EBS: LazyLock<Option<Model>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../model/ebs.json")).ok());

/// Most tags of a snapshot.
const MOST_TAGS: usize = 50;

/// Refuses what the model does not have in path, query and headers.
///
/// # Errors
/// `ValidationException` with its reason.
pub fn check_ebs(operation: &EbsOperation, request: &Parts) -> Result<(), AwsError> {
    let model = EBS.as_ref().ok_or_else(no_table)?;
    let input = model.input(operation.name()).ok_or_else(no_table)?;
    let query: BTreeMap<String, String> =
        form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
    for (name, member) in &input.members {
        let found = match member.place.as_deref() {
            Some("uri") => operation.path_member(name).map(str::to_owned),
            Some("querystring") => query.get(name).cloned(),
            Some("header") => match request.headers.get(name.as_str()) {
                None => None,
                Some(value) => Some(
                    value
                        .to_str()
                        .map_err(|_| refuse(name, "it is not ASCII"))?
                        .to_owned(),
                ),
            },
            _ => continue,
        };
        let Some(value) = found else {
            if member.required {
                return Err(refuse(name, "it has to be given"));
            }
            continue;
        };
        let shape = model.shape(&member.shape).ok_or_else(no_table)?;
        shape
            .check_text(&value)
            .map_err(|wrong| refuse(name, &wrong.why(shape)))?;
    }
    Ok(())
}

/// The same for a body of JSON.
///
/// # Errors
/// `ValidationException` with its reason.
pub fn check_ebs_body(operation: &str, body: &Value) -> Result<(), AwsError> {
    let model = EBS.as_ref().ok_or_else(no_table)?;
    let Some(input) = model.input(operation) else {
        return Ok(());
    };
    check_structure(model, input, body, "")
}

fn check_structure(
    model: &Model,
    shape: &Shape,
    value: &Value,
    name: &str,
) -> Result<(), AwsError> {
    let Value::Object(object) = value else {
        return Err(refuse(name, "expecting an object"));
    };
    // Members that the model does not have are passed over, as services with JSON do.
    for (name, member) in &shape.members {
        if member.place.is_some() {
            continue;
        }
        match object.get(name) {
            None | Some(Value::Null) if member.required => {
                return Err(refuse(name, "it has to be given"));
            }
            None | Some(Value::Null) => {}
            Some(value) => check(model, &member.shape, value, name)?,
        }
    }
    Ok(())
}

fn check(model: &Model, shape: &str, value: &Value, name: &str) -> Result<(), AwsError> {
    let shape = model.shape(shape).ok_or_else(no_table)?;
    let wrong = |wrong: Wrong| refuse(name, &wrong.why(shape));
    match (shape.kind, value) {
        (Kind::Structure, value) => check_structure(model, shape, value, name),
        (Kind::List, Value::Array(items)) => {
            let member = shape.member.as_deref().ok_or_else(no_table)?;
            if items.len() > MOST_TAGS {
                return Err(refuse(name, "there can be at most 50"));
            }
            items
                .iter()
                .try_for_each(|item| check(model, member, item, name))
        }
        (Kind::String, Value::String(text)) => shape.check_text(text).map_err(wrong),
        (Kind::Integer | Kind::Long, Value::Number(number)) => {
            shape.check_text(&number.to_string()).map_err(wrong)
        }
        (Kind::Boolean, Value::Bool(_)) => Ok(()),
        (Kind::List, _) => Err(wrong(Wrong::Type("a list"))),
        (Kind::String, _) => Err(wrong(Wrong::Type("a string"))),
        (Kind::Integer | Kind::Long, _) => Err(wrong(Wrong::Type("an integer"))),
        (Kind::Boolean, _) => Err(wrong(Wrong::Type("true or false"))),
        (Kind::Timestamp | Kind::Blob, _) => Err(wrong(Wrong::Type("another type"))),
    }
}

fn refuse(name: &str, why: &str) -> AwsError {
    let reason = match name {
        "snapshotId" | "firstSnapshotId" | "secondSnapshotId" | "ParentSnapshotId" => {
            "INVALID_SNAPSHOT_ID"
        }
        "blockToken" => "INVALID_BLOCK_TOKEN",
        "pageToken" => "INVALID_PAGE_TOKEN",
        "blockIndex" | "startingBlockIndex" => "INVALID_BLOCK",
        "VolumeSize" => "INVALID_VOLUME_SIZE",
        "KmsKeyArn" => "INVALID_CUSTOMER_KEY",
        "Tags" | "Key" | "Value" => "INVALID_TAG",
        _ => "INVALID_PARAMETER_VALUE",
    };
    let shown = if name.is_empty() { "the body" } else { name };
    AwsError::new("ValidationException", format!("Invalid {shown}: {why}")).with_reason(reason)
}
