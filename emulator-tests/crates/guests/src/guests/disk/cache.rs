//! Blocks of a volume in memory: those used last, and those that no layer has yet.

use std::collections::HashMap;

/// Most blocks: 32 MiB.
pub(super) const MOST: usize = 64;

/// A block.
pub(super) struct Slot {
    pub(super) data: Vec<u8>,
    /// Whether it differs from what the layers have.
    pub(super) dirty: bool,
    used: u64,
}

/// The blocks, by index.
#[derive(Default)]
pub(super) struct Cache {
    slots: HashMap<u32, Slot>,
    /// Counts uses: the block with the lowest number was used the longest time ago.
    uses: u64,
}

impl Cache {
    /// The block, if it is here.
    pub(super) fn get(&mut self, index: u32) -> Option<&mut Slot> {
        self.uses += 1;
        let slot = self.slots.get_mut(&index)?;
        slot.used = self.uses;
        Some(slot)
    }

    /// Takes a block in, for which there has to be room.
    pub(super) fn insert(&mut self, index: u32, data: Vec<u8>) -> &mut Slot {
        self.uses += 1;
        let used = self.uses;
        let slot = Slot {
            data,
            dirty: false,
            used,
        };
        self.slots.entry(index).insert_entry(slot).into_mut()
    }

    /// Which block has to go before another one comes.
    pub(super) fn victim(&self) -> Option<u32> {
        if self.slots.len() < MOST {
            return None;
        }
        self.slots
            .iter()
            .min_by_key(|(_, slot)| slot.used)
            .map(|(index, _)| *index)
    }

    /// Drops a block and gives its memory back, to be used again.
    pub(super) fn remove(&mut self, index: u32) -> Option<Vec<u8>> {
        self.slots.remove(&index).map(|slot| slot.data)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The blocks that no layer has, in order.
    pub(super) fn dirty(&self) -> Vec<u32> {
        let mut dirty: Vec<u32> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.dirty)
            .map(|(index, _)| *index)
            .collect();
        dirty.sort_unstable();
        dirty
    }

    /// A block, without its being used.
    pub(super) fn peek(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(&index)
    }
}
