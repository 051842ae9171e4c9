//! How a vault should be.

use super::policy::{self, KeyArns};
use super::state::{Part, Setting, Settings, State};
use super::{Names, tags};
use serde_json::{Value, json};

/// After so many days an upload that nobody finished is gone, with its parts.
pub const INCOMPLETE_UPLOAD_DAYS: i32 = 7;
/// For so many days what was deleted or overwritten can be brought back.
pub const OLD_VERSION_DAYS: i32 = 30;
/// Seconds for which a request is its receiver's, who asks for more while at work.
const VISIBILITY_SECONDS: u32 = 120;
/// Times that a request is received before it goes to the dead-letter queue. The converter sends
/// there itself what can't succeed, with a reason, and gives up long before (`uploader agent
/// --tries`); this is for what kills it each time, and leaves a record that nobody brings to its end.
pub const MOST_RECEIVES: u32 = 100;
/// Ten days: a request may be begun until it expires, after a week at most ([`MAX_LIFE`]), and is
/// then tried again for a while. SQS deletes what is older without a word.
///
/// [`MAX_LIFE`]: crate::request::MAX_LIFE
pub const REQUEST_SECONDS: u32 = 10 * 86_400;
/// Fourteen days, the most there is: for somebody to look. What SQS itself moved here is as old as
/// it was in the other queue.
const FAILED_SECONDS: u32 = 14 * 86_400;
/// Most bytes of a message.
const MESSAGE_BYTES: u32 = 64 << 10;
/// The name of the role's own policy.
pub const ROLE_POLICY: &str = "converter";
/// The key of the encryption settings that every symmetric key has.
pub(super) const ENCRYPTS: &str = "SYMMETRIC_DEFAULT ENCRYPT_DECRYPT";
/// The same of the key that signs.
pub(super) const SIGNS: &str = "ECC_NIST_P256 SIGN_VERIFY";

/// A vault's keys, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Their ARNs; those of [`unmade`] for keys that are not there yet.
    pub arns: KeyArns,
    /// Whether the encryption key is somebody's own (`--kms-key`): used, and otherwise left alone.
    pub given: bool,
}

/// What stands for the ARN of a key before it is there.
pub fn unmade(names: &Names, part: Part) -> String {
    format!(
        "arn:{}:kms:{}:{}:key/(the {part} that init makes)",
        names.partition, names.region, names.account
    )
}

/// How the vault of these names should be.
pub fn desired(names: &Names, keys: &Keys) -> State {
    let mut state = State::default();
    state.put(Part::EncryptionKey, encryption_key(names, keys));
    state.put(Part::SigningKey, signing_key(names, &keys.arns));
    state.put(Part::Bucket, bucket(names, &keys.arns));
    state.put(Part::DeadLetterQueue, dead_letter_queue(names, &keys.arns));
    state.put(Part::Queue, queue(names, &keys.arns));
    state.put(Part::Role, role(names, &keys.arns));
    state.put(
        Part::InstanceProfile,
        Settings::from([
            (Setting::Roles, json!([names.role()])),
            (Setting::Tags, our_tags(names)),
        ]),
    );
    state
}

fn our_tags(names: &Names) -> Value {
    json!({tags::VAULT: names.vault})
}

fn encryption_key(names: &Names, keys: &Keys) -> Settings {
    let mut settings = Settings::from([
        (Setting::KeyArn, json!(keys.arns.encryption)),
        (Setting::KeyKind, json!(ENCRYPTS)),
        (Setting::KeyState, json!("Enabled")),
        (Setting::Alias, json!(names.encryption_alias())),
    ]);
    if !keys.given {
        settings.insert(Setting::Rotation, json!(true));
        settings.insert(Setting::Tags, our_tags(names));
        settings.insert(Setting::Policy, policy::encryption_key(names));
    }
    settings
}

/// KMS rotates no asymmetric keys.
fn signing_key(names: &Names, keys: &KeyArns) -> Settings {
    Settings::from([
        (Setting::KeyArn, json!(keys.signing)),
        (Setting::KeyKind, json!(SIGNS)),
        (Setting::KeyState, json!("Enabled")),
        (Setting::Alias, json!(names.signing_alias())),
        (Setting::Tags, our_tags(names)),
        (Setting::Policy, policy::signing_key(names)),
    ])
}

fn bucket(names: &Names, keys: &KeyArns) -> Settings {
    Settings::from([
        (Setting::Owner, json!(names.account)),
        (
            Setting::PublicAccess,
            json!({
                "BlockPublicAcls": true,
                "BlockPublicPolicy": true,
                "IgnorePublicAcls": true,
                "RestrictPublicBuckets": true,
            }),
        ),
        (Setting::Ownership, json!("BucketOwnerEnforced")),
        (
            Setting::Encryption,
            json!({
                "SSEAlgorithm": "aws:kms",
                "KMSMasterKeyID": keys.encryption,
                // One data key for many objects: KMS is asked, and paid, far less often.
                "BucketKeyEnabled": true,
            }),
        ),
        (Setting::Versioning, json!("Enabled")),
        (Setting::Lifecycle, lifecycle()),
        (Setting::Tags, our_tags(names)),
        (Setting::Policy, policy::bucket(names, keys)),
    ])
}

/// Nothing that is current is ever deleted by itself.
fn lifecycle() -> Value {
    json!([
        {
            "ID": "incomplete-uploads",
            "Status": "Enabled",
            "AbortIncompleteMultipartUploadDays": INCOMPLETE_UPLOAD_DAYS,
        },
        {
            "ID": "old-versions",
            "Status": "Enabled",
            "NoncurrentVersionExpirationDays": OLD_VERSION_DAYS,
            "ExpiredObjectDeleteMarker": true,
        },
    ])
}

/// What both queues have.
fn queue_attributes(names: &Names, keys: &KeyArns, queue: &str, retention: u32) -> Settings {
    Settings::from([
        (
            Setting::Attributes,
            json!({
                "KmsMasterKeyId": keys.encryption,
                "KmsDataKeyReusePeriodSeconds": "300",
                "MaximumMessageSize": MESSAGE_BYTES.to_string(),
                "MessageRetentionPeriod": retention.to_string(),
                "ReceiveMessageWaitTimeSeconds": "20",
                "VisibilityTimeout": VISIBILITY_SECONDS.to_string(),
            }),
        ),
        (Setting::Tags, our_tags(names)),
        (Setting::Policy, policy::queue(names, queue)),
    ])
}

fn queue(names: &Names, keys: &KeyArns) -> Settings {
    let mut settings = queue_attributes(names, keys, &names.queue(), REQUEST_SECONDS);
    if let Some(attributes) = settings.get_mut(&Setting::Attributes) {
        attributes["RedrivePolicy"] = json!({
            "deadLetterTargetArn": names.queue_arn(&names.dead_letter_queue()),
            "maxReceiveCount": MOST_RECEIVES,
        });
    }
    settings
}

fn dead_letter_queue(names: &Names, keys: &KeyArns) -> Settings {
    let mut settings = queue_attributes(names, keys, &names.dead_letter_queue(), FAILED_SECONDS);
    if let Some(attributes) = settings.get_mut(&Setting::Attributes) {
        attributes["RedriveAllowPolicy"] = json!({
            "redrivePermission": "byQueue",
            "sourceQueueArns": [names.queue_arn(&names.queue())],
        });
    }
    settings
}

fn role(names: &Names, keys: &KeyArns) -> Settings {
    Settings::from([
        (Setting::Trust, policy::trust()),
        (
            Setting::Permissions,
            json!({ROLE_POLICY: policy::converter(names, keys)}),
        ),
        (Setting::Attached, json!([])),
        (Setting::Tags, our_tags(names)),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::request::MAX_LIFE;
    use crate::vault::LEAST_RECORD_AGE;
    use time::Duration;

    fn names() -> Names {
        Names::new("image-vault", "111111111111", "eu-west-1", "aws").unwrap()
    }

    fn keys(given: bool) -> Keys {
        Keys {
            arns: KeyArns {
                encryption: "arn:aws:kms:eu-west-1:111111111111:key/e".to_owned(),
                signing: "arn:aws:kms:eu-west-1:111111111111:key/s".to_owned(),
            },
            given,
        }
    }

    #[test]
    fn everything_made_is_tagged() {
        for (part, settings) in desired(&names(), &keys(false)).parts() {
            assert_eq!(
                settings.get(&Setting::Tags),
                Some(&json!({"image-vault:vault": "image-vault"})),
                "{part}"
            );
        }
    }

    #[test]
    fn a_given_key_is_left_as_it_is() {
        let state = desired(&names(), &keys(true));
        let settings = state.get(Part::EncryptionKey).unwrap();
        let set: Vec<_> = settings.keys().filter(|it| it.can_be_set()).collect();
        assert_eq!(set, [&Setting::Alias]);
    }

    #[test]
    fn a_request_is_kept_until_it_has_expired_and_was_tried_again() {
        let state = desired(&names(), &keys(false));
        let kept = |part| {
            let attributes = &state.get(part).unwrap()[&Setting::Attributes];
            let seconds = attributes["MessageRetentionPeriod"].as_str().unwrap();
            Duration::seconds(seconds.parse().unwrap())
        };
        let (request, failed) = (kept(Part::Queue), kept(Part::DeadLetterQueue));
        // `uploader agent` tries 20 times unless told otherwise, 15 minutes apart at most.
        assert!(request >= MAX_LIFE + 20 * Duration::minutes(15) + Duration::days(1));
        // Some days for somebody to look, even at one that grew old in the other queue.
        assert!(failed >= request + Duration::days(3));
        assert!(failed <= Duration::days(14), "the most that SQS takes");
        assert!(LEAST_RECORD_AGE > request, "its record outlives it");
    }

    #[test]
    fn policies_fit_in_their_services() {
        let names = Names::new(
            &"v".repeat(24),
            "111111111111",
            "ap-southeast-99",
            "aws-us-gov",
        );
        let state = desired(&names.unwrap(), &keys(false));
        let len = |part, setting| state.get(part).unwrap()[&setting].to_string().len();
        assert!(len(Part::Bucket, Setting::Policy) < 20 * 1024);
        // All inline policies of a role together, white space not counted.
        assert!(len(Part::Role, Setting::Permissions) < 10_240);
        assert!(len(Part::SigningKey, Setting::Policy) < 32 * 1024);
    }

    #[test]
    fn the_converter_has_no_wildcards() {
        let state = desired(&names(), &keys(false));
        let policy = &state.get(Part::Role).unwrap()[&Setting::Permissions][ROLE_POLICY];
        for statement in policy["Statement"].as_array().unwrap() {
            let sid = &statement["Sid"];
            assert_eq!(statement["Effect"], "Allow", "{sid}");
            for action in statement["Action"].as_array().unwrap() {
                assert!(!action.as_str().unwrap().contains('*'), "{sid}");
            }
            let anything = statement["Resource"] == json!(["*"]);
            assert!(!anything || sid == "FindWhatIsMade", "{sid}");
        }
    }
}
