//! The records of what is there, in memory and in a journal.

mod image;
mod instance;
mod settings;
mod snapshot;
mod store;
mod volume;

pub use image::{BlockDevice, EbsDevice, Image, ImageState, Protection, years_after};
pub use instance::{
    Instance, InstanceProfile, InstanceState, Interface, MetadataOptions, Reason, StateName,
};
pub use settings::{PublicSharing, Settings};
pub use snapshot::{Permissions, Snapshot, SnapshotState};
pub use store::{Change, Store, StoreError, World};
pub use volume::{Attachment, Modification, Performance, Volume};

use std::collections::BTreeMap;

/// Tags of one resource, sorted by key.
pub type Tags = BTreeMap<String, String>;
