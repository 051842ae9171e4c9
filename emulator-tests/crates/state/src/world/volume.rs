//! A volume's record. Its bytes are in [`crate::layers`].

use super::Tags;
use crate::layers::Blank;
use emulator_protocol::{Account, Region};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// `vol-` and 17 hexadecimal digits.
    pub id: String,
    /// Who owns it.
    pub owner: Account,
    /// Where it is.
    pub region: Region,
    /// `us-east-1a`.
    pub zone: String,
    /// GiB.
    pub size: u32,
    /// `gp3`.
    pub kind: String,
    /// Input/output operations a second.
    pub iops: Option<u32>,
    /// MiB a second (gp3).
    pub throughput: Option<u32>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The KMS key's ARN, if it is encrypted.
    pub kms_key: Option<String>,
    /// What it was made of.
    pub snapshot: Option<String>,
    /// Layers, the newest first: a block is in the first one that has it.
    pub layers: Vec<String>,
    /// The first of its layers, while a machine writes to it: nothing is made of that one.
    #[serde(default)]
    pub live: Option<String>,
    /// What a block reads as that no layer has.
    pub blank: Blank,
    /// Bytes of all blocks that its layers have.
    pub full_size: u64,
    /// When it was made; `creating` in answers until [`Volume::available`].
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When it can be used.
    #[serde(with = "time::serde::rfc3339")]
    pub available: OffsetDateTime,
    /// Where it is attached.
    pub attachment: Option<Attachment>,
    /// Its last change by `ModifyVolume`.
    pub modification: Option<Modification>,
    /// `autoEnableIO`: whether it would go on after an inconsistency.
    pub auto_enable_io: bool,
    /// Tags.
    pub tags: Tags,
    /// Makes `CreateVolume` idempotent: the token, and a digest of the request.
    pub client_token: Option<(String, String)>,
}

impl Volume {
    /// The layers that no machine writes to now: what a snapshot takes.
    pub fn settled_layers(&self) -> &[String] {
        match (&self.live, self.layers.split_first()) {
            (Some(live), Some((first, rest))) if live == first => rest,
            _ => &self.layers,
        }
    }

    /// `creating`, `available` or `in-use`, as answers say it at this time.
    pub fn state(&self, now: OffsetDateTime) -> &'static str {
        if self.attachment.is_some() {
            "in-use"
        } else if now < self.available {
            "creating"
        } else {
            "available"
        }
    }
}

/// A change of what a volume is; the volume is the change's target already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modification {
    /// What it was.
    pub original: Performance,
    /// When it was asked for.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// From when on it is `completed` in answers.
    #[serde(with = "time::serde::rfc3339")]
    pub completed: OffsetDateTime,
}

/// A volume's size, type and performance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Performance {
    /// GiB.
    pub size: u32,
    /// `gp3`.
    pub kind: String,
    /// Input/output operations a second.
    pub iops: Option<u32>,
    /// MiB a second (gp3).
    pub throughput: Option<u32>,
}

/// A volume's place in an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The instance.
    pub instance: String,
    /// `/dev/xvda`.
    pub device: String,
    /// When it was attached.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Whether it goes when the instance does.
    pub delete_on_termination: bool,
}
