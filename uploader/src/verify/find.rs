//! From an AMI to its snapshot and to the image that it should be.

use super::VerifyError;
use crate::aws::{Session, ec2};
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
    let image = ec2::image(session, id).await?;
    let image = image.ok_or_else(|| VerifyError::NotFound(id.to_owned()))?;
    let snapshot = ec2::root_snapshot(&image).ok_or_else(|| VerifyError::NoRoot(id.to_owned()))?;
    Ok((snapshot.to_owned(), image.tags.unwrap_or_default()))
}

/// A snapshot's tags.
async fn of_snapshot(session: &Session, id: &str) -> Result<Vec<Tag>, VerifyError> {
    let snapshot = ec2::snapshot(session, id).await?;
    let snapshot = snapshot.ok_or_else(|| VerifyError::NotFound(id.to_owned()))?;
    Ok(snapshot.tags.unwrap_or_default())
}

/// What tags say. Names become a part of a key, so only what can be a name is one.
fn image_of(id: &str, tags: &[Tag]) -> Result<Option<(String, ImageDigest)>, VerifyError> {
    let (Some(name), Some(digest)) = (ec2::tag(tags, NAME_TAG), ec2::tag(tags, DIGEST_TAG)) else {
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
