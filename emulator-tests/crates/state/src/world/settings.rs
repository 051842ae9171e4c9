//! What an account has set for a region.

use emulator_protocol::{Account, Region};
use serde::{Deserialize, Serialize};

/// Settings of one account in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whose.
    pub account: Account,
    /// Where.
    pub region: Region,
    /// `EnableEbsEncryptionByDefault` was called.
    pub encrypt_by_default: bool,
    /// The key that `ModifyEbsDefaultKmsKeyId` set; `alias/aws/ebs` without.
    pub default_key: Option<String>,
    /// What `EnableSnapshotBlockPublicAccess` said.
    pub snapshot_sharing: PublicSharing,
    /// What `EnableImageBlockPublicAccess` said.
    pub image_sharing: PublicSharing,
}

/// What an account lets its users share with everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicSharing {
    /// Anything.
    #[default]
    Unblocked,
    /// What is shared already, but nothing new.
    BlockNew,
    /// Nothing: what is shared already is hidden as well (snapshots only).
    BlockAll,
}

impl PublicSharing {
    /// As requests and answers say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unblocked => "unblocked",
            Self::BlockNew => "block-new-sharing",
            Self::BlockAll => "block-all-sharing",
        }
    }
}

impl Settings {
    /// What an account starts with.
    pub fn new(account: Account, region: Region) -> Self {
        Self {
            account,
            region,
            encrypt_by_default: false,
            default_key: None,
            snapshot_sharing: PublicSharing::default(),
            image_sharing: PublicSharing::default(),
        }
    }

    /// Where the settings are found.
    pub fn id(&self) -> String {
        Self::id_of(&self.account, &self.region)
    }

    /// Where the settings of this account in this region are found.
    pub fn id_of(account: &Account, region: &Region) -> String {
        format!("{account}/{region}")
    }
}
