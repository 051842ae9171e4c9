//! The tags of what is made, and descriptions.

use super::record::Record;
use crate::request::{ImageRef, Opened};
use uuid::Uuid;

/// The vault's name.
pub const VAULT: &str = "image-vault:vault";
/// The image's name.
pub const IMAGE: &str = "image-vault:image";
/// The image's digest.
pub const DIGEST: &str = "image-vault:digest";
/// The request's id.
pub const REQUEST: &str = "image-vault:request";

/// Tags of a request's snapshot and image.
pub fn of(vault: &str, record: &Record, opened: Option<&Opened>) -> Vec<(String, String)> {
    let mut tags: Vec<(String, String)> = vec![
        (VAULT.to_owned(), vault.to_owned()),
        (IMAGE.to_owned(), record.image.name.clone()),
        (DIGEST.to_owned(), record.image.digest.to_string()),
        (REQUEST.to_owned(), record.id.to_string()),
    ];
    let more = opened.map(|it| &it.request.ami.tags);
    if more.is_none_or(|it| !it.contains_key("Name")) {
        tags.push(("Name".to_owned(), record.ami_name.clone()));
    }
    for (key, value) in more.into_iter().flatten() {
        tags.push((key.clone(), value.clone()));
    }
    tags
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
