//! The vault: an encrypted bucket, queues, keys and a role, one set per account and region.
//!
//! How it should be and how it is are values of one type ([`State`]); where they differ is a list of
//! [`Drift`]s, and what to do about it a list of [`Change`]s. All of that is pure; `parts` reads and
//! sets, and [`init`] does one after the other.

mod delete;
mod desired;
mod drift;
mod error;
mod gc;
mod handle;
pub mod images;
mod init;
mod list;
mod names;
pub(crate) mod parts;
pub mod policy;
pub(crate) mod remove;
mod state;
pub mod tags;

pub use desired::{
    INCOMPLETE_UPLOAD_DAYS, Keys, MOST_RECEIVES, OLD_VERSION_DAYS, REQUEST_SECONDS, ROLE_POLICY,
    desired, unmade,
};
pub use drift::{Change, Drift, changes, drift};
pub use error::VaultError;
pub use gc::{Garbage, GarbageKind, GcLimits, LEAST_RECORD_AGE, collect, garbage, look};
pub use handle::Vault;
pub use images::StoreError;
pub use init::{Inspection, init, inspect, to_json};
pub use list::{Listed, list};
pub use names::{DEFAULT_NAME, NameError, Names};
pub use state::{Part, Setting, Settings, State};

/// Most bytes of the small objects by which agents and callers know of each other: what is longer was
/// not written by these programs.
pub(crate) const SMALL_OBJECT: u64 = 16 << 10;
