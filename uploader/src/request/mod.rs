//! A request: "make an AMI of this image", as a signed message.
//!
//! What is signed is the exact text of the request, so nothing depends on how JSON is spelled. A
//! request names image and AMI, and nothing that says where anything is: bucket, queue and account
//! are the agent's own, and a request for another account, region or vault is refused.

mod check;
mod envelope;
mod sign;

pub use check::{FormError, MAX_LIFE, MAX_SKEW, Refusal, Whereabouts, check_key_arn, check_tag};
pub use envelope::{Envelope, MAX_MESSAGE, OpenError, Opened};
pub use sign::{SendError, send, verify};

use crate::image::ImageDigest;
use crate::vault::Names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Version of the format.
pub const VERSION: u32 = 1;
/// How long a request is good for, unless told otherwise.
pub const DEFAULT_LIFE: Duration = Duration::hours(24);

/// "Make an AMI of this image."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Version of this format: 1.
    pub version: u32,
    /// What the request is known by: one AMI is made for it, however often it is sent.
    pub id: Uuid,
    /// The account that it is for.
    pub account: String,
    /// The region.
    pub region: String,
    /// The vault's name.
    pub vault: String,
    /// The image.
    pub image: ImageRef,
    /// What the AMI is to be like.
    #[serde(default)]
    pub ami: AmiSpec,
    /// When it was signed.
    #[serde(with = "time::serde::rfc3339")]
    pub issued: OffsetDateTime,
    /// From when on it is refused.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// An image in the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRef {
    /// Its name.
    pub name: String,
    /// Its content.
    pub digest: ImageDigest,
}

/// What a requester may say of the AMI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmiSpec {
    /// Its name; [`Request::ami_name`] says what it is called without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the requester calls the image's version: a tag of AMI and snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// More tags, for AMI and snapshot.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// ARN of the key that encrypts the snapshot, instead of the vault's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

impl Request {
    /// A request for the vault of `names`; `random` makes its id.
    pub fn new(
        names: &Names,
        image: ImageRef,
        ami: AmiSpec,
        now: OffsetDateTime,
        life: Duration,
        random: [u8; 16],
    ) -> Request {
        // Whole seconds: that is what the text has, too.
        let now = now.replace_nanosecond(0).unwrap_or(now);
        Request {
            version: VERSION,
            id: uuid::Builder::from_random_bytes(random).into_uuid(),
            account: names.account.clone(),
            region: names.region.clone(),
            vault: names.vault.clone(),
            image,
            ami,
            issued: now,
            expires: now + life,
        }
    }

    /// What the AMI is called. It follows from the request alone, and EC2 has no two of one owner
    /// with the same name: that is what makes a second AMI impossible.
    pub fn ami_name(&self) -> String {
        let given = self.ami.name.clone();
        given.unwrap_or_else(|| self.image.ami_name(&self.id))
    }
}

impl ImageRef {
    /// What an AMI of it is called that was asked for by this request, and given no name.
    pub fn ami_name(&self, request: &Uuid) -> String {
        let (digest, id) = (self.digest.to_string(), request.simple().to_string());
        format!("{}-{}-{}", self.name, &digest[..8], &id[..8])
    }
}
