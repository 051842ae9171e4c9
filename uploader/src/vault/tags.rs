//! The tags of everything that is made.

/// Which vault something belongs to: on all of a vault's parts, and on all that its converter makes.
/// What the converter may change is what has this tag.
pub const VAULT: &str = "image-vault:vault";
/// An image's name, on snapshots and AMIs.
pub const IMAGE: &str = "image-vault:image";
/// An image's digest, on snapshots and AMIs.
pub const DIGEST: &str = "image-vault:digest";
/// What its requester calls the version of an image, on snapshots and AMIs.
pub const VERSION: &str = "image-vault:version";
/// Where an image came from, on snapshots and AMIs: its manifest in the vault.
pub const SOURCE: &str = "image-vault:source";
/// The request that a snapshot or an AMI was made for.
pub const REQUEST: &str = "image-vault:request";
/// What all of them begin with.
pub const PREFIX: &str = "image-vault:";
/// The one that is not the vault's to give: whoever owns another key tags it with the vault's name,
/// and the vault's converter may encrypt snapshots with it. It has no part in what init makes and
/// mends, and so another beginning.
pub const SNAPSHOT_KEY: &str = "image-vault-snapshots";
