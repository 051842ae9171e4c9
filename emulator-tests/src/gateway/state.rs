//! The little that the gateway itself remembers, in `gateway.json`.

use super::error::GatewayError;
use super::json_file::{read_json, write_json};
use emulator_protocol::{Account, AwsError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The first account number that is handed out: nobody types it by accident.
const FIRST_ACCOUNT: u64 = 200_000_000_001;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// How often a gateway was started on this directory.
    starts: u64,
    /// How far the clock was put forward.
    ahead_seconds: i64,
    /// How many accounts were handed out.
    accounts: u64,
}

/// What is kept, and where.
pub(super) struct State {
    path: PathBuf,
    kept: Mutex<Kept>,
}

impl State {
    /// Reads it, and counts a start.
    pub(super) fn open(data: &Path) -> Result<Self, GatewayError> {
        let path = data.join("gateway.json");
        let mut kept: Kept = read_json(&path)?.unwrap_or_default();
        kept.starts += 1;
        write_json(&path, &kept).map_err(|error| GatewayError::file(&path, "written", error))?;
        Ok(Self {
            path,
            kept: Mutex::new(kept),
        })
    }

    /// Identifiers made after a start must not repeat those made before it.
    pub(super) fn seed(&self, seed: u64) -> u64 {
        // The multiplier is 2^64 over the golden ratio: neighbours end up far apart.
        seed ^ self
            .look(|kept| kept.starts - 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn ahead_seconds(&self) -> i64 {
        self.look(|kept| kept.ahead_seconds)
    }

    /// Remembers that the clock was put forward.
    pub(super) fn advance(&self, seconds: i64) -> Result<i64, AwsError> {
        self.change(|kept| {
            kept.ahead_seconds += seconds;
            kept.ahead_seconds
        })
    }

    /// The number of an account that nobody has yet.
    pub(super) fn account(&self) -> Result<Account, AwsError> {
        let number = self.change(|kept| {
            kept.accounts += 1;
            FIRST_ACCOUNT + kept.accounts - 1
        })?;
        Account::from_number(number)
            .ok_or_else(|| AwsError::unavailable("no account number is left"))
    }

    fn look<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        look(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> Result<T, AwsError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = kept.clone();
        let result = change(&mut new);
        write_json(&self.path, &new).map_err(|error| {
            AwsError::unavailable(format!("{} can't be written: {error}", self.path.display()))
        })?;
        *kept = new;
        Ok(result)
    }
}
