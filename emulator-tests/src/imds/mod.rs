//! The instance metadata service, as a guest sees it at 169.254.169.254.

mod metadata;

pub use metadata::{Facts, Metadata, RoleCredentials};
