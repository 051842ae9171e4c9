//! Policies as JSON documents.

use super::condition::{Condition, Fault};
use super::{Effect, Policy, Principal, Selection, Statement};
use serde_json::{Map, Value};

/// Why a document is no policy, in S3's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

fn malformed<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(why.into()))
}

/// Most bytes of a bucket policy.
pub const MOST_BYTES: usize = 20 * 1024;

/// What a policy is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bucket: about S3 only.
    Bucket,
    /// Another resource: a queue, a key.
    Resource,
    /// A role: who takes it on. It is about the role that has it, so it names no resource.
    Trust,
    /// A user or a role: about whoever has it, so it names no principal.
    Identity,
}

/// Reads a bucket's policy.
///
/// # Errors
/// It is no policy.
pub fn parse(text: &[u8]) -> Result<Policy, Malformed> {
    parse_kind(text, Kind::Bucket)
}

/// Reads a policy of some kind.
///
/// # Errors
/// It is no such policy.
pub fn parse_kind(text: &[u8], kind: Kind) -> Result<Policy, Malformed> {
    if text.len() > MOST_BYTES {
        return malformed("The bucket policy is longer than 20 KB");
    }
    let not_json = "Policies must be valid JSON and the first byte must be '{'";
    if text.first() != Some(&b'{') {
        return malformed(not_json);
    }
    let Ok(Value::Object(document)) = serde_json::from_slice(text) else {
        return malformed(not_json);
    };
    only(&document, &["Version", "Id", "Statement"])?;
    let variables = match document.get("Version") {
        None => false,
        Some(Value::String(version)) if version == "2008-10-17" => false,
        Some(Value::String(version)) if version == "2012-10-17" => true,
        Some(_) => return malformed("The policy must contain a valid version string"),
    };
    if document.get("Id").is_some_and(|id| !id.is_string()) {
        return malformed("Invalid policy syntax.");
    }
    let statements: Vec<&Value> = match document.get("Statement") {
        None => return malformed("Missing required field Statement"),
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(one) => vec![one],
    };
    if statements.is_empty() {
        return malformed("Could not parse the policy: Statement is empty!");
    }
    let statements = statements
        .into_iter()
        .map(|value| statement(value, kind))
        .collect::<Result<Vec<_>, _>>()?;
    for (index, one) in statements.iter().enumerate() {
        let same = |other: &Statement| other.sid == one.sid;
        if one.sid.is_some() && statements[..index].iter().any(same) {
            return malformed("Statement IDs (SID) in a single policy must be unique.");
        }
    }
    Ok(Policy {
        variables,
        statements,
    })
}

fn only(object: &Map<String, Value>, known: &[&str]) -> Result<(), Malformed> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => malformed(format!("Unknown field {key}")),
        None => Ok(()),
    }
}

fn statement(value: &Value, kind: Kind) -> Result<Statement, Malformed> {
    let Value::Object(object) = value else {
        return malformed("Invalid policy syntax.");
    };
    only(
        object,
        &[
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ],
    )?;
    let sid = match object.get("Sid") {
        None => None,
        Some(Value::String(sid)) => Some(sid.clone()).filter(|sid| !sid.is_empty()),
        Some(_) => return malformed("Invalid Sid"),
    };
    let effect = match object.get("Effect") {
        None => return malformed("Missing required field Effect"),
        Some(Value::String(effect)) if effect == "Allow" => Effect::Allow,
        Some(Value::String(effect)) if effect == "Deny" => Effect::Deny,
        Some(other) => {
            let shown = other.as_str().unwrap_or("not a string");
            return malformed(format!("Invalid effect: {shown}"));
        }
    };
    let principals = if kind == Kind::Identity {
        if object.contains_key("Principal") || object.contains_key("NotPrincipal") {
            return malformed("Policy document should not specify a principal.");
        }
        Selection::Only(vec![Principal::Anyone])
    } else {
        either(object, "Principal", |value| {
            principals(value).ok_or_else(|| Malformed("Invalid principal in policy".to_owned()))
        })?
    };
    if effect == Effect::Allow && matches!(principals, Selection::Except(_)) {
        return malformed("Allow with NotPrincipal is not allowed.");
    }
    let actions = either(object, "Action", |value| {
        strings(value)
            .filter(|actions| actions.iter().all(|action| is_action(action, kind)))
            .ok_or_else(|| Malformed("Policy has invalid action".to_owned()))
    })?;
    let resources = if kind == Kind::Trust {
        if object.contains_key("Resource") || object.contains_key("NotResource") {
            return malformed("Has prohibited field Resource");
        }
        Selection::Only(vec!["*".to_owned()])
    } else {
        either(object, "Resource", |value| {
            strings(value)
                .filter(|all| all.iter().all(|one| one == "*" || one.starts_with("arn:")))
                .ok_or_else(|| Malformed("Policy has invalid resource".to_owned()))
        })?
    };
    Ok(Statement {
        sid,
        effect,
        principals,
        actions,
        resources,
        conditions: match object.get("Condition") {
            None => Vec::new(),
            Some(value) => conditions(value)?,
        },
    })
}

/// `NAME` or `NotNAME`, one of which has to be there.
fn either<T>(
    object: &Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Result<Vec<T>, Malformed>,
) -> Result<Selection<T>, Malformed> {
    match (object.get(name), object.get(&format!("Not{name}"))) {
        (Some(value), None) => read(value).map(Selection::Only),
        (None, Some(value)) => read(value).map(Selection::Except),
        (None, None) => malformed(format!("Missing required field {name}")),
        (Some(_), Some(_)) => malformed("Invalid policy syntax."),
    }
}

/// One string or several; `None` for anything else, and for none.
fn strings(value: &Value) -> Option<Vec<String>> {
    let all: Vec<String> = match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all
            .iter()
            .map(|one| one.as_str().map(String::from))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    (!all.is_empty()).then_some(all)
}

fn is_action(action: &str, kind: Kind) -> bool {
    let name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'*' || byte == b'?')
    };
    action == "*"
        || action.split_once(':').is_some_and(|(service, action)| {
            let ours = kind != Kind::Bucket || service.eq_ignore_ascii_case("s3");
            ours && !service.is_empty() && name(action)
        })
}

fn principals(value: &Value) -> Option<Vec<Principal>> {
    if value.as_str() == Some("*") {
        return Some(vec![Principal::Anyone]);
    }
    let object = value.as_object().filter(|object| !object.is_empty())?;
    let mut out = Vec::new();
    for (kind, value) in object {
        for text in strings(value)? {
            out.push(match kind.as_str() {
                "AWS" => aws_principal(&text)?,
                "Service" | "Federated" | "CanonicalUser" => Principal::Other,
                _ => return None,
            });
        }
    }
    Some(out)
}

/// `*`, an account's number, or an ARN, in which no wildcard may be.
fn aws_principal(text: &str) -> Option<Principal> {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|it| it.is_ascii_digit());
    if text == "*" {
        return Some(Principal::Anyone);
    }
    if is_account(text) {
        return Some(Principal::Account(text.to_owned()));
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else {
        return None;
    };
    let fine = arn == "arn"
        && partition.starts_with("aws")
        && matches!(service, "iam" | "sts")
        && region.is_empty()
        && (is_account(account) || account == "cloudfront")
        && !text.contains(['*', '?']);
    if !fine {
        return None;
    }
    Some(match resource {
        "root" => Principal::Account(account.to_owned()),
        _ if resource.starts_with("user/")
            || resource.starts_with("role/")
            || resource.starts_with("assumed-role/")
            || resource.starts_with("federated-user/") =>
        {
            Principal::Arn(text.to_owned())
        }
        _ => return None,
    })
}

fn conditions(value: &Value) -> Result<Vec<Condition>, Malformed> {
    let Value::Object(operators) = value else {
        return malformed("Invalid Condition");
    };
    let mut out = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else {
            return malformed("Invalid Condition");
        };
        for (key, values) in keys {
            let values = match values {
                Value::Array(values) => values.iter().map(scalar).collect(),
                one => scalar(one).map(|one| vec![one]),
            };
            let Some(values) = values else {
                return malformed("Invalid Condition value");
            };
            if !is_known(key) {
                return malformed(format!("Policy has an invalid condition key - {key}"));
            }
            out.push(Condition::new(operator, key, values).map_err(|fault| {
                Malformed(match fault {
                    Fault::Operator => format!("Invalid Condition type : {operator}"),
                    Fault::Value => format!("Invalid Condition value for {operator} {key}"),
                })
            })?);
        }
    }
    Ok(out)
}

/// Conditions may write booleans and numbers as such.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a condition key is one that S3 takes.
///
/// Keys of S3 itself are known one by one, so that a slip of the pen in a Deny is found here and
/// not by an intruder; of the global ones there are many and new ones come.
fn is_known(key: &str) -> bool {
    const S3: &[&str] = &[
        "accesspointnetworkorigin",
        "authtype",
        "dataaccesspointaccount",
        "dataaccesspointarn",
        "delimiter",
        "destinationregion",
        "if-match",
        "if-none-match",
        "inventoryaccessibleoptionalfields",
        "locationconstraint",
        "max-keys",
        "object-lock-legal-hold",
        "object-lock-mode",
        "object-lock-remaining-retention-days",
        "object-lock-retain-until-date",
        "objectcreationoperation",
        "prefix",
        "requestobjecttagkeys",
        "resourceaccount",
        "signatureage",
        "signatureversion",
        "tlsversion",
        "versionid",
        "x-amz-acl",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-grant-full-control",
        "x-amz-grant-read",
        "x-amz-grant-read-acp",
        "x-amz-grant-write",
        "x-amz-grant-write-acp",
        "x-amz-metadata-directive",
        "x-amz-object-ownership",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
    ];
    let key = key.to_ascii_lowercase();
    match key.split_once(':') {
        Some(("aws", name)) => !name.is_empty(),
        Some(("s3", name)) => {
            S3.contains(&name)
                || ["existingobjecttag/", "requestobjecttag/", "buckettag/"]
                    .iter()
                    .any(|prefix| name.strip_prefix(prefix).is_some_and(|tag| !tag.is_empty()))
        }
        Some((service, name)) => {
            // Keys of identity providers and of services on whose behalf a request may come.
            !service.is_empty() && !name.is_empty()
        }
        None => false,
    }
}
