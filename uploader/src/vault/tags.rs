//! The tags of everything that is made.

/// Which vault something belongs to: on all of a vault's parts, and on all that its converter makes.
/// What the converter may change is what has this tag.
pub const VAULT: &str = "image-vault:vault";
/// An image's name, on snapshots and AMIs.
pub const IMAGE: &str = "image-vault:image";
/// An image's digest, on snapshots and AMIs.
pub const DIGEST: &str = "image-vault:digest";
/// The request that a snapshot or an AMI was made for.
pub const REQUEST: &str = "image-vault:request";
/// What all of them begin with.
pub const PREFIX: &str = "image-vault:";
