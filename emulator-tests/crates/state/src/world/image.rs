//! An image's record: every field that `RegisterImage` takes is kept.

use super::{Permissions, Tags};
use emulator_protocol::{Account, Region};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An Amazon Machine Image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `ami-` and 17 hexadecimal digits.
    pub id: String,
    /// Who owns it.
    pub owner: Account,
    /// Where it is.
    pub region: Region,
    /// Unique for an owner in a region.
    pub name: String,
    /// At most 255 characters.
    pub description: Option<String>,
    /// `x86_64`, `arm64`, …
    pub architecture: String,
    /// `hvm` or `paravirtual`.
    pub virtualization: String,
    /// `/dev/xvda`.
    pub root_device: String,
    /// In the order in which they were given.
    pub devices: Vec<BlockDevice>,
    /// Enhanced networking by the Elastic Network Adapter.
    pub ena: Option<bool>,
    /// `simple`: enhanced networking by the Intel 82599 virtual function.
    pub sriov: Option<String>,
    /// `legacy-bios`, `uefi` or `uefi-preferred`.
    pub boot_mode: Option<String>,
    /// `v2.0`.
    pub tpm: Option<String>,
    /// `v2.0`: instances demand IMDSv2 by default.
    pub imds: Option<String>,
    /// Non-volatile UEFI variables, base64.
    pub uefi_data: Option<String>,
    /// Kernel of a paravirtual image.
    pub kernel: Option<String>,
    /// RAM disk of a paravirtual image.
    pub ramdisk: Option<String>,
    /// Billing products.
    pub billing_products: Vec<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Where it stands.
    pub state: ImageState,
    /// When `EnableImageDeprecation` said that it is deprecated; see [`Image::deprecation`].
    #[serde(with = "time::serde::rfc3339::option")]
    pub deprecated: Option<OffsetDateTime>,
    /// Whether `DeregisterImage` is refused.
    pub deregistration_protection: Protection,
    /// Who else may launch it.
    pub permissions: Permissions,
    /// The image that this is a copy of, and its region.
    pub source_image: Option<(String, Region)>,
    /// The instance that this was made of.
    pub source_instance: Option<String>,
    /// Tags.
    pub tags: Tags,
    /// Makes `CopyImage` idempotent: the token, and a digest of the request.
    pub client_token: Option<(String, String)>,
}

/// Deregistration protection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Off.
    #[default]
    Disabled,
    /// It was switched off while it had a cooldown, and holds until this time.
    Cooldown {
        /// 24 hours after it was switched off.
        #[serde(with = "time::serde::rfc3339")]
        until: OffsetDateTime,
    },
    /// On.
    Enabled {
        /// Whether it holds for 24 hours after it is switched off.
        cooldown: bool,
    },
}

impl Protection {
    /// As answers say it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disabled | Self::Cooldown { .. } => "disabled",
            Self::Enabled { cooldown: true } => "enabled-with-cooldown",
            Self::Enabled { cooldown: false } => "enabled-without-cooldown",
        }
    }

    /// Whether `DeregisterImage` is refused at this time.
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        match self {
            Self::Disabled => false,
            Self::Cooldown { until } => now < *until,
            Self::Enabled { .. } => true,
        }
    }
}

/// Where an image stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// It can be launched from this time on, and is `pending` until then.
    Available {
        /// When it is.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
    /// Making it fails at this time: it is `pending` until then.
    Failed {
        /// When it does.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Why, for `stateReason`.
        message: String,
    },
    /// `DisableImage` was called.
    Disabled,
}

impl ImageState {
    /// `pending`, `available`, `failed` or `disabled`, as answers say it at this time.
    pub fn name(&self, now: OffsetDateTime) -> &'static str {
        match self {
            Self::Available { at } if now >= *at => "available",
            Self::Failed { at, .. } if now >= *at => "failed",
            Self::Available { .. } | Self::Failed { .. } => "pending",
            Self::Disabled => "disabled",
        }
    }
}

impl Image {
    /// Whether this account owns it or may launch it. Organisations have no members here.
    pub fn usable_by(&self, account: &Account) -> bool {
        self.owner == *account
            || self.permissions.public
            || self.permissions.accounts.contains(account)
    }

    /// When it is deprecated: as was asked, but a public image at the latest two years after it
    /// was made, asked or not.
    pub fn deprecation(&self) -> Option<OffsetDateTime> {
        if !self.permissions.public {
            return self.deprecated;
        }
        let latest = years_after(self.created, 2);
        Some(self.deprecated.map_or(latest, |asked| asked.min(latest)))
    }

    /// The snapshots that it is made of, each once.
    pub fn snapshots(&self) -> impl Iterator<Item = &str> {
        let all = || {
            self.devices
                .iter()
                .filter_map(|device| device.ebs.as_ref()?.snapshot.as_deref())
        };
        all()
            .enumerate()
            .filter(move |(at, id)| !all().take(*at).any(|earlier| earlier == *id))
            .map(|(_, id)| id)
    }
}

/// The same moment some years later; of 29 February, the last of the month.
pub fn years_after(time: OffsetDateTime, years: i32) -> OffsetDateTime {
    let year = time.year() + years;
    time.replace_year(year)
        .or_else(|_| time.replace_day(28)?.replace_year(year))
        .unwrap_or(time)
}

/// A block device mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDevice {
    /// `/dev/xvda`.
    pub name: String,
    /// `ephemeral0`: an instance store volume.
    pub virtual_name: Option<String>,
    /// A volume.
    pub ebs: Option<EbsDevice>,
    /// Leaves out what would be at this name otherwise.
    pub no_device: bool,
}

/// The volume of a block device mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EbsDevice {
    /// What it starts from.
    pub snapshot: Option<String>,
    /// GiB.
    pub size: u32,
    /// `gp3`.
    pub kind: String,
    /// Input/output operations a second.
    pub iops: Option<u32>,
    /// MiB a second (gp3).
    pub throughput: Option<u32>,
    /// Whether it goes when the instance does.
    pub delete_on_termination: bool,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The KMS key's ARN, where it is said.
    pub kms_key: Option<String>,
}
