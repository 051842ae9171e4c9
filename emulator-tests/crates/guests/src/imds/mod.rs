//! The instance metadata service, as a guest sees it at 169.254.169.254.
//!
//! ```text
//! connection ── serve ── token ── tree ──► Metadata ──► records, STS
//! ```

mod answer;
mod document;
mod host;
mod metadata;
mod roles;
mod serve;
mod token;
mod tree;

pub use host::names;
pub use metadata::{Facts, Metadata, RoleCredentials, RoleStatus};
pub use roles::Roles;
pub use serve::Imds;
pub(crate) use serve::{Hops, serve};
