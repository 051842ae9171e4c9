//! The converter's role: what the machine that turns images into AMIs may do.

use super::{KeyArns, document};
use crate::vault::{Names, tags};
use serde_json::{Map, Value, json};

/// Who may take on the role: EC2, for the instances that it was given to.
pub fn trust() -> Value {
    document(vec![json!({
        "Sid": "Instances",
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    })])
}

/// What the role may do, which is what the converter calls and nothing else.
pub fn converter(names: &Names, keys: &KeyArns) -> Value {
    let mut statements = vault(names);
    statements.extend(key_use(names, keys));
    statements.extend(other_keys(names));
    statements.extend(snapshots(names));
    statements.extend(images(names));
    document(statements)
}

fn allow(sid: &str, actions: &[&str], resources: &[String], condition: Value) -> Value {
    let mut statement = json!({
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": resources,
    });
    if let Some(statement) = statement.as_object_mut()
        && condition.as_object().is_some_and(|it| !it.is_empty())
    {
        statement.insert("Condition".to_owned(), condition);
    }
    statement
}

fn nothing() -> Value {
    Value::Object(Map::new())
}

/// Reads packs and manifests, keeps records of requests, takes requests and gives up on them.
fn vault(names: &Names) -> Vec<Value> {
    let bucket = names.bucket_arn();
    let under = |prefix: &str| format!("{bucket}/{prefix}/*");
    // A bucket's ARN names no account: were it deleted and made anew by somebody else, the
    // converter would read what they put there.
    let ours = || json!({"StringEquals": {"aws:ResourceAccount": names.account}});
    vec![
        allow(
            "ReadImages",
            &["s3:GetObject"],
            &[under("packs"), under("images")],
            ours(),
        ),
        allow(
            "KeepRecords",
            &["s3:GetObject", "s3:PutObject"],
            &[under("requests")],
            ours(),
        ),
        // What callers know of it: each converter writes its own, and takes it away at its end.
        allow(
            "SayAlive",
            &["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            &[under("converter/heartbeats")],
            ours(),
        ),
        // Without it, what is missing is answered with "access denied".
        allow(
            "SeeWhatIsMissing",
            &["s3:ListBucket"],
            std::slice::from_ref(&bucket),
            ours(),
        ),
        allow(
            "TakeRequests",
            &[
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ReceiveMessage",
            ],
            &[names.queue_arn(&names.queue())],
            nothing(),
        ),
        allow(
            "GiveUpRequests",
            &["sqs:GetQueueUrl", "sqs:SendMessage"],
            &[names.queue_arn(&names.dead_letter_queue())],
            nothing(),
        ),
    ]
}

/// Uses the vault's keys, and only through the services that need them.
fn key_use(names: &Names, keys: &KeyArns) -> Vec<Value> {
    let encryption = [keys.encryption.clone()];
    let ebs = ebs(names);
    vec![
        allow(
            "KeyForBucketAndQueues",
            &["kms:Decrypt", "kms:GenerateDataKey"],
            &encryption,
            json!({"StringEquals": {"kms:ViaService": [service(names, "s3"), service(names, "sqs")]}}),
        ),
        allow(
            "KeyForSnapshots",
            &[
                "kms:Decrypt",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext",
            ],
            &encryption,
            json!({"StringEquals": {"kms:ViaService": ebs}}),
        ),
        allow(
            "GrantKeyToEbs",
            &["kms:CreateGrant"],
            &encryption,
            json!({
                "Bool": {"kms:GrantIsForAWSResource": "true"},
                "StringEquals": {"kms:ViaService": ebs},
            }),
        ),
        allow(
            "FindKeys",
            &["kms:DescribeKey"],
            &[keys.encryption.clone(), keys.signing.clone()],
            nothing(),
        ),
        allow(
            "VerifyRequests",
            &["kms:Verify"],
            std::slice::from_ref(&keys.signing),
            nothing(),
        ),
    ]
}

/// Uses other keys of the account that a request may name, for snapshots alone, and only if the key
/// itself says by a tag that this vault's converter may. So whoever owns a key decides, no list of
/// keys has to be kept, and a converter that was taken over has no key that nobody gave it.
fn other_keys(names: &Names) -> Vec<Value> {
    let Names {
        partition,
        region,
        account,
        vault,
    } = names;
    let keys = [format!("arn:{partition}:kms:{region}:{account}:key/*")];
    let tag = format!("aws:ResourceTag/{}", tags::SNAPSHOT_KEY);
    let for_snapshots = json!({"kms:ViaService": ebs(names), tag: vault});
    vec![
        allow(
            "OtherKeysForSnapshots",
            &[
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext",
            ],
            &keys,
            json!({"StringEquals": for_snapshots}),
        ),
        allow(
            "GrantOtherKeysToEbs",
            &["kms:CreateGrant"],
            &keys,
            json!({
                "Bool": {"kms:GrantIsForAWSResource": "true"},
                "StringEquals": for_snapshots,
            }),
        ),
    ]
}

/// A service, as KMS calls it that calls KMS for somebody.
fn service(names: &Names, service: &str) -> String {
    format!("{service}.{}.amazonaws.com", names.region)
}

/// EBS calls KMS in EC2's name.
fn ebs(names: &Names) -> Value {
    json!([service(names, "ec2"), service(names, "ebs")])
}

/// Makes snapshots that have the vault's tag, and changes those that have it.
fn snapshots(names: &Names) -> Vec<Value> {
    let snapshots = [ec2(names, "snapshot")];
    vec![
        allow(
            "StartSnapshots",
            &["ebs:StartSnapshot"],
            &snapshots,
            with_tag("Request", names),
        ),
        allow(
            "WriteSnapshots",
            &["ebs:CompleteSnapshot", "ebs:PutSnapshotBlock"],
            &snapshots,
            with_tag("Resource", names),
        ),
        allow(
            "CleanUp",
            &["ec2:DeleteSnapshot"],
            &snapshots,
            with_tag("Resource", names),
        ),
    ]
}

/// Registers such snapshots as images.
fn images(names: &Names) -> Vec<Value> {
    let (image, snapshot) = (ec2(names, "image"), ec2(names, "snapshot"));
    // Tags are what separates the vault's from others': they are given when something is made,
    // and never to what is there already.
    let mut made_with = with_tag("Request", names);
    made_with["StringEquals"]["ec2:CreateAction"] = json!(["RegisterImage", "StartSnapshot"]);
    vec![
        allow(
            "RegisterImages",
            &["ec2:RegisterImage"],
            std::slice::from_ref(&image),
            with_tag("Request", names),
        ),
        allow(
            "RegisterSnapshots",
            &["ec2:RegisterImage"],
            std::slice::from_ref(&snapshot),
            with_tag("Resource", names),
        ),
        allow(
            "TagWhatIsMade",
            &["ec2:CreateTags"],
            &[image, snapshot],
            made_with,
        ),
        // These two know no resources.
        allow(
            "FindWhatIsMade",
            &["ec2:DescribeImages", "ec2:DescribeSnapshots"],
            &["*".to_owned()],
            json!({"StringEquals": {"aws:RequestedRegion": names.region}}),
        ),
    ]
}

/// Everything of a kind in EC2: images and snapshots, which have no account in their ARNs.
fn ec2(names: &Names, kind: &str) -> String {
    format!("arn:{}:ec2:{}::{kind}/*", names.partition, names.region)
}

/// `which` is `Request` or `Resource`.
fn with_tag(which: &str, names: &Names) -> Value {
    let key = format!("aws:{which}Tag/{}", tags::VAULT);
    json!({"StringEquals": {key: names.vault}})
}
