//! Actions, as rows, and the page that has the table.

use crate::evaluate::{Outcome, Step};
use crate::world::{ACTORS, Actor, OTHER, OTHER_KEY, World};
use iam_policy::Context;

const BEGIN: &str = "<!-- table: begin -->\n";
const END: &str = "<!-- table: end -->";

const SSE: &str = "s3:x-amz-server-side-encryption";
const SSE_KEY: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";
const SSE_CUSTOMER: &str = "s3:x-amz-server-side-encryption-customer-algorithm";

/// Something that somebody may want to do.
pub struct Row {
    pub what: &'static str,
    steps: fn(&World) -> Vec<Step>,
}

impl Row {
    pub fn steps(&self, world: &World) -> Vec<Step> {
        (self.steps)(world)
    }
}

fn context(values: &[(&str, &str)]) -> Context {
    let mut context = Context::default();
    for (key, value) in values {
        context.set(key, *value);
    }
    context
}

fn object(world: &World, key: &str) -> String {
    format!("{}/{key}", world.names.bucket_arn())
}

fn queue(world: &World) -> String {
    world.names.queue_arn(&world.names.queue())
}

fn failed(world: &World) -> String {
    world.names.queue_arn(&world.names.dead_letter_queue())
}

fn ec2(kind: &str) -> String {
    let account = if kind == "instance" {
        crate::world::ACCOUNT
    } else {
        ""
    };
    format!("arn:aws:ec2:eu-west-1:{account}:{kind}/x-00000000000000001")
}

/// A call to KMS that another service makes for its caller.
fn key_via(world: &World, action: &'static str, service: &str) -> Step {
    let service = format!("{service}.eu-west-1.amazonaws.com");
    let arn = world.keys.encryption.as_str();
    Step::new(action, arn, context(&[("kms:ViaService", &service)]))
}

fn get(world: &World, key: &str) -> Vec<Step> {
    vec![
        Step::new("s3:GetObject", object(world, key), Context::default()),
        key_via(world, "kms:Decrypt", "s3"),
    ]
}

/// With what a caller says of encryption.
fn put(world: &World, key: &str, says: &[(&str, &str)]) -> Vec<Step> {
    vec![
        Step::new("s3:PutObject", object(world, key), context(says)),
        key_via(world, "kms:GenerateDataKey", "s3"),
    ]
}

fn put_part(world: &World) -> Vec<Step> {
    let mut context = Context::default();
    context.inherit(SSE);
    context.inherit(SSE_KEY);
    vec![
        Step::new("s3:PutObject", object(world, "packs/x"), context),
        key_via(world, "kms:GenerateDataKey", "s3"),
        key_via(world, "kms:Decrypt", "s3"),
    ]
}

fn on_objects(world: &World, action: &'static str) -> Vec<Step> {
    let object = object(world, "packs/x");
    vec![Step::new(action, object, Context::default())]
}

fn on_bucket(world: &World, action: &'static str) -> Vec<Step> {
    vec![Step::new(
        action,
        world.names.bucket_arn(),
        Context::default(),
    )]
}

fn send(world: &World, queue: String) -> Vec<Step> {
    vec![
        Step::new("sqs:GetQueueUrl", queue.as_str(), Context::default()),
        Step::new("sqs:SendMessage", queue, Context::default()),
        key_via(world, "kms:GenerateDataKey", "sqs"),
        key_via(world, "kms:Decrypt", "sqs"),
    ]
}

fn on_queue(world: &World, action: &'static str) -> Vec<Step> {
    vec![Step::new(action, queue(world), Context::default())]
}

fn on_key(arn: &str, action: &'static str, says: &[(&str, &str)]) -> Vec<Step> {
    vec![Step::new(action, arn, context(says))]
}

/// A call to KMS for a snapshot, with a key that is not the vault's and has these tags.
fn other_key(action: &'static str, says: &[(&str, &str)]) -> Step {
    Step::new(action, OTHER_KEY, context(says))
}

const OURS: &str = "image-vault";
const KEY_TAG: (&str, &str) = ("aws:ResourceTag/image-vault-snapshots", OURS);
const VIA_EC2: (&str, &str) = ("kms:ViaService", EC2);
const FOR_AWS: (&str, &str) = ("kms:GrantIsForAWSResource", "true");
const REQUEST_TAG: &str = "aws:RequestTag/image-vault:vault";
const RESOURCE_TAG: &str = "aws:ResourceTag/image-vault:vault";
const EC2: &str = "ec2.eu-west-1.amazonaws.com";

fn on_ec2(action: &'static str, kind: &str, says: &[(&str, &str)]) -> Step {
    Step::new(action, ec2(kind), context(says))
}

fn tag(kind: &str, made_by: &str, vault: &str) -> Step {
    let says = [("ec2:CreateAction", made_by), (REQUEST_TAG, vault)];
    on_ec2("ec2:CreateTags", kind, &says)
}

fn pass_role(world: &World, service: &str) -> Step {
    let role = world.names.role_arn();
    Step::new(
        "iam:PassRole",
        role,
        context(&[("iam:PassedToService", service)]),
    )
}

/// The bucket's name in somebody else's hands: they let everyone in, so what the caller's own
/// policies say is all that counts.
fn elsewhere(world: &World, action: &'static str, key: Option<&str>) -> Vec<Step> {
    let resource = match key {
        Some(key) => object(world, key),
        None => world.names.bucket_arn(),
    };
    let mut step = Step::new(action, resource, Context::default());
    step.overrides = vec![("aws:ResourceAccount", OTHER)];
    vec![step]
}

fn describe(region: &'static str) -> Vec<Step> {
    ["ec2:DescribeImages", "ec2:DescribeSnapshots"]
        .into_iter()
        .map(|action| {
            let mut step = Step::new(action, "*", Context::default());
            step.overrides = vec![("aws:RequestedRegion", region)];
            step
        })
        .collect()
}

macro_rules! rows {
    ($($what:literal => $steps:expr),+ $(,)?) => {
        /// What is tried.
        pub const ROWS: &[Row] = &[$(Row { what: $what, steps: $steps }),+];
    };
}

rows! {
    "read a pack" => |w| get(w, "packs/x"),
    "read a manifest" => |w| get(w, "images/web/x.json"),
    "read a request's record" => |w| get(w, "requests/x.json"),
    "list what there is" => |w| on_bucket(w, "s3:ListBucket"),
    "store a pack" => |w| put(w, "packs/x", &[]),
    "store a pack, and name the vault's key" =>
        |w| put(w, "packs/x", &[(SSE, "aws:kms"), (SSE_KEY, &w.keys.encryption)]),
    "store a part of such a pack" => put_part,
    "look for uploads that were begun, and their parts" => |w| {
        let mut steps = on_bucket(w, "s3:ListBucketMultipartUploads");
        steps.extend(on_objects(w, "s3:ListMultipartUploadParts"));
        steps
    },
    "end an upload" => |w| on_objects(w, "s3:AbortMultipartUpload"),
    "store with another key" =>
        |w| put(w, "packs/x", &[(SSE, "aws:kms"), (SSE_KEY, "arn:aws:kms:eu-west-1:1:key/x")]),
    "store with the account's aws/s3 key" => |w| put(w, "packs/x", &[(SSE, "aws:kms")]),
    "store with SSE-S3" => |w| put(w, "packs/x", &[(SSE, "AES256")]),
    "store with a key of the caller's own (SSE-C)" =>
        |w| put(w, "packs/x", &[(SSE_CUSTOMER, "AES256")]),
    "store a manifest" => |w| put(w, "images/web/x.json", &[]),
    "store a request's record" => |w| put(w, "requests/x.json", &[]),
    "keep a heartbeat, and take it away" => |w| {
        let mut steps = put(w, "converter/heartbeats/x.json", &[]);
        steps.extend(get(w, "converter/heartbeats/x.json"));
        let object = object(w, "converter/heartbeats/x.json");
        steps.push(Step::new("s3:DeleteObject", object, Context::default()));
        steps
    },
    "read which converters live" => |w| get(w, "converter/heartbeats/x.json"),
    "take away another's heartbeat" => |w| {
        let object = object(w, "converter/heartbeats/x.json");
        vec![Step::new("s3:DeleteObject", object, Context::default())]
    },
    "say who launches a converter" => |w| put(w, "converter/launch.json", &[]),
    "read which AMI is the converter's" => |w| get(w, "converter-image/current.json"),
    "say which AMI is the converter's" => |w| put(w, "converter-image/current.json", &[]),
    "delete a pack" => |w| on_objects(w, "s3:DeleteObject"),
    "delete a version for good" => |w| on_objects(w, "s3:DeleteObjectVersion"),
    "change the bucket's policy" => |w| on_bucket(w, "s3:PutBucketPolicy"),
    "read from a bucket of that name of another account" =>
        |w| elsewhere(w, "s3:GetObject", Some("packs/x")),
    "store a record in one" => |w| elsewhere(w, "s3:PutObject", Some("requests/x.json")),
    "keep a heartbeat in one" =>
        |w| elsewhere(w, "s3:PutObject", Some("converter/heartbeats/x.json")),
    "list one" => |w| elsewhere(w, "s3:ListBucket", None),
    "sign a request" => |w| on_key(&w.keys.signing, "kms:Sign", &[]),
    "send a request" => |w| send(w, queue(w)),
    "find the queue of requests" => |w| {
        let mut steps = on_queue(w, "sqs:GetQueueUrl");
        steps.extend(on_queue(w, "sqs:GetQueueAttributes"));
        steps
    },
    "take a request" => |w| {
        let mut steps = on_queue(w, "sqs:ReceiveMessage");
        steps.push(key_via(w, "kms:Decrypt", "sqs"));
        steps.extend(on_queue(w, "sqs:ChangeMessageVisibility"));
        steps.extend(on_queue(w, "sqs:DeleteMessage"));
        steps
    },
    "verify a request's signature" => |w| {
        let mut steps = on_key(&w.keys.signing, "kms:DescribeKey", &[]);
        steps.extend(on_key(&w.keys.signing, "kms:Verify", &[]));
        steps
    },
    "give up a request" => |w| send(w, failed(w)),
    "delete all requests" => |w| on_queue(w, "sqs:PurgeQueue"),
    "find the key" => |w| on_key(&w.keys.encryption, "kms:DescribeKey", &[]),
    "decrypt with the key, not through a service" =>
        |w| on_key(&w.keys.encryption, "kms:Decrypt", &[]),
    "start an encrypted snapshot with the vault's tag" => |w| vec![
        on_ec2("ebs:StartSnapshot", "snapshot", &[(REQUEST_TAG, OURS)]),
        tag("snapshot", "StartSnapshot", OURS),
        key_via(w, "kms:GenerateDataKeyWithoutPlaintext", "ec2"),
        Step::new("kms:CreateGrant", w.keys.encryption.as_str(),
            context(&[("kms:GrantIsForAWSResource", "true"), ("kms:ViaService", EC2)])),
    ],
    "start a snapshot without it" => |_| vec![on_ec2("ebs:StartSnapshot", "snapshot", &[])],
    "write and complete a snapshot of the vault" => |w| vec![
        on_ec2("ebs:PutSnapshotBlock", "snapshot", &[(RESOURCE_TAG, OURS)]),
        key_via(w, "kms:Decrypt", "ec2"),
        key_via(w, "kms:GenerateDataKey", "ec2"),
        on_ec2("ebs:CompleteSnapshot", "snapshot", &[(RESOURCE_TAG, OURS)]),
    ],
    "write another snapshot" => |_| vec![on_ec2("ebs:PutSnapshotBlock", "snapshot", &[])],
    "delete a snapshot of the vault" =>
        |_| vec![on_ec2("ec2:DeleteSnapshot", "snapshot", &[(RESOURCE_TAG, OURS)])],
    "delete another snapshot" => |_| vec![on_ec2("ec2:DeleteSnapshot", "snapshot", &[])],
    "read a snapshot's blocks" =>
        |_| vec![on_ec2("ebs:GetSnapshotBlock", "snapshot", &[(RESOURCE_TAG, OURS)])],
    "share a snapshot" =>
        |_| vec![on_ec2("ec2:ModifySnapshotAttribute", "snapshot", &[(RESOURCE_TAG, OURS)])],
    "register an AMI of a snapshot of the vault" => |_| vec![
        on_ec2("ec2:RegisterImage", "image", &[(REQUEST_TAG, OURS)]),
        on_ec2("ec2:RegisterImage", "snapshot", &[(RESOURCE_TAG, OURS)]),
        tag("image", "RegisterImage", OURS),
    ],
    "register an AMI of another snapshot" => |_| vec![
        on_ec2("ec2:RegisterImage", "image", &[(REQUEST_TAG, OURS)]),
        on_ec2("ec2:RegisterImage", "snapshot", &[]),
    ],
    "register an AMI without the vault's tag" => |_| vec![
        on_ec2("ec2:RegisterImage", "image", &[]),
        on_ec2("ec2:RegisterImage", "snapshot", &[(RESOURCE_TAG, OURS)]),
    ],
    "give what it makes another vault's tag" =>
        |_| vec![tag("image", "RegisterImage", "other-vault")],
    "tag a snapshot that was there before" =>
        |_| vec![on_ec2("ec2:CreateTags", "snapshot", &[(REQUEST_TAG, OURS)])],
    "deregister an AMI" => |_| vec![on_ec2("ec2:DeregisterImage", "image", &[(RESOURCE_TAG, OURS)])],
    "look for AMIs and snapshots" => |_| describe("eu-west-1"),
    "look for them in another region" => |_| describe("us-east-1"),
    "end an instance of the vault" =>
        |_| vec![on_ec2("ec2:TerminateInstances", "instance", &[(RESOURCE_TAG, OURS)])],
    "end another instance" => |_| vec![on_ec2("ec2:TerminateInstances", "instance", &[])],
    "look for instances, and where one can be" => |_| {
        let actions = [
            "ec2:DescribeInstances",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ];
        let step = |action| Step::new(action, "*", Context::default());
        actions.into_iter().map(step).collect()
    },
    "look for AMIs" => |_| vec![Step::new("ec2:DescribeImages", "*", Context::default())],
    "launch a converter" => |w| {
        let mut steps = vec![
            on_ec2("ec2:CreateSecurityGroup", "security-group", &[]),
            tag("security-group", "CreateSecurityGroup", OURS),
            on_ec2("ec2:RunInstances", "instance", &[]),
            tag("instance", "RunInstances", OURS),
            pass_role(w, "ec2.amazonaws.com"),
        ];
        for action in [
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ] {
            steps.extend(on_key(&w.keys.encryption, action, &[VIA_EC2]));
        }
        steps.extend(on_key(&w.keys.encryption, "kms:CreateGrant", &[VIA_EC2, FOR_AWS]));
        steps
    },
    "give the role to another service" => |w| vec![pass_role(w, "lambda.amazonaws.com")],
    "tag an instance that was there before" =>
        |_| vec![on_ec2("ec2:CreateTags", "instance", &[(REQUEST_TAG, OURS)])],
    "start an instance" => |_| vec![on_ec2("ec2:RunInstances", "instance", &[])],
    "grant the key to somebody" => |w| on_key(&w.keys.encryption, "kms:CreateGrant",
        &[("kms:GrantIsForAWSResource", "false"), ("kms:ViaService", EC2)]),
    "grant the key to AWS, not through EBS" => |w| on_key(&w.keys.encryption, "kms:CreateGrant",
        &[("kms:GrantIsForAWSResource", "true")]),
    "start a snapshot with another key that has the vault's tag" => |_| vec![
        on_ec2("ebs:StartSnapshot", "snapshot", &[(REQUEST_TAG, OURS)]),
        tag("snapshot", "StartSnapshot", OURS),
        other_key("kms:DescribeKey", &[KEY_TAG, VIA_EC2]),
        other_key("kms:GenerateDataKeyWithoutPlaintext", &[KEY_TAG, VIA_EC2]),
        other_key("kms:CreateGrant", &[KEY_TAG, VIA_EC2, FOR_AWS]),
    ],
    "write such a snapshot" => |_| vec![
        on_ec2("ebs:PutSnapshotBlock", "snapshot", &[(RESOURCE_TAG, OURS)]),
        other_key("kms:Decrypt", &[KEY_TAG, VIA_EC2]),
        other_key("kms:GenerateDataKey", &[KEY_TAG, VIA_EC2]),
        on_ec2("ebs:CompleteSnapshot", "snapshot", &[(RESOURCE_TAG, OURS)]),
    ],
    "use a key without that tag for a snapshot" =>
        |_| vec![other_key("kms:GenerateDataKeyWithoutPlaintext", &[VIA_EC2])],
    "use a key with another vault's tag" => |_| {
        let theirs = (KEY_TAG.0, "other-vault");
        vec![other_key("kms:GenerateDataKeyWithoutPlaintext", &[theirs, VIA_EC2])]
    },
    "decrypt with a key that has the tag, not through a service" =>
        |_| vec![other_key("kms:Decrypt", &[KEY_TAG])],
    "grant a key without that tag to EBS" =>
        |_| vec![other_key("kms:CreateGrant", &[VIA_EC2, FOR_AWS])],
    "grant a key that has the tag to somebody" => |_| {
        let for_somebody = ("kms:GrantIsForAWSResource", "false");
        vec![other_key("kms:CreateGrant", &[KEY_TAG, VIA_EC2, for_somebody])]
    },
    "grant a key that has the tag to AWS, not through EBS" =>
        |_| vec![other_key("kms:CreateGrant", &[KEY_TAG, FOR_AWS])],
    "give a key that tag" => |_| vec![other_key("kms:TagResource", &[])],
    "change the key's policy" => |w| on_key(&w.keys.encryption, "kms:PutKeyPolicy", &[]),
    "delete the key" => |w| on_key(&w.keys.encryption, "kms:ScheduleKeyDeletion", &[]),
    "give the role another policy" =>
        |w| vec![Step::new("iam:PutRolePolicy", w.names.role_arn(), Context::default())],
}

/// The table.
pub fn render(world: &World) -> String {
    let mut lines = vec!["| action |".to_owned(), "|---|".to_owned()];
    for actor in ACTORS {
        lines[0].push_str(&format!(" {} |", actor.title()));
        lines[1].push_str("---|");
    }
    for row in ROWS {
        let steps = row.steps(world);
        let mut line = format!("| {} |", row.what);
        for actor in ACTORS {
            let cell = if !is_asked(*actor, &steps) {
                "–".to_owned()
            } else {
                match world.judge(*actor, &steps) {
                    Outcome::Yes => "**yes**".to_owned(),
                    Outcome::No(why) if why == "nothing allows" => "no".to_owned(),
                    Outcome::No(why) => format!("no ({why})"),
                }
            };
            line.push_str(&format!(" {cell} |"));
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

/// Whether it makes sense to ask: a bucket of the vault's name elsewhere is not ours to close, and
/// services other than S3 and SQS speak TLS only.
pub fn is_asked(actor: Actor, steps: &[Step]) -> bool {
    let elsewhere = ("aws:ResourceAccount", OTHER);
    let ours = !steps.iter().any(|it| it.overrides.contains(&elsewhere));
    let mut services = steps.iter().map(Step::service);
    match actor {
        Actor::PlainHttp => ours && services.next().is_some_and(|it| it == "s3" || it == "sqs"),
        Actor::OtherAccount | Actor::Anonymous => ours,
        _ => true,
    }
}

/// The page with the table between its marks.
pub fn page(text: &str, table: &str) -> String {
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    format!("{head}{BEGIN}{table}{END}{tail}")
}
