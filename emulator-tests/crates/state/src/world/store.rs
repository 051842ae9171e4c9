//! All records, and the journal that survives the process.
//!
//! A transaction is one line of JSON, appended by one write before anyone sees its effect: a killed
//! process leaves all of it or, in the last line, a torn piece that is left out. Opening writes a
//! new journal with what is there, and renames it into place.

use super::{Image, Instance, Settings, Snapshot, Volume};
use emulator_protocol::AwsError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every record, by id.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Images of all accounts and regions.
    pub images: BTreeMap<String, Image>,
    /// Snapshots of all accounts and regions.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// Volumes of all accounts and regions.
    pub volumes: BTreeMap<String, Volume>,
    /// Instances of all accounts and regions.
    pub instances: BTreeMap<String, Instance>,
    /// Settings, by [`Settings::id`].
    pub settings: BTreeMap<String, Settings>,
}

/// One record put or removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Adds or replaces an image.
    Image(Box<Image>),
    /// Adds or replaces a snapshot.
    Snapshot(Snapshot),
    /// Adds or replaces a volume.
    Volume(Volume),
    /// Adds or replaces an instance.
    Instance(Box<Instance>),
    /// Adds or replaces settings.
    Settings(Settings),
    /// Removes an image.
    RemoveImage(String),
    /// Removes a snapshot.
    RemoveSnapshot(String),
    /// Removes a volume.
    RemoveVolume(String),
    /// Removes an instance.
    RemoveInstance(String),
}

impl World {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Image(it) => drop(self.images.insert(it.id.clone(), *it)),
            Change::Snapshot(it) => drop(self.snapshots.insert(it.id.clone(), it)),
            Change::Volume(it) => drop(self.volumes.insert(it.id.clone(), it)),
            Change::Instance(it) => drop(self.instances.insert(it.id.clone(), *it)),
            Change::Settings(it) => drop(self.settings.insert(it.id(), it)),
            Change::RemoveImage(id) => drop(self.images.remove(&id)),
            Change::RemoveSnapshot(id) => drop(self.snapshots.remove(&id)),
            Change::RemoveVolume(id) => drop(self.volumes.remove(&id)),
            Change::RemoveInstance(id) => drop(self.instances.remove(&id)),
        }
    }

    /// Changes that make this world out of an empty one.
    fn changes(&self) -> impl Iterator<Item = Change> {
        let images = self
            .images
            .values()
            .cloned()
            .map(Box::new)
            .map(Change::Image);
        let snapshots = self.snapshots.values().cloned().map(Change::Snapshot);
        let volumes = self.volumes.values().cloned().map(Change::Volume);
        let instances = self
            .instances
            .values()
            .cloned()
            .map(Box::new)
            .map(Change::Instance);
        let settings = self.settings.values().cloned().map(Change::Settings);
        images
            .chain(snapshots)
            .chain(volumes)
            .chain(instances)
            .chain(settings)
    }
}

/// Why the records can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The journal can't be read or written.
    #[error("the journal {path} can't be {what}")]
    Io {
        /// The journal.
        path: PathBuf,
        /// `read`, `written`.
        what: &'static str,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A line in the middle is no transaction of this version.
    #[error(
        "the journal {path} is damaged in line {line}: move the data directory away, or restore it"
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
}

/// The world and its journal.
pub struct Store {
    inner: Mutex<Inner>,
    path: PathBuf,
}

struct Inner {
    world: World,
    journal: File,
    /// Where the next transaction begins.
    length: u64,
}

impl Store {
    /// Opens `DIR/world.jsonl`, or makes it.
    ///
    /// # Errors
    /// It can't be read or written, or is damaged anywhere but at its very end.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("world.jsonl");
        let io = |what| {
            let path = path.clone();
            move |cause| StoreError::Io { path, what, cause }
        };
        let world = match File::open(&path) {
            Ok(file) => replay(&path, BufReader::new(file))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => World::default(),
            Err(error) => return Err(io("read")(error)),
        };
        let new = dir.join("world.jsonl.new");
        let mut writer = BufWriter::new(File::create(&new).map_err(io("written"))?);
        for change in world.changes() {
            writer
                .write_all(&line(&[change]).map_err(io("written"))?)
                .map_err(io("written"))?;
        }
        writer.flush().map_err(io("written"))?;
        drop(writer);
        std::fs::rename(&new, &path).map_err(io("written"))?;
        let journal = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(io("written"))?;
        let length = journal.metadata().map_err(io("read"))?.len();
        Ok(Self {
            inner: Mutex::new(Inner {
                world,
                journal,
                length,
            }),
            path,
        })
    }

    /// Looks at the world. Nothing changes while `look` runs: keep it short.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock().world)
    }

    /// A transaction: `decide` looks at the world as it is and says what changes. All of the
    /// changes are made, or, where it returns an error or the journal can't be written, none.
    ///
    /// # Errors
    /// Those of `decide`; [`AwsError::unavailable`] if the journal can't be written.
    pub fn write<T>(
        &self,
        decide: impl FnOnce(&World, &mut Vec<Change>) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let mut inner = self.lock();
        let mut changes = Vec::new();
        let result = decide(&inner.world, &mut changes)?;
        if changes.is_empty() {
            return Ok(result);
        }
        if let Err(error) = inner.append(&changes) {
            tracing::error!(journal = %self.path.display(), %error, "a transaction is lost");
            return Err(AwsError::unavailable(format!(
                "the emulator's journal can't be written: {error}"
            )));
        }
        for change in changes {
            inner.world.apply(change);
        }
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in `decide` changes nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn append(&mut self, changes: &[Change]) -> std::io::Result<()> {
        let line = line(changes)?;
        if let Err(error) = self.journal.write_all(&line) {
            // A torn line would make the next one unreadable.
            self.journal.set_len(self.length)?;
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

fn line(changes: &[Change]) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(changes)?;
    line.push(b'\n');
    Ok(line)
}

fn replay(path: &Path, mut journal: impl BufRead) -> Result<World, StoreError> {
    let mut world = World::default();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read = journal
            .read_until(b'\n', &mut text)
            .map_err(|cause| StoreError::Io {
                path: path.to_owned(),
                what: "read",
                cause,
            })?;
        // No newline: torn, and never acknowledged.
        if read == 0 || text.last() != Some(&b'\n') {
            break;
        }
        let changes: Vec<Change> =
            serde_json::from_slice(&text).map_err(|cause| StoreError::Damaged {
                path: path.to_owned(),
                line,
                cause,
            })?;
        for change in changes {
            world.apply(change);
        }
    }
    Ok(world)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use emulator_protocol::{Account, Region};

    fn settings(account: &str) -> Settings {
        let account = Account::parse(account).unwrap();
        Settings::new(account, Region::parse("us-east-1").unwrap())
    }

    fn put(store: &Store, account: &str) {
        store
            .write(|_, changes| {
                changes.push(Change::Settings(settings(account)));
                Ok(())
            })
            .unwrap();
    }

    fn ids(store: &Store) -> Vec<String> {
        store.read(|world| world.settings.keys().cloned().collect())
    }

    #[test]
    fn a_torn_line_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        put(&store, "111111111111");
        let whole = std::fs::metadata(&store.path).unwrap().len();
        put(&store, "222222222222");
        let path = store.path.clone();
        drop(store);
        let both = std::fs::read(&path).unwrap();
        for cut in usize::try_from(whole).unwrap()..both.len() {
            std::fs::write(&path, &both[..cut]).unwrap();
            let store = Store::open(dir.path()).unwrap();
            assert_eq!(ids(&store), ["111111111111/us-east-1"], "cut at {cut}");
            // What is written next can be read again.
            put(&store, "333333333333");
            drop(store);
            assert_eq!(ids(&Store::open(dir.path()).unwrap()).len(), 2);
        }
    }

    #[test]
    fn a_damaged_line_is_refused_by_number() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        put(&store, "111111111111");
        put(&store, "222222222222");
        let path = store.path.clone();
        drop(store);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("us-east-1", "us-east-\"", 1)).unwrap();
        let Err(StoreError::Damaged { line, .. }) = Store::open(dir.path()) else {
            panic!("the damage was not seen");
        };
        assert_eq!(line, 1);
    }

    #[test]
    fn a_refused_transaction_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let refused: Result<(), _> = store.write(|_, changes| {
            changes.push(Change::Settings(settings("111111111111")));
            Err(AwsError::new("No", "no"))
        });
        assert_eq!(refused.unwrap_err().code, "No");
        assert!(ids(&store).is_empty());
        assert_eq!(std::fs::metadata(&store.path).unwrap().len(), 0);
    }
}
