//! What S3 asks of a policy before it takes it.

use super::document::Malformed;
use super::{Effect, Policy, Principal, Selection, Statement};

/// Whether a policy lets in whoever comes: [the meaning of
/// public](https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status).
pub fn is_public(policy: &Policy) -> bool {
    policy.statements.iter().any(|statement| {
        let anyone = match &statement.principals {
            Selection::Only(principals) => principals.contains(&Principal::Anyone),
            Selection::Except(_) => true,
        };
        statement.effect == Effect::Allow
            && anyone
            && !statement
                .conditions
                .iter()
                .any(|condition| condition.names_values() && narrows(condition.key()))
    })
}

/// Condition keys whose fixed values say who may come.
fn narrows(key: &str) -> bool {
    [
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    ]
    .contains(&key.to_ascii_lowercase().as_str())
}

/// Checks that a policy is about this bucket and nothing else.
///
/// # Errors
/// A resource of something else, or an action that no resource of its statement has.
pub fn check_for_bucket(policy: &Policy, bucket: &str) -> Result<(), Malformed> {
    policy
        .statements
        .iter()
        .try_for_each(|statement| check_statement(statement, bucket))
}

fn check_statement(statement: &Statement, bucket: &str) -> Result<(), Malformed> {
    let (Selection::Only(resources) | Selection::Except(resources)) = &statement.resources;
    let mut kinds = Kinds::default();
    for resource in resources {
        let Some(path) = resource
            .splitn(6, ':')
            .nth(5)
            .filter(|_| resource.starts_with("arn:aws"))
        else {
            return Err(Malformed("Policy has invalid resource".to_owned()));
        };
        let (name, key) = match path.split_once('/') {
            Some((name, key)) => (name, Some(key)),
            None => (path, None),
        };
        // The value has to begin with the bucket's name.
        let ours = name
            .strip_prefix(bucket)
            .is_some_and(|rest| matches!(rest, "" | "*"));
        if !resource.contains(":s3:::") || !ours {
            return Err(Malformed("Policy has invalid resource".to_owned()));
        }
        kinds.objects |= key.is_some() || name.ends_with('*');
        kinds.bucket |= key.is_none();
    }
    let (Selection::Only(actions), Selection::Only(_)) = (&statement.actions, &statement.resources)
    else {
        return Ok(());
    };
    let nowhere = |action: &String| match on_objects(action) {
        Some(true) => !kinds.objects,
        Some(false) => !kinds.bucket,
        None => false,
    };
    if actions.iter().any(nowhere) {
        return Err(Malformed(
            "Action does not apply to any resource(s) in statement".to_owned(),
        ));
    }
    Ok(())
}

#[derive(Default)]
struct Kinds {
    bucket: bool,
    objects: bool,
}

/// Whether an action is one on objects; `None` if it can be either.
fn on_objects(action: &str) -> Option<bool> {
    let name = action.split_once(':')?.1.to_ascii_lowercase();
    if name.contains(['*', '?']) {
        return None;
    }
    let objects = (name.contains("object")
        && !name.starts_with("getbucket")
        && !name.starts_with("putbucket"))
        || name == "abortmultipartupload"
        || name == "listmultipartuploadparts";
    Some(objects)
}
