//! Copies an AMI from another region, once: a copy that is there, or under way, is taken.

use crate::Class;
use crate::agent::{Clock, tags};
use crate::aws::{AwsError, Kind, Session, ec2};
use aws_sdk_ec2::types::{Image, ImageState};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often a copy is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long EC2 may not show a copy whose name it says is taken.
const UNSEEN: Duration = Duration::from_secs(60);
/// The code for that.
const NAME_TAKEN: &str = "InvalidAMIName.Duplicate";

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

/// What a copy is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Encrypted with this key, or the account's default for volumes.
    pub key: Option<String>,
    /// Its description; where it comes from if there is none.
    pub description: Option<String>,
    /// So long it may take.
    pub patience: Duration,
    /// What nobody else calls with: EC2 takes calls with the same token for one.
    pub token: Uuid,
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
    #[error("the copy {ami} of {source_ami} failed: {why}{}", behind(.left))]
    Failed {
        /// The copy.
        ami: String,
        /// What it is of.
        source_ami: String,
        /// What EC2 says.
        why: String,
        /// What there is still of it.
        left: Vec<String>,
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

fn behind(left: &[String]) -> String {
    match left {
        [] => String::new(),
        left => format!("; left behind: {}", left.join(", ")),
    }
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
            CopyError::Late { .. } | CopyError::Cancelled { .. } => {
                Some("the same command takes it once it is available".to_owned())
            }
            CopyError::Failed { .. } => None,
        }
    }
}

/// Copies `source` into the session's region and waits until the copy is available. One that fails
/// is taken away.
///
/// # Errors
/// It fails, or is not available in time; AWS refuses; `cancel`.
pub async fn copy(
    session: &Session,
    source: &Source,
    wish: &Wish,
    clock: &Clock,
    cancel: &CancellationToken,
) -> Result<Copied, CopyError> {
    let ami = match find(session, source).await? {
        Some(there) => there,
        None => start(session, source, wish, clock, cancel).await?,
    };
    let began: OffsetDateTime = clock();
    loop {
        let image = match ec2::image(session, &ami).await {
            Err(error) if error.is_transient() => None,
            image => image?,
        };
        match (&image, image.as_ref().and_then(Image::state)) {
            (Some(image), Some(ImageState::Available)) => {
                let snapshot = ec2::root_snapshot(image).unwrap_or_default().to_owned();
                return Ok(Copied { ami, snapshot });
            }
            (Some(image), Some(ImageState::Failed | ImageState::Error | ImageState::Invalid)) => {
                let why = image.state_reason().and_then(|it| it.message());
                return Err(CopyError::Failed {
                    why: why.unwrap_or("no reason given").to_owned(),
                    source_ami: source.ami.clone(),
                    left: take_away(session, image).await,
                    ami,
                });
            }
            _ => {}
        }
        let waited = (clock() - began).unsigned_abs();
        if waited >= wish.patience {
            let seconds = waited.as_secs();
            return Err(CopyError::Late { ami, seconds });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = cancel.cancelled() => return Err(CopyError::Cancelled { ami }),
        }
    }
}

/// A copy of this AMI that is there, or on its way.
async fn find(session: &Session, source: &Source) -> Result<Option<String>, AwsError> {
    let request = source.request.to_string();
    let filters = vec![ec2::tag_filter(tags::REQUEST, &request)];
    let images = ec2::own_images(session, filters).await?;
    let usable = |it: &&Image| {
        it.name() == Some(&source.name)
            && matches!(
                it.state(),
                Some(ImageState::Available | ImageState::Pending)
            )
    };
    let mut images = images.iter().filter(usable);
    Ok(images.find_map(|it| it.image_id().map(str::to_owned)))
}

/// Starts a copy. If one of its name is there, it is ours: EC2 may take a while to show it.
async fn start(
    session: &Session,
    source: &Source,
    wish: &Wish,
    clock: &Clock,
    cancel: &CancellationToken,
) -> Result<String, CopyError> {
    let began: OffsetDateTime = clock();
    loop {
        let error = match call(session, source, wish).await {
            Err(error) if error.code == NAME_TAKEN => error,
            started => return Ok(started?),
        };
        if let Some(there) = find(session, source).await? {
            return Ok(there);
        }
        if (clock() - began).unsigned_abs() >= UNSEEN || cancel.is_cancelled() {
            return Err(error.into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn call(session: &Session, source: &Source, wish: &Wish) -> Result<String, AwsError> {
    const OPERATION: &str = "ec2 CopyImage";
    let from = || format!("copy of {} in {}", source.ami, source.region);
    let answer = session
        .ec2
        .copy_image()
        .source_region(&source.region)
        .source_image_id(&source.ami)
        .name(&source.name)
        .description(wish.description.clone().unwrap_or_else(from))
        .encrypted(true)
        .set_kms_key_id(wish.key.clone())
        .copy_image_tags(true)
        .client_token(wish.token.to_string())
        .send()
        .await
        .map_err(|error| AwsError::new(OPERATION, error))?;
    answer.image_id.ok_or_else(|| AwsError {
        operation: OPERATION,
        kind: Kind::Unavailable,
        code: String::new(),
        message: "the answer names no image".to_owned(),
    })
}

/// Takes a copy away that failed, which keeps its name from the next one; says what is left of it.
async fn take_away(session: &Session, image: &Image) -> Vec<String> {
    let Some(ami) = image.image_id() else {
        return Vec::new();
    };
    let gone = session.ec2.deregister_image().image_id(ami).send().await;
    if let Err(error) = gone.map_err(|error| AwsError::new("ec2 DeregisterImage", error)) {
        return vec![format!("{ami} ({error})")];
    }
    let mut left = Vec::new();
    let snapshots = image.block_device_mappings().iter();
    for snapshot in snapshots.filter_map(|it| it.ebs()?.snapshot_id()) {
        let call = session.ec2.delete_snapshot().snapshot_id(snapshot);
        let gone = call.send().await;
        match gone.map_err(|error| AwsError::new("ec2 DeleteSnapshot", error)) {
            Err(error) if error.kind != Kind::NotFound => {
                left.push(format!("{snapshot} ({error})"))
            }
            _ => {}
        }
    }
    left
}
