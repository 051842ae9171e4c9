//! One layer: two files.
//!
//! `ID.data` is an array of slots of 512 KiB, filled in the order in which blocks come: a volume
//! may be larger than the largest file. `ID.index` is sparse and has, for block *n*, at *n* × 64
//! the block's SHA-256 and one more than its slot; zeros where the layer has no such block.
//!
//! A block goes into a slot of its own before its entry, which lies in one page, names it: a
//! process that is killed at any point leaves the block as it was, or as it is now. What it had
//! before is free then.

use super::{BLOCK_LEN, Digest};
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// Bytes of an entry in the index.
const ENTRY_LEN: usize = 64;
/// Entries that are read at once.
pub(super) const CHUNK: usize = 1024;

/// One layer's files.
pub struct Layer {
    data: File,
    index: File,
    slots: Mutex<Slots>,
    /// Whether puts are over. Whoever puts holds it for reading.
    sealed: RwLock<bool>,
}

/// The layer takes no more blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed;

/// Which slots of the data file can be taken.
struct Slots {
    free: Vec<u64>,
    /// From here on all are.
    end: u64,
}

/// What the index says of a block.
struct Entry {
    digest: Digest,
    slot: u64,
}

impl Entry {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk()?;
        let (slot, _) = rest.split_first_chunk()?;
        let slot = u64::from_le_bytes(*slot).checked_sub(1)?;
        Some(Self {
            digest: *digest,
            slot,
        })
    }

    fn to_bytes(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..32].copy_from_slice(&self.digest);
        bytes[32..40].copy_from_slice(&(self.slot + 1).to_le_bytes());
        bytes
    }
}

impl Layer {
    pub(super) fn create(dir: &Path, id: &str) -> io::Result<()> {
        for kind in ["data", "index"] {
            File::create_new(path(dir, id, kind))?;
        }
        Ok(())
    }

    pub(super) fn open(dir: &Path, id: &str) -> io::Result<Self> {
        let file = |kind| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(path(dir, id, kind))
        };
        let data = file("data")?;
        let end = data.metadata()?.len().div_ceil(BLOCK_LEN as u64);
        Ok(Self {
            data,
            index: file("index")?,
            slots: Mutex::new(Slots {
                free: Vec::new(),
                end,
            }),
            sealed: RwLock::new(false),
        })
    }

    pub(super) fn remove(dir: &Path, id: &str) -> io::Result<()> {
        for kind in ["index", "data"] {
            match std::fs::remove_file(path(dir, id, kind)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn id_of_file(name: &str) -> Option<&str> {
        name.strip_suffix(".data")
            .or_else(|| name.strip_suffix(".index"))
    }

    /// Puts a block, in as many pieces as it comes in, which is there for good when this returns.
    ///
    /// # Errors
    /// The disk is full or does not work; an earlier block is as it was.
    pub fn put(&self, index: u32, digest: &Digest, pieces: &[impl AsRef<[u8]>]) -> io::Result<()> {
        let slot = self.slots().take();
        let done = self.fill(slot, pieces).and_then(|()| {
            self.point(
                index,
                &Entry {
                    digest: *digest,
                    slot,
                },
            )
        });
        // The slot that is free now: the earlier block's, or this one's.
        match done {
            Ok(None) => Ok(()),
            Ok(Some(earlier)) => {
                self.slots().free.push(earlier);
                Ok(())
            }
            Err(error) => {
                self.slots().free.push(slot);
                Err(error)
            }
        }
    }

    fn fill(&self, slot: u64, pieces: &[impl AsRef<[u8]>]) -> io::Result<()> {
        let mut offset = slot * BLOCK_LEN as u64;
        for piece in pieces {
            self.data.write_all_at(piece.as_ref(), offset)?;
            offset += piece.as_ref().len() as u64;
        }
        Ok(())
    }

    /// Lets the index name a block's new slot, and gives the one it named before.
    fn point(&self, index: u32, entry: &Entry) -> io::Result<Option<u64>> {
        // Of two who put the same block, each must see the other's slot or be seen.
        let _one_at_a_time = self.slots();
        let earlier = self.entry(index)?.map(|entry| entry.slot);
        self.index.write_all_at(&entry.to_bytes(), at(index))?;
        Ok(earlier)
    }

    /// Puts a block, unless the layer is sealed.
    ///
    /// # Errors
    /// Those of [`Layer::put`].
    pub fn put_unless_sealed(
        &self,
        index: u32,
        digest: &Digest,
        pieces: &[impl AsRef<[u8]>],
    ) -> io::Result<Result<(), Sealed>> {
        let sealed = self.sealed.read().unwrap_or_else(PoisonError::into_inner);
        if *sealed {
            return Ok(Err(Sealed));
        }
        self.put(index, digest, pieces).map(Ok)
    }

    /// Seals the layer if `judge` finds no fault with how many blocks were put, and with the
    /// LINEAR checksum over them: the digest of their digests in order of index. Nobody puts
    /// while this runs.
    ///
    /// # Errors
    /// The index can't be read.
    pub fn seal<E>(
        &self,
        judge: impl FnOnce(Result<(u32, Digest), Sealed>) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        let mut sealed = self.sealed.write().unwrap_or_else(PoisonError::into_inner);
        let found = if *sealed {
            Err(Sealed)
        } else {
            Ok(self.sum()?)
        };
        let judged = judge(found);
        *sealed |= judged.is_ok();
        Ok(judged)
    }

    /// Takes blocks again: what should have followed the seal failed.
    pub fn unseal(&self) {
        *self.sealed.write().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// How many blocks there are, and their LINEAR checksum.
    fn sum(&self) -> io::Result<(u32, Digest)> {
        let (mut count, mut linear) = (0_u32, Sha256::new());
        let mut buffer = Self::chunk_buffer();
        let mut next = 0;
        while let Some(start) = self.next_written(next)? {
            self.chunk(start, &mut buffer, |_, digest| {
                count += 1;
                linear.update(digest);
            })?;
            next = start + CHUNK as u64;
        }
        Ok((count, linear.finalize().into()))
    }

    /// A block's digest, if the layer has it.
    ///
    /// # Errors
    /// The index can't be read.
    pub fn digest(&self, index: u32) -> io::Result<Option<Digest>> {
        Ok(self.entry(index)?.map(|entry| entry.digest))
    }

    /// A block, if the layer has it.
    ///
    /// # Errors
    /// The files can't be read.
    pub fn read(&self, index: u32) -> io::Result<Option<Vec<u8>>> {
        let Some(entry) = self.entry(index)? else {
            return Ok(None);
        };
        let mut block = vec![0; BLOCK_LEN];
        self.data
            .read_exact_at(&mut block, entry.slot * BLOCK_LEN as u64)?;
        Ok(Some(block))
    }

    fn entry(&self, index: u32) -> io::Result<Option<Entry>> {
        let mut bytes = [0; ENTRY_LEN];
        match self.index.read_exact_at(&mut bytes, at(index)) {
            Ok(()) => Ok(Entry::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where, from `index` on, the index may have entries; `None` if it has no more. What was
    /// never written is not read.
    pub(super) fn next_written(&self, index: u64) -> io::Result<Option<u64>> {
        let start = index * ENTRY_LEN as u64;
        match rustix::fs::seek(&self.index, SeekFrom::Data(start)) {
            Ok(offset) => Ok(Some(offset.max(start) / ENTRY_LEN as u64)),
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells of each block among the [`CHUNK`] from `start` on: its distance from `start`, and its
    /// digest. `buffer` has room for the entries.
    pub(super) fn chunk(
        &self,
        start: u64,
        buffer: &mut [u8],
        mut each: impl FnMut(usize, &Digest),
    ) -> io::Result<()> {
        let mut read = 0;
        while read < buffer.len() {
            let offset = start * ENTRY_LEN as u64 + read as u64;
            match self.index.read_at(&mut buffer[read..], offset) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        for (distance, entry) in buffer[..read].chunks_exact(ENTRY_LEN).enumerate() {
            if let Some(entry) = Entry::parse(entry) {
                each(distance, &entry.digest);
            }
        }
        Ok(())
    }

    /// A buffer for [`Layer::chunk`].
    pub(super) fn chunk_buffer() -> Vec<u8> {
        vec![0; CHUNK * ENTRY_LEN]
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn take(&mut self) -> u64 {
        self.free.pop().unwrap_or_else(|| {
            let slot = self.end;
            self.end += 1;
            slot
        })
    }
}

/// Where a block's entry is in the index.
fn at(index: u32) -> u64 {
    u64::from(index) * ENTRY_LEN as u64
}

fn path(dir: &Path, id: &str, kind: &str) -> PathBuf {
    dir.join(format!("{id}.{kind}"))
}
