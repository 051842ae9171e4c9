//! Connections that are cut.

/// The connection is cut, on purpose.
#[derive(Debug, thiserror::Error)]
#[error("cut by a fault rule")]
pub(crate) struct Cut;
