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
mod init;
mod list;
mod names;
mod parts;
pub mod policy;
mod remove;
mod state;
pub mod tags;

pub use desired::{
    INCOMPLETE_UPLOAD_DAYS, Keys, MOST_RECEIVES, OLD_VERSION_DAYS, REQUEST_SECONDS, ROLE_POLICY,
    desired, unmade,
};
pub use drift::{Change, Drift, changes, drift};
pub use error::VaultError;
pub use gc::{Garbage, GarbageKind, GcLimits, LEAST_RECORD_AGE, Object, collect, garbage, look};
pub use init::{Inspection, init, inspect, to_json};
pub use list::{Listed, list};
pub use names::{DEFAULT_NAME, NameError, Names};
pub use remove::{Facts, KeyFact, Removal, Step, look_for_removal, removal, remove};
pub use state::{Part, Setting, Settings, State};
