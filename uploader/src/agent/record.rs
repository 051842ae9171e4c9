//! The journal: one object a request, `requests/ID.json`, that says how far it is and what became
//! of it. It is only ever written on condition that nobody wrote it meanwhile.

use crate::request::{ImageRef, Request};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// Version of the format.
pub const VERSION: u32 = 1;
/// Longest record that is read.
pub const MAX_RECORD: usize = 64 << 10;
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 1000;
/// Most leftovers that are named.
const MAX_LEFT: usize = 50;

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of this format: 1.
    pub version: u32,
    /// The request.
    pub id: Uuid,
    /// SHA-256 of its text, in hexadecimal digits: another request of the same id is refused.
    pub request_sha256: String,
    /// The image.
    pub image: ImageRef,
    /// What the AMI is, or was to be, called.
    pub ami_name: String,
    /// How far it is.
    pub phase: Phase,
    /// Which snapshot this is: 1 for the first. A snapshot that is lost is followed by another.
    pub attempt: u32,
    /// Whether a parent snapshot is looked for.
    pub incremental: bool,
    /// How this attempt's snapshot is started: written before it is, so that a successor sends the
    /// same call with the same token, and is given the same snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// The snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Those of earlier attempts, but for those that EC2 said it deleted: "there is none" may mean
    /// "not yet". An image is only ever registered from one that is recorded, so
    /// whoever has deleted all of these knows that there will be no image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// The AMI, once finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ami: Option<String>,
    /// Why it fails or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it waited for when it was last laid aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What a failure made and could not delete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// When an agent first had it.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When this was written.
    #[serde(with = "time::serde::rfc3339")]
    pub updated: OffsetDateTime,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// An AMI is being made.
    Working,
    /// It can't be made; what there is of it is being deleted.
    Failing,
    /// The AMI is there.
    Finished,
    /// There is no AMI, and there will be none.
    Failed,
}

/// How a snapshot is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The snapshot that it is based on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// ARN of the key; with a parent it is the parent's too.
    pub kms_key: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// A snapshot of an earlier version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// Its id.
    pub snapshot: String,
    /// What it holds: an image whose manifest is in the vault.
    pub image: ImageRef,
}

/// A record, and the version that the next write replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// S3's ETag of it.
    pub etag: String,
}

/// How many blocks are put: `requests/ID.progress.json`, written every few seconds by whoever puts
/// them. It is for people, and for a successor, who need not put again what is known to be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The snapshot.
    pub snapshot: String,
    /// Blocks that are put.
    pub put: u64,
    /// Blocks to put.
    pub total: u64,
    /// Blocks a second, since this agent began.
    pub rate: f64,
    /// That many of the plan's first blocks are acknowledged, all of them.
    pub acknowledged: u64,
    /// When this was written.
    #[serde(with = "time::serde::rfc3339")]
    pub updated: OffsetDateTime,
}

impl Record {
    /// That of a request that was just taken up.
    pub fn new(request: &Request, sha256: &[u8; 32], now: OffsetDateTime) -> Record {
        Record {
            version: VERSION,
            id: request.id,
            request_sha256: hex::encode(sha256),
            image: request.image.clone(),
            ami_name: request.ami_name(),
            phase: Phase::Working,
            attempt: 1,
            incremental: true,
            start: None,
            snapshot: None,
            earlier: Vec::new(),
            ami: None,
            reason: None,
            trouble: None,
            left: Vec::new(),
            created: now,
            updated: now,
        }
    }

    /// The same, on its way to failure.
    pub fn failing(self, reason: &str) -> Record {
        Record {
            phase: Phase::Failing,
            reason: Some(cut(reason)),
            trouble: None,
            ..self
        }
    }

    /// The same, failed.
    pub fn failed(self, left: &[String]) -> Record {
        Record {
            phase: Phase::Failed,
            left: left.iter().take(MAX_LEFT).map(|it| cut(it)).collect(),
            ..self
        }
    }

    /// The same, with its AMI.
    pub fn finished(mut self, ami: String, snapshot: String) -> Record {
        if let Some(other) = self.snapshot.take().filter(|it| *it != snapshot) {
            self.earlier.push(other);
        }
        Record {
            phase: Phase::Finished,
            ami: Some(ami),
            snapshot: Some(snapshot),
            reason: None,
            trouble: None,
            ..self
        }
    }

    /// The same, for another snapshot; `is_deleted` says whether the one before is gone for sure.
    pub fn next_attempt(mut self, incremental: bool, is_deleted: bool) -> Record {
        self.earlier
            .extend(self.snapshot.take().filter(|_| !is_deleted));
        Record {
            attempt: self.attempt.saturating_add(1),
            incremental,
            start: None,
            snapshot: None,
            ..self
        }
    }

    /// The same, laid aside for a while.
    pub fn troubled(self, why: &str) -> Record {
        Record {
            trouble: Some(cut(why)),
            ..self
        }
    }

    /// Whether nothing more is to come.
    pub fn is_final(&self) -> bool {
        matches!(self.phase, Phase::Finished | Phase::Failed)
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is too long, not in form, or another request's.
    pub fn parse(text: &[u8], id: &Uuid) -> Result<Record, String> {
        if text.len() > MAX_RECORD {
            return Err(format!("it is longer than {MAX_RECORD} bytes"));
        }
        let record: Record = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if record.version != VERSION {
            return Err(format!("version {} is not known", record.version));
        }
        if record.id != *id {
            return Err(format!("it is the record of {}", record.id));
        }
        Ok(record)
    }
}

/// The first characters of a text that may be long.
fn cut(text: &str) -> String {
    text.chars().take(MAX_REASON).collect()
}
