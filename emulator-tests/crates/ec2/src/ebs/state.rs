//! What the API keeps beside the records.

use super::token::Tokens;
use emulator_state::ids::Ids;
use emulator_state::world::Snapshot;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::{Duration, OffsetDateTime};

/// How long a key that could be used is not asked about again, for puts and gets: KMS must not
/// decide how many blocks a second there are.
const KEY_FRESH: Duration = Duration::SECOND;
/// How many keys are remembered.
const MAX_KEYS: usize = 1000;

/// State of the EBS direct API: the key of its tokens, and when which snapshot was written last.
pub struct State {
    pub(super) tokens: Tokens,
    /// Since when puts are seen: a restart counts as one.
    since: OffsetDateTime,
    puts: Mutex<HashMap<String, OffsetDateTime>>,
    /// Which keys could be used, by account and ARN, and when.
    keys: Mutex<HashMap<(String, String), OffsetDateTime>>,
}

impl State {
    /// That of a data directory. The key of block and page tokens is kept there, so that they
    /// outlive the process.
    ///
    /// # Errors
    /// The key can't be read or written.
    pub fn open(dir: &Path, ids: &Ids, now: OffsetDateTime) -> io::Result<Self> {
        Ok(Self {
            tokens: Tokens::new(token_key(dir, ids)?),
            since: now,
            puts: Mutex::default(),
            keys: Mutex::default(),
        })
    }

    /// A block was put, or the snapshot was started.
    pub(super) fn touch(&self, snapshot: &str, now: OffsetDateTime) {
        lock(&self.puts).insert(snapshot.to_owned(), now);
    }

    /// Forgets all but these snapshots.
    pub(super) fn retain(&self, pending: &BTreeSet<String>) {
        lock(&self.puts).retain(|id, _| pending.contains(id));
    }

    /// Whether nothing was put for longer than the snapshot's time-out.
    pub(super) fn timed_out(&self, snapshot: &Snapshot, now: OffsetDateTime) -> bool {
        let Some(minutes) = snapshot.timeout_minutes else {
            return false;
        };
        let last = lock(&self.puts)
            .get(&snapshot.id)
            .copied()
            .unwrap_or_else(|| self.since.max(snapshot.started));
        now - last > Duration::minutes(minutes.into())
    }

    /// Whether this account could use the key a moment ago.
    pub(super) fn key_is_fresh(&self, account: &str, arn: &str, now: OffsetDateTime) -> bool {
        lock(&self.keys)
            .get(&(account.to_owned(), arn.to_owned()))
            .is_some_and(|seen| (Duration::ZERO..KEY_FRESH).contains(&(now - *seen)))
    }

    pub(super) fn key_was_usable(&self, account: &str, arn: &str, now: OffsetDateTime) {
        let mut keys = lock(&self.keys);
        if keys.len() >= MAX_KEYS {
            keys.clear();
        }
        keys.insert((account.to_owned(), arn.to_owned()), now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn token_key(dir: &Path, ids: &Ids) -> io::Result<[u8; 64]> {
    let path = dir.join("ebs-token.key");
    match std::fs::read(&path) {
        // Any other length: not a key of ours, made anew.
        Ok(bytes) => {
            if let Ok(key) = bytes.try_into() {
                return Ok(key);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; 64];
    for part in key.chunks_exact_mut(8) {
        part.copy_from_slice(&ids.number().to_le_bytes());
    }
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&key)?;
    file.persist(&path)?;
    Ok(key)
}
