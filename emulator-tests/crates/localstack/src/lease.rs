//! A locked file: who holds it is alive, however it ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep};

/// How long a LocalStack whose parent was killed may take to save its state and end.
const PREDECESSOR_ENDS_WITHIN: Duration = Duration::from_secs(40);

/// How long somebody who looks whether it is held may take.
const LOOKED_AT_FOR: Duration = Duration::from_millis(300);

/// Why a lease can't be had.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// Someone else holds it.
    #[error("{0} is held by another emulator")]
    Held(PathBuf),
    /// The file can't be opened.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// An exclusive lock on a file (flock), which the kernel frees when this process ends.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

impl Lease {
    /// Takes it, or says at once that it is held.
    ///
    /// # Errors
    /// If it is held, or the file can't be opened.
    pub fn try_take(path: &Path) -> Result<Self, LeaseError> {
        let fail = |source| LeaseError::File {
            path: path.to_owned(),
            source,
        };
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LeaseError::Held(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }

    /// The same, though who only looks whether it is held holds it for a moment.
    ///
    /// # Errors
    /// If it stays held, or the file can't be opened.
    pub fn try_take_patiently(path: &Path) -> Result<Self, LeaseError> {
        let until = std::time::Instant::now() + LOOKED_AT_FOR;
        loop {
            match Self::try_take(path) {
                Err(LeaseError::Held(_)) if std::time::Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                answer => return answer,
            }
        }
    }

    /// Takes it once a LocalStack that is ending has let it go.
    ///
    /// # Errors
    /// If it stays held, or the file can't be opened.
    pub async fn take(path: &Path) -> Result<Self, LeaseError> {
        let until = Instant::now() + PREDECESSOR_ENDS_WITHIN;
        loop {
            match Self::try_take(path) {
                Err(LeaseError::Held(_)) if Instant::now() < until => {
                    sleep(Duration::from_millis(50)).await;
                }
                answer => return answer,
            }
        }
    }
}
