//! A volume as a guest's disk.
//!
//! What the guest writes goes into a layer of the volume's own, before those that it shares with its
//! snapshot: so nothing is copied at launch, and the volume is at all times what its record's layers
//! say. Between the guest's writes and the layer is a cache of whole blocks, as a real disk has one:
//! a flush empties it, and what was not flushed is lost with the emulator.

mod cache;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

use super::nbd::Export;
use cache::Cache;
use emulator_protocol::AwsError;
use emulator_state::ids::Ids;
use emulator_state::layers::Blank;
use emulator_state::layers::{BLOCK_LEN, Layer, Layers};
use emulator_state::world::{Change, Store, Volume, World};
use sha2::{Digest, Sha256};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a GiB.
const GIB: u64 = 1 << 30;
const BLOCK: u64 = BLOCK_LEN as u64;

/// What disks are made with.
#[derive(Clone)]
pub struct Storage {
    /// Records.
    pub store: Arc<Store>,
    /// Bytes.
    pub layers: Layers,
    /// Names of new layers.
    pub ids: Ids,
}

/// A volume that a guest writes to.
pub struct Disk {
    storage: Storage,
    volume: String,
    size: u64,
    blank: Blank,
    state: Mutex<State>,
}

struct State {
    /// The volume's layers.
    stack: Vec<String>,
    /// The first of them, open.
    top: Arc<Layer>,
    /// Whether that one has blocks.
    written: bool,
    closed: bool,
    cache: Cache,
}

impl Disk {
    /// Makes the volume writable: its first layer is a new one. What was written before is in those
    /// behind it, which are a snapshot's from the first moment on.
    ///
    /// # Errors
    /// There is no such volume; the layer or the journal can't be written.
    pub fn open(storage: Storage, volume: &str) -> Result<Self, AwsError> {
        let new = storage.ids.resource("layer");
        storage.layers.create(&new).map_err(failed(volume))?;
        let opened = storage
            .layers
            .layer(&new)
            .map_err(failed(volume))
            .and_then(|top| {
                let record = storage.store.write(|world, changes| {
                    let mut record = find(world, volume)?.clone();
                    record.layers.insert(0, new.clone());
                    record.live = Some(new.clone());
                    changes.push(Change::Volume(record.clone()));
                    Ok(record)
                })?;
                Ok((top, record))
            });
        let (top, record) = opened.inspect_err(|_| remove(&storage.layers, &new))?;
        Ok(Self {
            size: u64::from(record.size) * GIB,
            blank: record.blank,
            volume: volume.to_owned(),
            state: Mutex::new(State {
                stack: record.layers,
                top,
                written: false,
                closed: false,
                cache: Cache::default(),
            }),
            storage,
        })
    }

    /// The volume's id.
    pub fn volume(&self) -> &str {
        &self.volume
    }

    /// Brings what was written to these disks so far, at one moment, into layers that are written
    /// to no more.
    ///
    /// # Errors
    /// The layers or the journal can't be written.
    pub fn settle(disks: &[Arc<Self>]) -> Result<(), AwsError> {
        // All are held before the first is settled; in one order, so that two who do this don't
        // wait for each other.
        let mut disks: Vec<&Arc<Self>> = disks.iter().collect();
        disks.sort_by_key(|disk| &disk.volume);
        let mut held: Vec<_> = disks.iter().map(|disk| (disk, disk.lock())).collect();
        for (disk, state) in &mut held {
            disk.settle_one(state)?;
        }
        Ok(())
    }

    fn settle_one(&self, state: &mut State) -> Result<(), AwsError> {
        let failed = failed(&self.volume);
        if state.closed {
            return Ok(());
        }
        state.flush().map_err(&failed)?;
        if !state.written {
            return Ok(());
        }
        let layers = &self.storage.layers;
        let new = self.storage.ids.resource("layer");
        layers.create(&new).map_err(&failed)?;
        let settled = full_size(layers, &state.stack)
            .and_then(|size| Ok((size, layers.layer(&new)?)))
            .map_err(&failed)
            .and_then(|(full_size, top)| {
                self.change(|record| {
                    record.layers.insert(0, new.clone());
                    record.live = Some(new.clone());
                    record.full_size = full_size;
                })?;
                Ok(top)
            });
        match settled {
            Ok(top) => {
                state.stack.insert(0, new);
                state.top = top;
                state.written = false;
                Ok(())
            }
            Err(error) => {
                remove(layers, &new);
                Err(error)
            }
        }
    }

    /// The guest has ended: the volume is what it has written. Once more is nothing.
    ///
    /// # Errors
    /// The layers or the journal can't be written; what could not be is lost.
    pub fn close(&self) -> Result<(), AwsError> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.closed, true) {
            return Ok(());
        }
        let flushed = state.flush().map_err(failed(&self.volume));
        // A start that wrote nothing leaves no layer behind.
        let empty = (!state.written && !state.stack.is_empty()).then(|| state.stack.remove(0));
        let size = full_size(&self.storage.layers, &state.stack).map_err(failed(&self.volume));
        self.change(|record| {
            record.live = None;
            record.layers.retain(|layer| Some(layer) != empty.as_ref());
            if let Ok(size) = size {
                record.full_size = size;
            }
        })?;
        if let Some(empty) = empty {
            remove(&self.storage.layers, &empty);
        }
        flushed.and(size.map(drop))
    }

    /// Changes the volume's record, if it is still there.
    fn change(&self, change: impl FnOnce(&mut Volume)) -> Result<(), AwsError> {
        self.storage.store.write(|world, changes| {
            if let Some(record) = world.volumes.get(&self.volume) {
                let mut record = record.clone();
                change(&mut record);
                changes.push(Change::Volume(record));
            }
            Ok(())
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of each block of a range: which, and the range's part in it.
    fn each(
        &self,
        offset: u64,
        length: u64,
        mut part: impl FnMut(&mut State, u32, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.lock();
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let index = u32::try_from(at / BLOCK).map_err(io::Error::other)?;
            let start = at % BLOCK;
            let stop = (start + (end - at)).min(BLOCK);
            // Both are at most a block.
            part(&mut state, index, start as usize..stop as usize)?;
            at += stop - start;
        }
        Ok(())
    }
}

impl State {
    /// A block, from memory or from the layers. One that is about to be written whole is not read.
    fn block(&mut self, disk: &Disk, index: u32, whole: bool) -> io::Result<&mut cache::Slot> {
        if self.cache.get(index).is_none() {
            let mut memory = None;
            if let Some(victim) = self.cache.victim() {
                self.write_back(victim)?;
                memory = self.cache.remove(victim);
            }
            let data = if whole {
                memory.unwrap_or_else(|| vec![0; BLOCK_LEN])
            } else {
                disk.storage
                    .layers
                    .read_block(&self.stack, disk.blank, index)?
            };
            self.cache.insert(index, data);
        }
        self.cache
            .get(index)
            .ok_or_else(|| io::Error::other("a block that was just taken in is not there"))
    }

    /// Whether a block reads as zeros because it was never written.
    fn is_blank(&mut self, disk: &Disk, index: u32) -> io::Result<bool> {
        Ok(disk.blank == Blank::Zero
            && self.cache.peek(index).is_none()
            && disk.storage.layers.find(&self.stack, index)?.is_none())
    }

    /// Puts a block into the layer, if that does not have it so.
    fn write_back(&mut self, index: u32) -> io::Result<()> {
        let Some(slot) = self.cache.peek(index).filter(|slot| slot.dirty) else {
            return Ok(());
        };
        let digest = Sha256::digest(&slot.data).into();
        self.top.put(index, &digest, &[&slot.data])?;
        slot.dirty = false;
        self.written = true;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        for index in self.cache.dirty() {
            self.write_back(index)?;
        }
        Ok(())
    }
}

impl Export for Disk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut rest = &mut *buffer;
        self.each(offset, rest.len() as u64, |state, index, range| {
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(range.len());
            part.copy_from_slice(&state.block(self, index, false)?.data[range]);
            rest = behind;
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        self.each(offset, data.len() as u64, |state, index, range| {
            let (part, behind) = rest.split_at(range.len());
            let slot = state.block(self, index, range.len() == BLOCK_LEN)?;
            slot.dirty = true;
            slot.data[range].copy_from_slice(part);
            rest = behind;
            Ok(())
        })
    }

    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        self.each(offset, length, |state, index, range| {
            let whole = range.len() == BLOCK_LEN;
            if whole && state.is_blank(self, index)? {
                return Ok(());
            }
            let slot = state.block(self, index, whole)?;
            slot.dirty = true;
            slot.data[range].fill(0);
            Ok(())
        })
    }

    fn flush(&self) -> io::Result<()> {
        self.lock().flush()
    }
}

fn find<'w>(world: &'w World, volume: &str) -> Result<&'w Volume, AwsError> {
    world.volumes.get(volume).ok_or_else(|| {
        AwsError::new(
            "InvalidVolume.NotFound",
            format!("The volume '{volume}' does not exist."),
        )
    })
}

/// Bytes of all blocks that a stack has.
fn full_size(layers: &Layers, stack: &[String]) -> io::Result<u64> {
    let mut blocks = 0;
    for block in layers.written(stack, 0) {
        block?;
        blocks += 1;
    }
    Ok(blocks * BLOCK)
}

fn remove(layers: &Layers, id: &str) {
    if let Err(error) = layers.remove(id) {
        tracing::warn!(layer = id, %error, "a layer is left over");
    }
}

fn failed(volume: &str) -> impl Fn(io::Error) -> AwsError {
    let volume = volume.to_owned();
    move |error| AwsError::unavailable(format!("the volume {volume} can't be written: {error}"))
}
