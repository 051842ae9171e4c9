//! The bytes of snapshots and volumes: blocks of 512 KiB in layers.
//!
//! A snapshot or a volume has a stack of layers, the newest first: a block is in the first one
//! that has it, and in none if it was never put. Nothing of a layer is kept in memory, however
//! large it is, and only so many files are kept open.

mod blank;
mod layer;
mod noise;
mod written;

pub use blank::Blank;
pub use layer::{Layer, Sealed};
pub use written::{Block, Written};

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a block: the only size that the EBS direct API knows.
pub const BLOCK_LEN: usize = 512 * 1024;
/// A block's SHA-256.
pub type Digest = [u8; 32];

/// How many layers are kept open, of two files each.
const MAX_OPEN: usize = 256;

/// All layers of one data directory; clones are the same.
#[derive(Clone)]
pub struct Layers {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    open: Mutex<Open>,
}

/// Layers whose files are open.
#[derive(Default)]
struct Open {
    layers: HashMap<String, (Arc<Layer>, u64)>,
    /// Counts uses: the layer with the lowest number was used the longest time ago.
    uses: u64,
}

impl Layers {
    /// Those in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// The directory can't be made.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self {
            inner: Arc::new(Inner {
                dir,
                open: Mutex::default(),
            }),
        })
    }

    /// Makes an empty layer.
    ///
    /// # Errors
    /// The files can't be made.
    pub fn create(&self, id: &str) -> io::Result<()> {
        Layer::create(&self.inner.dir, id)
    }

    /// Puts a block, which is there for good when this returns, also if the process is killed.
    ///
    /// # Errors
    /// There is no such layer, or the disk is full.
    pub fn put(&self, id: &str, index: u32, digest: &Digest, block: &[u8]) -> io::Result<()> {
        self.layer(id)?.put(index, digest, &[block])
    }

    /// The first of these layers that has a block, and the block's digest.
    ///
    /// # Errors
    /// A layer is not there or can't be read.
    pub fn find<'a>(
        &self,
        layers: &'a [String],
        index: u32,
    ) -> io::Result<Option<(&'a str, Digest)>> {
        for id in layers {
            if let Some(digest) = self.layer(id)?.digest(index)? {
                return Ok(Some((id, digest)));
            }
        }
        Ok(None)
    }

    /// Reads a block that [`Layers::find`] found.
    ///
    /// # Errors
    /// The layer or the block is not there or can't be read.
    pub fn read(&self, id: &str, index: u32) -> io::Result<Vec<u8>> {
        self.layer(id)?
            .read(index)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{id} has no {index}")))
    }

    /// Reads any block of a stack: what a volume with these layers reads there.
    ///
    /// # Errors
    /// A layer is not there or can't be read.
    pub fn read_block(&self, layers: &[String], blank: Blank, index: u32) -> io::Result<Vec<u8>> {
        for id in layers {
            if let Some(block) = self.layer(id)?.read(index)? {
                return Ok(block);
            }
        }
        Ok(match blank {
            Blank::Zero => vec![0; BLOCK_LEN],
            Blank::Noise => noise::block(layers.last().map_or("", String::as_str), index),
        })
    }

    /// The written blocks of a stack in order of their index, from `from` on. Reads indexes only,
    /// skips what was never written, and takes the same memory for any stack.
    pub fn written<'a>(&'a self, layers: &'a [String], from: u32) -> Written<'a> {
        Written::new(self, layers, from)
    }

    /// Removes a layer that no record names any more.
    ///
    /// # Errors
    /// The files can't be removed; those that are not there are no error.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        self.lock().layers.remove(id);
        Layer::remove(&self.inner.dir, id)
    }

    /// Removes every layer that is not named, and says how many: what a killed process made or
    /// meant to remove, and has no record. For start-up, before anyone makes layers.
    ///
    /// # Errors
    /// The directory can't be read or a file not removed.
    pub fn collect_garbage(&self, live: &BTreeSet<String>) -> io::Result<usize> {
        let mut dead = BTreeSet::new();
        for entry in std::fs::read_dir(&self.inner.dir)? {
            let name = entry?.file_name();
            if let Some(id) = name.to_str().and_then(Layer::id_of_file)
                && !live.contains(id)
            {
                dead.insert(id.to_owned());
            }
        }
        for id in &dead {
            self.remove(id)?;
        }
        Ok(dead.len())
    }

    /// An open layer. All who hold it at one time hold the same.
    ///
    /// # Errors
    /// There is no such layer, or its files can't be opened.
    pub fn layer(&self, id: &str) -> io::Result<Arc<Layer>> {
        let mut open = self.lock();
        open.uses += 1;
        let now = open.uses;
        if let Some((layer, used)) = open.layers.get_mut(id) {
            *used = now;
            return Ok(Arc::clone(layer));
        }
        if open.layers.len() >= MAX_OPEN {
            open.close_one();
        }
        let layer = Arc::new(Layer::open(&self.inner.dir, id)?);
        open.layers.insert(id.to_owned(), (Arc::clone(&layer), now));
        Ok(layer)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.inner
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the layer that nobody holds and that was used the longest time ago.
    fn close_one(&mut self) {
        let oldest = self
            .layers
            .iter()
            .filter(|(_, (layer, _))| Arc::strong_count(layer) == 1)
            .min_by_key(|(_, (_, used))| *used)
            .map(|(id, _)| id.clone());
        if let Some(id) = oldest {
            self.layers.remove(&id);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
