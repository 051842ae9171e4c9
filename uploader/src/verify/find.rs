//! From an AMI to its snapshot and to the image that it should be.

use super::VerifyError;
use crate::aws::{AwsError, Session};
use crate::image::ImageDigest;
use aws_sdk_ec2::types::Tag;

/// The tags that say which image something is made of.
const NAME_TAG: &str = "image-vault:image";
const DIGEST_TAG: &str = "image-vault:digest";

/// What is to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What was asked for: an AMI or a snapshot.
    pub id: String,
    /// The snapshot of its root device.
    pub snapshot: String,
    /// What its tags say it is.
    pub image: Option<(String, ImageDigest)>,
}

/// Looks an AMI or a snapshot up.
///
/// # Errors
/// It is not there or has no snapshot, its tags are none of ours, or AWS refuses.
pub async fn find(session: &Session, id: &str) -> Result<Subject, VerifyError> {
    let is_id = |prefix: &str| {
        let digits = id.strip_prefix(prefix);
        digits.is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric()))
    };
    let (snapshot, tags) = if is_id("ami-") {
        of_image(session, id).await?
    } else if is_id("snap-") {
        (id.to_owned(), of_snapshot(session, id).await?)
    } else {
        return Err(VerifyError::NotAnId(id.to_owned()));
    };
    Ok(Subject {
        id: id.to_owned(),
        snapshot,
        image: image_of(id, &tags)?,
    })
}

/// The snapshot of an AMI's root device, and the AMI's tags.
async fn of_image(session: &Session, id: &str) -> Result<(String, Vec<Tag>), VerifyError> {
    let answer = session
        .ec2
        .describe_images()
        .image_ids(id)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeImages", error));
    let image = found(answer, id)?.images.unwrap_or_default().pop();
    let image = image.ok_or_else(|| VerifyError::NotFound(id.to_owned()))?;
    let root = image.root_device_name();
    let snapshot = image
        .block_device_mappings()
        .iter()
        .find(|it| root.is_some() && it.device_name() == root)
        .and_then(|it| it.ebs()?.snapshot_id())
        .ok_or_else(|| VerifyError::NoRoot(id.to_owned()))?
        .to_owned();
    Ok((snapshot, image.tags.unwrap_or_default()))
}

/// A snapshot's tags.
async fn of_snapshot(session: &Session, id: &str) -> Result<Vec<Tag>, VerifyError> {
    let answer = session
        .ec2
        .describe_snapshots()
        .snapshot_ids(id)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeSnapshots", error));
    let snapshot = found(answer, id)?.snapshots.unwrap_or_default().pop();
    let snapshot = snapshot.ok_or_else(|| VerifyError::NotFound(id.to_owned()))?;
    Ok(snapshot.tags.unwrap_or_default())
}

fn found<T>(answer: Result<T, AwsError>, id: &str) -> Result<T, VerifyError> {
    answer.map_err(|error| match error.is_no_such_id() {
        true => VerifyError::NotFound(id.to_owned()),
        false => error.into(),
    })
}

/// What tags say. Names become a part of a key, so only what can be a name is one.
fn image_of(id: &str, tags: &[Tag]) -> Result<Option<(String, ImageDigest)>, VerifyError> {
    let value = |key: &str| tags.iter().find(|it| it.key() == Some(key))?.value();
    let (Some(name), Some(digest)) = (value(NAME_TAG), value(DIGEST_TAG)) else {
        return Ok(None);
    };
    let bad = |tag, value: &str| VerifyError::Tag {
        id: id.to_owned(),
        tag,
        value: value.to_owned(),
    };
    if name.is_empty() || name.contains('/') {
        return Err(bad(NAME_TAG, name));
    }
    let digest = digest.parse().map_err(|_| bad(DIGEST_TAG, digest))?;
    Ok(Some((name.to_owned(), digest)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tags(all: &[(&str, &str)]) -> Vec<Tag> {
        let tag = |(key, value): &(&str, &str)| Tag::builder().key(*key).value(*value).build();
        all.iter().map(tag).collect()
    }

    #[test]
    fn tags_say_which_image() {
        let digest = "a".repeat(64);
        let both = tags(&[(NAME_TAG, "web"), (DIGEST_TAG, &digest), ("other", "tag")]);
        let (name, found) = image_of("ami-1", &both).unwrap().unwrap();
        assert_eq!((name.as_str(), found.to_string()), ("web", digest.clone()));
        for some in [
            tags(&[]),
            tags(&[(NAME_TAG, "web")]),
            tags(&[(DIGEST_TAG, &digest)]),
        ] {
            assert_eq!(image_of("ami-1", &some).unwrap(), None);
        }
        for (name, digest, wrong) in [
            ("../requests", digest.as_str(), NAME_TAG),
            ("", &digest, NAME_TAG),
            ("web", "../../x", DIGEST_TAG),
        ] {
            let error = image_of("ami-1", &tags(&[(NAME_TAG, name), (DIGEST_TAG, digest)]));
            let said = error.unwrap_err().to_string();
            assert!(said.contains(wrong), "{said}");
        }
    }
}
