//! An EBS snapshot's record. Its bytes are in [`crate::layers`].

use super::{PublicSharing, Settings, Tags, World};
use crate::layers::Blank;
use emulator_protocol::{Account, Region};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `snap-` and 17 hexadecimal digits.
    pub id: String,
    /// Who owns it.
    pub owner: Account,
    /// Where it is.
    pub region: Region,
    /// The volume that it was made of, or `vol-ffffffff`, as AWS says of one that had none.
    pub volume_id: String,
    /// GiB.
    pub volume_size: u32,
    /// At most 255 characters.
    pub description: String,
    /// Whether its blocks are encrypted.
    pub encrypted: bool,
    /// The KMS key's ARN, if it is encrypted.
    pub kms_key: Option<String>,
    /// The snapshot that this one's unwritten blocks come from (EBS direct API).
    pub parent: Option<String>,
    /// Layers, the newest first: a block is in the first one that has it.
    pub layers: Vec<String>,
    /// What a block reads as that no layer has.
    pub blank: Blank,
    /// Bytes of all blocks that its layers have: its full size. None are counted before it is
    /// complete.
    pub full_size: u64,
    /// When it was started.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// Where it stands.
    pub state: SnapshotState,
    /// Who else may make volumes of it.
    pub permissions: Permissions,
    /// Tags.
    pub tags: Tags,
    /// Minutes without a block after which an unfinished one fails (EBS direct API).
    pub timeout_minutes: Option<u32>,
    /// Makes `StartSnapshot` idempotent (EBS direct API): the token, and a digest of the request.
    pub client_token: Option<(String, String)>,
}

/// Where a snapshot stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// Blocks are being put (EBS direct API).
    Pending,
    /// It is complete from this time on, and `pending` in answers until then.
    Completed {
        /// When it is.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
    /// It fails at this time, and is `pending` in answers until then: a copy whose key can't be
    /// used. EC2 looks at a copy's key after it has answered.
    Failing {
        /// When it does.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Why, for `statusMessage`.
        message: String,
    },
    /// It failed.
    Error {
        /// Why, for `statusMessage`.
        message: String,
    },
}

impl SnapshotState {
    /// `pending`, `completed` or `error`, as answers say it at this time.
    pub fn name(&self, now: OffsetDateTime) -> &'static str {
        match self {
            Self::Completed { at } if now >= *at => "completed",
            Self::Failing { at, .. } if now >= *at => "error",
            Self::Pending | Self::Completed { .. } | Self::Failing { .. } => "pending",
            Self::Error { .. } => "error",
        }
    }

    /// Since when it is complete, if it is at this time.
    pub fn completed(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::Completed { at } if now >= *at => Some(*at),
            _ => None,
        }
    }

    /// Why it failed, if it has at this time.
    pub fn failure(&self, now: OffsetDateTime) -> Option<&str> {
        match self {
            Self::Error { message } => Some(message),
            Self::Failing { at, message } if now >= *at => Some(message),
            _ => None,
        }
    }
}

/// Who may use an image (launch permission) or a snapshot (create-volume permission), but for its
/// owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// The group `all`: everybody.
    pub public: bool,
    /// Accounts.
    pub accounts: BTreeSet<Account>,
    /// ARNs of organisations (images only).
    pub organizations: BTreeSet<String>,
    /// ARNs of organisational units (images only).
    pub organizational_units: BTreeSet<String>,
}

impl World {
    /// Whether this account owns a snapshot or may make volumes of it now: what is public is not,
    /// while its owner blocks all public sharing.
    pub fn may_use(&self, snapshot: &Snapshot, account: &Account) -> bool {
        snapshot.owner == *account
            || snapshot.permissions.accounts.contains(account)
            || self.is_public(snapshot)
    }

    /// Whether everybody may make volumes of a snapshot now.
    pub fn is_public(&self, snapshot: &Snapshot) -> bool {
        let blocked = || {
            self.settings
                .get(&Settings::id_of(&snapshot.owner, &snapshot.region))
                .is_some_and(|it| it.snapshot_sharing == PublicSharing::BlockAll)
        };
        snapshot.permissions.public && !blocked()
    }
}
