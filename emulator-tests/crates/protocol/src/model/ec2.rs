//! Requests by EC2's variant of the query protocol.

use super::{Kind, Model, Shape, Wrong, no_table};
use crate::{AwsError, Params};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

pub(super) static EC2: LazyLock<Option<Model>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../model/ec2.json")).ok());

/// Most items of a list whose model says nothing.
pub(super) const MOST_ITEMS: usize = 1000;
/// Highest number that an item may have.
const HIGHEST_ITEM: u32 = 10_000;
/// Deepest that structures and lists may be in each other: the model itself has no more.
const DEEPEST: usize = 12;

/// Parameters of every action, of which the model does not speak.
fn is_common(name: &str) -> bool {
    matches!(
        name,
        "Action"
            | "Version"
            | "AWSAccessKeyId"
            | "Expires"
            | "SecurityToken"
            | "Signature"
            | "SignatureMethod"
            | "SignatureVersion"
            | "Timestamp"
    ) || name.starts_with("X-Amz-")
}

/// The parameters below one name.
#[derive(Default)]
struct Tree<'a> {
    value: Option<&'a str>,
    below: BTreeMap<&'a str, Tree<'a>>,
}

/// Refuses what EC2's model does not have. An action that is not in the table is not our own.
///
/// # Errors
/// `UnknownParameter`, `InvalidParameterValue`, `MissingParameter`.
pub fn check_ec2(action: &str, params: &Params) -> Result<(), AwsError> {
    let model = EC2.as_ref().ok_or_else(no_table)?;
    let Some(input) = model.input(action) else {
        return Ok(());
    };
    let mut tree = Tree::default();
    for (name, value) in params.iter() {
        if is_common(name) {
            continue;
        }
        let mut at = &mut tree;
        for (depth, part) in name.split('.').enumerate() {
            if depth == DEEPEST {
                return Err(unknown(name));
            }
            at = at.below.entry(part).or_default();
        }
        at.value = Some(value);
    }
    check_structure(model, input, &tree, "")
}

/// Whether an action is about images, snapshots, volumes or instances, or may name one.
///
/// # Errors
/// The table can't be read: never, as a test says.
pub fn names_ours(action: &str) -> Result<bool, AwsError> {
    let model = EC2.as_ref().ok_or_else(no_table)?;
    Ok(model.inputs.contains_key(action) || model.strange.contains(action))
}

/// The actions of which the table has all.
pub fn own_actions() -> impl Iterator<Item = &'static str> {
    let all = EC2.iter().flat_map(|model| model.inputs.keys());
    all.map(String::as_str)
}

/// Other actions that may name an image, a snapshot, a volume or an instance.
pub fn strange_actions() -> impl Iterator<Item = &'static str> {
    let all = EC2.iter().flat_map(|model| &model.strange);
    all.map(String::as_str)
}

fn unknown(name: &str) -> AwsError {
    // Names are the client's, and may be as long as its request.
    let shown: String = name.chars().take(200).collect();
    AwsError::new(
        "UnknownParameter",
        format!("The parameter {shown} is not recognized"),
    )
}

fn missing(name: &str) -> AwsError {
    AwsError::new(
        "MissingParameter",
        format!("The request must contain the parameter {name}"),
    )
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

fn check(model: &Model, name: &str, tree: &Tree<'_>, path: &str) -> Result<(), AwsError> {
    let shape = model.shape(name).ok_or_else(no_table)?;
    match shape.kind {
        Kind::Structure => {
            if tree.value.is_some() {
                return Err(unknown(path));
            }
            check_structure(model, shape, tree, path)
        }
        Kind::List => check_list(model, shape, tree, path),
        _ => {
            if let Some(name) = tree.below.keys().next() {
                return Err(unknown(&join(path, name)));
            }
            let value = tree.value.unwrap_or_default();
            check_value(name, shape, value, path)
        }
    }
}

fn check_value(name: &str, shape: &Shape, value: &str, path: &str) -> Result<(), AwsError> {
    shape.check_text(value).map_err(|wrong| {
        let shown: String = value.chars().take(200).collect();
        let code = match name {
            // Names of images have a code of their own.
            "ImageNameRequest" => "InvalidAMIName.Malformed",
            _ => "InvalidParameterValue",
        };
        AwsError::new(
            code,
            format!(
                "Value ({shown}) for parameter {path} is invalid: {}",
                wrong.why(shape)
            ),
        )
    })
}

fn check_structure(
    model: &Model,
    shape: &Shape,
    tree: &Tree<'_>,
    path: &str,
) -> Result<(), AwsError> {
    for (name, below) in &tree.below {
        let path = join(path, name);
        let member = shape.members.get(*name).ok_or_else(|| {
            let mut full = path.clone();
            // The whole name of what was sent, as the client knows it.
            let mut at = below;
            while at.value.is_none()
                && let Some((name, next)) = at.below.first_key_value()
            {
                full = join(&full, name);
                at = next;
            }
            unknown(&full)
        })?;
        if member.required && is_empty(below) {
            return Err(missing(&path));
        }
        check(model, &member.shape, below, &path)?;
    }
    for (name, member) in &shape.members {
        if member.required && !tree.below.contains_key(name.as_str()) {
            return Err(missing(&join(path, name)));
        }
    }
    Ok(())
}

fn is_empty(tree: &Tree<'_>) -> bool {
    tree.below.is_empty() && tree.value.is_none_or(str::is_empty)
}

fn check_list(model: &Model, shape: &Shape, tree: &Tree<'_>, path: &str) -> Result<(), AwsError> {
    let member = shape.member.as_deref().ok_or_else(no_table)?;
    // `Name=` is how the query protocol writes an empty list.
    if tree.value.is_some_and(|value| !value.is_empty()) {
        return Err(unknown(path));
    }
    let mut numbers = BTreeSet::new();
    for (index, below) in &tree.below {
        let path = join(path, index);
        let number = index
            .parse::<u32>()
            .ok()
            .filter(|_| index.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| unknown(&path))?;
        if number == 0 || number > HIGHEST_ITEM || !numbers.insert(number) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("Items of a list are numbered from 1: {path}"),
            ));
        }
        check(model, member, below, &path)?;
    }
    let most = shape.max.and_then(|max| usize::try_from(max).ok());
    let most = most.unwrap_or(MOST_ITEMS);
    let least = shape.min.and_then(|min| usize::try_from(min).ok());
    if numbers.len() > most || numbers.len() < least.unwrap_or(0) {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!(
                "The parameter {path} has {} items: {}",
                numbers.len(),
                match shape.max {
                    Some(_) => Wrong::Length.why(shape),
                    None => format!("there can be at most {most}"),
                }
            ),
        ));
    }
    Ok(())
}
