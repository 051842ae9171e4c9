//! The tags of what is made, and descriptions.

use super::record::Record;
use crate::request::{ImageRef, Opened, Request};
use crate::vault::Names;
pub use crate::vault::tags::{DIGEST, IMAGE, REQUEST, SOURCE, VAULT, VERSION};
use uuid::Uuid;

/// Tags of a request's snapshot and image: what the image is, where it is kept, which request it was
/// made for, and what the requester calls it. A version that nobody said has no tag.
pub fn of(vault: &str, record: &Record, opened: Option<&Opened>) -> Vec<(String, String)> {
    let mut tags: Vec<(String, String)> = vec![
        (VAULT.to_owned(), vault.to_owned()),
        (IMAGE.to_owned(), record.image.name.clone()),
        (DIGEST.to_owned(), record.image.digest.to_string()),
        (REQUEST.to_owned(), record.id.to_string()),
    ];
    let request = opened.map(|it| &it.request);
    let said = [
        (SOURCE, request.and_then(source)),
        (VERSION, request.and_then(|it| it.ami.version.clone())),
    ];
    for (key, value) in said {
        tags.extend(value.map(|it| (key.to_owned(), it)));
    }
    let more = request.map(|it| &it.ami.tags);
    if more.is_none_or(|it| !it.contains_key("Name")) {
        tags.push(("Name".to_owned(), record.ami_name.clone()));
    }
    for (key, value) in more.into_iter().flatten() {
        tags.push((key.clone(), value.clone()));
    }
    tags
}

/// Where the image came from: its manifest in the vault. A request is carried out by the vault that
/// it names and no other, so all of it is in there.
fn source(request: &Request) -> Option<String> {
    // No partition is in a bucket's name.
    let names = Names::new(&request.vault, &request.account, &request.region, "").ok()?;
    let ImageRef { name, digest } = &request.image;
    let key = Names::manifest_key(name, digest);
    Some(format!("s3://{}/{key}", names.bucket()))
}

/// A snapshot's description, by which one that an agent made is told from one that only has its
/// tags.
pub fn snapshot_description(id: &Uuid, attempt: u32) -> String {
    format!("{}{attempt}", snapshot_prefix(id))
}

/// What such a description begins with; the attempt follows.
pub fn snapshot_prefix(id: &Uuid) -> String {
    format!("uploader: request {id}, snapshot ")
}

/// An image's description, where the request has none.
pub fn image_description(image: &ImageRef) -> String {
    format!("{} {}", image.name, image.digest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::request::{AmiSpec, DEFAULT_LIFE, Envelope};

    /// The longest that there can be, and a requester's own.
    fn tagged(ami: AmiSpec) -> Vec<(String, String)> {
        let vault = "v".repeat(24);
        let names = Names::new(&vault, "123456789012", "ap-southeast-99", "aws").unwrap();
        let image = ImageRef {
            name: "w".repeat(63),
            digest: "ab".repeat(32).parse().unwrap(),
        };
        let now = time::macros::datetime!(2026-05-01 12:00 UTC);
        let request = Request::new(&names, image, ami, now, DEFAULT_LIFE, [7; 16]);
        let text = serde_json::to_string(&request).unwrap();
        let body = serde_json::to_string(&Envelope::new(text, b"signature")).unwrap();
        let opened = Envelope::open(&body).unwrap();
        let record = Record::new(&opened.request, &opened.sha256, now);
        of(&vault, &record, Some(&opened))
    }

    fn value<'a>(tags: &'a [(String, String)], key: &str) -> Option<&'a str> {
        let found = tags.iter().find(|it| it.0 == key)?;
        Some(&found.1)
    }

    #[test]
    fn an_image_is_told_by_its_tags_and_they_fit() {
        let version = "x".repeat(255);
        let ami = AmiSpec {
            version: Some(version.clone()),
            tags: (0..40)
                .map(|it| (format!("k{it}"), "v".repeat(255)))
                .collect(),
            ..AmiSpec::default()
        };
        let tags = tagged(ami);
        let source = format!(
            "s3://{}-123456789012-ap-southeast-99/images/{}/{}.json",
            "v".repeat(24),
            "w".repeat(63),
            "ab".repeat(32)
        );
        assert_eq!(value(&tags, SOURCE), Some(source.as_str()));
        assert_eq!(value(&tags, VERSION), Some(version.as_str()));
        // EC2 takes 50; EBS's limits are below EC2's.
        assert!(tags.len() <= 50);
        assert!(tags.iter().all(|it| it.0.len() <= 127 && it.1.len() <= 255));
        let mut keys: Vec<_> = tags.iter().map(|it| &it.0).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), tags.len());
    }

    #[test]
    fn a_version_that_nobody_said_is_not_made_up() {
        assert_eq!(value(&tagged(AmiSpec::default()), VERSION), None);
    }
}
