//! What a vault consists of, as values: the same kind of value for how it should be and how it is.

use super::Names;
use super::policy::canonical;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A part of a vault, in the order in which parts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The KMS key of bucket, queues and snapshots.
    EncryptionKey,
    /// The KMS key that signs requests.
    SigningKey,
    /// The bucket.
    Bucket,
    /// The queue of requests that can't succeed.
    DeadLetterQueue,
    /// The queue of requests.
    Queue,
    /// The converter's role.
    Role,
    /// What gives the role to an instance.
    InstanceProfile,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 7] = [
        Part::EncryptionKey,
        Part::SigningKey,
        Part::Bucket,
        Part::DeadLetterQueue,
        Part::Queue,
        Part::Role,
        Part::InstanceProfile,
    ];

    /// What it is called in a vault.
    pub fn name(self, names: &Names) -> String {
        match self {
            Part::EncryptionKey => names.encryption_alias(),
            Part::SigningKey => names.signing_alias(),
            Part::Bucket => names.bucket(),
            Part::DeadLetterQueue => names.dead_letter_queue(),
            Part::Queue => names.queue(),
            Part::Role | Part::InstanceProfile => names.role(),
        }
    }

    /// Whether it is a KMS key, whose ARN is known only once it is there.
    pub fn is_key(self) -> bool {
        matches!(self, Part::EncryptionKey | Part::SigningKey)
    }

    /// Whether making it gives it this setting already.
    pub(super) fn is_made_with(self, setting: Setting) -> bool {
        match self {
            Part::EncryptionKey | Part::SigningKey => {
                matches!(setting, Setting::Policy | Setting::Tags)
            }
            Part::Bucket => setting == Setting::Ownership,
            Part::DeadLetterQueue | Part::Queue => true,
            Part::Role => matches!(setting, Setting::Trust | Setting::Tags),
            Part::InstanceProfile => setting == Setting::Tags,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::EncryptionKey => "encryption key",
            Part::SigningKey => "signing key",
            Part::Bucket => "bucket",
            Part::DeadLetterQueue => "dead-letter queue",
            Part::Queue => "queue",
            Part::Role => "role",
            Part::InstanceProfile => "instance profile",
        })
    }
}

/// Something about a part that can be one way or another, in the order in which it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// The account that owns it. Never set.
    Owner,
    /// Which key it is. Never set: what is encrypted with a key stays so.
    KeyArn,
    /// What a key can do. Never set.
    KeyKind,
    /// Whether a key can be used. Never set: whoever disabled it had a reason.
    KeyState,
    /// The name of a key.
    Alias,
    /// Whether a key's material is made anew each year.
    Rotation,
    /// The block of public access.
    PublicAccess,
    /// Who owns objects.
    Ownership,
    /// What objects are encrypted with if nobody says.
    Encryption,
    /// Whether old versions are kept.
    Versioning,
    /// What is deleted by itself.
    Lifecycle,
    /// A queue's attributes.
    Attributes,
    /// Who may take on a role.
    Trust,
    /// What a role may do: its policies by name.
    Permissions,
    /// Policies that are attached to a role and not of it.
    Attached,
    /// The roles of an instance profile.
    Roles,
    /// The tags that are ours; others may be there too.
    Tags,
    /// The part's own policy; last, because from then on it applies.
    Policy,
}

impl Setting {
    /// Whether it can be set; else somebody has to decide.
    pub fn can_be_set(self) -> bool {
        !matches!(
            self,
            Setting::Owner | Setting::KeyArn | Setting::KeyKind | Setting::KeyState
        )
    }

    /// Whether two values say the same.
    pub(super) fn is_same(self, one: &Value, other: &Value) -> bool {
        match self {
            Setting::Policy | Setting::Trust => canonical(one) == canonical(other),
            Setting::Permissions => {
                let each = |value: &Value| -> BTreeMap<String, Value> {
                    let map = value.as_object().cloned().unwrap_or_default();
                    map.iter()
                        .map(|(name, policy)| (name.clone(), canonical(policy)))
                        .collect()
                };
                each(one) == each(other)
            }
            _ => one == other,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Setting::Owner => "owner",
            Setting::KeyArn => "ARN",
            Setting::KeyKind => "kind",
            Setting::KeyState => "state",
            Setting::Alias => "alias",
            Setting::Rotation => "rotation",
            Setting::PublicAccess => "public access block",
            Setting::Ownership => "object ownership",
            Setting::Encryption => "default encryption",
            Setting::Versioning => "versioning",
            Setting::Lifecycle => "lifecycle",
            Setting::Attributes => "attributes",
            Setting::Trust => "trust policy",
            Setting::Permissions => "permissions",
            Setting::Attached => "attached policies",
            Setting::Roles => "roles",
            Setting::Tags => "tags",
            Setting::Policy => "policy",
        })
    }
}

/// A part's settings.
pub type Settings = BTreeMap<Setting, Value>;

/// The parts that there are, or should be, with their settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State(BTreeMap<Part, Settings>);

impl State {
    /// Adds a part, or replaces its settings.
    pub fn put(&mut self, part: Part, settings: Settings) {
        self.0.insert(part, settings);
    }

    /// A part's settings; `None` if it is not there.
    pub fn get(&self, part: Part) -> Option<&Settings> {
        self.0.get(&part)
    }

    /// All parts, in their order.
    pub fn parts(&self) -> impl Iterator<Item = (Part, &Settings)> {
        self.0.iter().map(|(part, settings)| (*part, settings))
    }
}
