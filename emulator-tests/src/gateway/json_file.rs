//! Files of JSON in the data directory.

use super::error::GatewayError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Reads a file of JSON; `None` if there is no such file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, GatewayError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(GatewayError::file(path, "read", error)),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| GatewayError::file(path, "read", error.into()))
}

/// Writes a file of JSON, whole or not at all.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let new = path.with_extension("json.new");
    std::fs::write(&new, serde_json::to_vec_pretty(value)?)?;
    std::fs::rename(new, path)
}
