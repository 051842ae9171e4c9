//! Blocks that no layer has.

use serde::{Deserialize, Serialize};

/// What blocks read as that were never put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blank {
    /// Zeros: a plain snapshot.
    Zero,
    /// Noise: an encrypted snapshot that was written through the EBS direct API. On AWS such a
    /// block decrypts to whatever it decrypts to.
    Noise,
}
