//! Why a push failed.

use crate::Class;
use crate::aws::{AwsError, Kind};
use crate::vault::images::{MAX_MANIFEST, StoreError};
use imgtool::pack::PackError;
use imgtool::tree::ContentError;
use std::io;
use std::path::PathBuf;

/// The image on this side is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Its pack or manifest.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The pack and the manifest do not belong together.
    #[error("{pack} is not the pack of {manifest}: {why}")]
    Mismatch {
        /// The pack.
        pack: PathBuf,
        /// The manifest.
        manifest: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A disk can't be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A file can't be read.
    #[error("{path}: can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file is no disk.
    #[error("{path}: not a disk image: {why}")]
    NotADisk {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A block is another than when it was first read.
    #[error("the image changed at block {index} while it was pushed")]
    Changed {
        /// The block.
        index: u64,
    },
    /// A thread that reads ended early.
    #[error("a reader of the image failed: {0}")]
    Reader(String),
    /// Asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Why a push failed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The vault's manifests.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// S3.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// An object of this name holds something else.
    #[error("s3://{bucket}/{key} is there, and is not what was to be stored: {why}")]
    Occupied {
        /// The bucket.
        bucket: String,
        /// The object.
        key: String,
        /// What differs.
        why: String,
    },
    /// A pack that the vault should have.
    #[error("s3://{bucket} has the image {image}, but not its pack {pack}")]
    NoPack {
        /// The bucket.
        bucket: String,
        /// The image.
        image: String,
        /// The key of its manifest.
        manifest: String,
        /// The pack's digest.
        pack: String,
    },
    /// A pack that the vault had when the push began.
    #[error("s3://{bucket}/{key} was deleted while the image was pushed")]
    PackGone {
        /// The bucket.
        bucket: String,
        /// The pack.
        key: String,
    },
    /// The manifest is longer than any reader takes.
    #[error("the manifest has {len} bytes: at most {MAX_MANIFEST} are stored")]
    ManifestTooLong {
        /// Its length.
        len: usize,
    },
    /// Too many requests failed.
    #[error("too many requests failed; the last one")]
    Budget(#[source] AwsError),
    /// Uploads end again and again before they are complete.
    #[error("s3://{bucket}/{key}: the upload was ended by somebody else, again and again")]
    Restless {
        /// The bucket.
        bucket: String,
        /// The object.
        key: String,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl ImageError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            ImageError::Pack(PackError::Compress(_))
            | ImageError::Reader(_)
            | ImageError::Interrupted => Class::Failed,
            _ => Class::Input,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ImageError::Pack(error) => error.hint(),
            ImageError::Mismatch { .. } => {
                Some("build it again, or name its own manifest with --manifest".to_owned())
            }
            ImageError::Changed { .. } => Some("push again once nothing writes to it".to_owned()),
            _ => None,
        }
    }
}

impl PushError {
    /// Whether it is Ctrl-C.
    pub fn is_interrupt(&self) -> bool {
        matches!(
            self,
            PushError::Interrupted | PushError::Image(ImageError::Interrupted)
        )
    }

    /// Whether the image is at fault: then it is as bad for any other vault.
    pub fn is_of_image(&self) -> bool {
        let is_its = matches!(
            self,
            PushError::Image(_) | PushError::ManifestTooLong { .. }
        );
        is_its && self.class() == Class::Input
    }

    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            PushError::Image(error) => error.class(),
            PushError::Store(error) => error.class(),
            PushError::Aws(error) | PushError::Budget(error) => error.class(),
            PushError::ManifestTooLong { .. } => Class::Input,
            PushError::Occupied { .. }
            | PushError::NoPack { .. }
            | PushError::PackGone { .. }
            | PushError::Restless { .. }
            | PushError::Interrupted => Class::Failed,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            PushError::Image(error) => error.hint(),
            PushError::Aws(error) | PushError::Store(StoreError::Aws(error))
                if error.code == "NoSuchBucket" =>
            {
                Some("uploader vault init makes the vault".to_owned())
            }
            PushError::Aws(error) | PushError::Store(StoreError::Aws(error))
                if error.kind == Kind::Denied =>
            {
                Some(format!(
                    "{}; or the bucket is another account's",
                    error.hint().unwrap_or_default()
                ))
            }
            PushError::Store(error) => error.hint(),
            // A session may well end in the middle of a long push.
            PushError::Aws(error) if error.kind == Kind::Credentials => {
                let hint = error.hint().unwrap_or_default();
                Some(format!("{hint}; {RESUMES}"))
            }
            PushError::Aws(error) if error.is_transient() => Some(RESUMES.to_owned()),
            PushError::Aws(error) => error.hint(),
            PushError::Budget(_) => Some(RESUMES.to_owned()),
            PushError::Occupied { .. } => {
                Some("somebody else wrote it: remove it, and push again".to_owned())
            }
            PushError::NoPack {
                bucket, manifest, ..
            } => Some(format!(
                "aws s3 rm s3://{bucket}/{manifest} takes the image out of the vault; then push it \
                 again"
            )),
            PushError::PackGone { .. } => Some("push it again".to_owned()),
            _ => None,
        }
    }
}

/// After a failure that is nobody's fault.
const RESUMES: &str = "what was sent is kept: the same command goes on from there";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_at_fault_for_what_it_is_and_for_nothing_else() {
        let changed = || PushError::Image(ImageError::Changed { index: 1 });
        let denied = PushError::Aws(AwsError {
            operation: "s3 PutObject",
            kind: Kind::Denied,
            code: "AccessDenied".into(),
            message: "no".into(),
        });
        let no_image = PushError::Store(StoreError::NoImage {
            bucket: "image-vault".into(),
            image: "web".into(),
        });
        for (error, is_of_image, is_interrupt) in [
            (changed(), true, false),
            (PushError::ManifestTooLong { len: 1 << 30 }, true, false),
            (
                ImageError::Reader("it panicked".into()).into(),
                false,
                false,
            ),
            (ImageError::Interrupted.into(), false, true),
            (PushError::Interrupted, false, true),
            (denied, false, false),
            // Wrong input, but another vault may have it.
            (no_image, false, false),
        ] {
            let found = (error.is_of_image(), error.is_interrupt());
            assert_eq!(found, (is_of_image, is_interrupt), "{error}");
        }
    }
}
