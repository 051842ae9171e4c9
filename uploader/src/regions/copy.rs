//! Copies an AMI from another region, once: a copy that is there, or under way, is taken.

use crate::Class;
use crate::agent::tags;
use crate::aws::{AwsError, Session};
use crate::vault::Names;
use aws_sdk_ec2::types::{Filter, Image, ImageState};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often a copy is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The region it is in.
    pub region: String,
    /// The AMI.
    pub ami: String,
    /// Its name, which the copy gets, too.
    pub name: String,
    /// The request that it was made for: its tag tells a copy of it.
    pub request: Uuid,
}

/// A copy that is available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The AMI.
    pub ami: String,
    /// Its root's snapshot.
    pub snapshot: String,
}

/// No copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// EC2 gave up.
    #[error("the copy {ami} of {source_ami} failed: {why}")]
    Failed {
        /// The copy.
        ami: String,
        /// What it is of.
        source_ami: String,
        /// What EC2 says.
        why: String,
    },
    /// It is not available yet.
    #[error("the copy {ami} is not available after {seconds} s")]
    Late {
        /// The copy.
        ami: String,
        /// So long it was waited for.
        seconds: u64,
    },
    /// Ctrl-C.
    #[error("interrupted; the copy {ami} goes on")]
    Cancelled {
        /// The copy.
        ami: String,
    },
    /// AWS refuses.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl CopyError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            CopyError::Aws(error) => error.class(),
            _ => Class::Failed,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            CopyError::Aws(error) => error.hint(),
            _ => None,
        }
    }
}

/// Whether the account has a vault of this name in the region.
///
/// # Errors
/// S3 refuses.
pub async fn has_vault(session: &Session, names: &Names) -> Result<bool, AwsError> {
    let answer = session
        .s3
        .head_bucket()
        .bucket(names.bucket())
        .expected_bucket_owner(&names.account)
        .send()
        .await
        .map_err(|error| AwsError::new("s3 HeadBucket", error));
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.kind == crate::aws::Kind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Copies `source` into the session's region, encrypted with `key`, or the account's default for
/// volumes there, and waits until the copy is available.
///
/// # Errors
/// It fails, or is not available within `patience`; AWS refuses; `cancel`.
pub async fn copy(
    session: &Session,
    source: &Source,
    key: Option<&str>,
    patience: Duration,
    clock: &crate::agent::Clock,
    cancel: &CancellationToken,
) -> Result<Copied, CopyError> {
    let ami = match find(session, source).await? {
        Some(there) => there,
        None => start(session, source, key).await?,
    };
    let began: OffsetDateTime = clock();
    loop {
        let image = look(session, &ami).await?;
        match image.as_ref().and_then(Image::state) {
            Some(ImageState::Available) => {
                let devices = image.as_ref().map(Image::block_device_mappings);
                let snapshot = devices
                    .unwrap_or_default()
                    .iter()
                    .find_map(|it| it.ebs()?.snapshot_id());
                let snapshot = snapshot.unwrap_or_default().to_owned();
                return Ok(Copied { ami, snapshot });
            }
            Some(ImageState::Failed | ImageState::Error | ImageState::Invalid) => {
                let reason = image.as_ref().and_then(Image::state_reason);
                let why = reason
                    .and_then(|it| it.message())
                    .unwrap_or("no reason given");
                return Err(CopyError::Failed {
                    why: why.to_owned(),
                    source_ami: source.ami.clone(),
                    ami,
                });
            }
            _ => {}
        }
        let waited = (clock() - began).unsigned_abs();
        if waited >= patience {
            let seconds = waited.as_secs();
            return Err(CopyError::Late { ami, seconds });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = cancel.cancelled() => return Err(CopyError::Cancelled { ami }),
        }
    }
}

/// A copy of this request's AMI that is there, or on its way.
async fn find(session: &Session, source: &Source) -> Result<Option<String>, AwsError> {
    let request = Filter::builder()
        .name(format!("tag:{}", tags::REQUEST))
        .values(source.request.to_string())
        .build();
    let answer = session
        .ec2
        .describe_images()
        .owners("self")
        .filters(request)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeImages", error))?;
    let usable = |it: &&Image| {
        matches!(
            it.state(),
            Some(ImageState::Available | ImageState::Pending)
        )
    };
    let mut images = answer.images().iter().filter(usable);
    Ok(images.find_map(|it| it.image_id().map(str::to_owned)))
}

async fn start(session: &Session, source: &Source, key: Option<&str>) -> Result<String, CopyError> {
    const OPERATION: &str = "ec2 CopyImage";
    let answer = session
        .ec2
        .copy_image()
        .source_region(&source.region)
        .source_image_id(&source.ami)
        .name(&source.name)
        .description(format!("copy of {} in {}", source.ami, source.region))
        .encrypted(true)
        .set_kms_key_id(key.map(str::to_owned))
        .copy_image_tags(true)
        .client_token(source.request.to_string())
        .send()
        .await
        .map_err(|error| AwsError::new(OPERATION, error))?;
    answer.image_id.ok_or_else(|| {
        CopyError::Aws(AwsError {
            operation: OPERATION,
            kind: crate::aws::Kind::Unavailable,
            code: String::new(),
            message: "the answer names no image".to_owned(),
        })
    })
}

async fn look(session: &Session, ami: &str) -> Result<Option<Image>, AwsError> {
    let answer = session
        .ec2
        .describe_images()
        .image_ids(ami)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeImages", error));
    match answer {
        Ok(answer) => Ok(answer.images.unwrap_or_default().into_iter().next()),
        // EC2 may not know it yet.
        Err(error) if error.kind == crate::aws::Kind::NotFound => Ok(None),
        Err(error) if error.is_transient() => Ok(None),
        Err(error) => Err(error),
    }
}
