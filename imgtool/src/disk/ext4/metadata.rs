//! What the ext4 writer emits before any content: metadata, and which zeros are free space.

use std::io;

/// Bytes per block.
pub const BLOCK: u64 = 4096;
/// Blocks per group: as many as one bitmap block has bits.
const BLOCKS_PER_GROUP: u64 = 8 * BLOCK;
/// Bytes per group descriptor (without the `64bit` feature).
const GROUP_DESC: usize = 32;

/// Collects the metadata of a sealed layout.
#[derive(Debug, Default)]
pub struct Metadata {
    /// All metadata bytes, one after the other.
    pub bytes: Vec<u8>,
    /// `(offset in the file system, length, where in bytes)`, ascending.
    pub data: Vec<(u64, u64, usize)>,
    /// `(offset, length)` of what is zero, ascending.
    pub zeros: Vec<(u64, u64)>,
}

impl mkext4::RegionSink for &mut Metadata {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = self.bytes.len();
        let len = bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        match self.data.last_mut() {
            Some((start, n, _)) if *start + *n == offset => *n += len,
            _ => self.data.push((offset, len, at)),
        }
        Ok(())
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.zeros.push((offset, len));
        Ok(())
    }
}

impl Metadata {
    /// Bytes at `offset`, if they are metadata.
    fn at(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let i = self
            .data
            .partition_point(|&(start, _, _)| start <= offset)
            .checked_sub(1)?;
        let (start, n, at) = self.data[i];
        let skip = usize::try_from(offset - start).ok()?;
        if skip + len > n as usize {
            return None;
        }
        self.bytes.get(at + skip..at + skip + len)
    }

    /// Free space as `(offset, length)`, ascending, read from the block bitmaps that the metadata
    /// itself holds: what the file system calls free is free, and every other zero is content.
    pub fn free_space(&self, fs_len: u64) -> Option<Vec<(u64, u64)>> {
        let mut free: Vec<(u64, u64)> = Vec::new();
        let blocks = fs_len / BLOCK;
        for group in 0..blocks.div_ceil(BLOCKS_PER_GROUP) {
            // `bg_block_bitmap_lo` is the first field of a descriptor; the table is at block 1.
            let desc = self.at(BLOCK + group * GROUP_DESC as u64, GROUP_DESC)?;
            let bitmap = u32::from_le_bytes(*desc.first_chunk::<4>()?);
            let bitmap = self.at(u64::from(bitmap) * BLOCK, BLOCK as usize)?;
            let first = group * BLOCKS_PER_GROUP;
            let count = BLOCKS_PER_GROUP.min(blocks - first);
            for (block, len) in clear_runs(bitmap, count) {
                let (offset, len) = ((first + block) * BLOCK, len * BLOCK);
                match free.last_mut() {
                    Some((start, n)) if *start + *n == offset => *n += len,
                    _ => free.push((offset, len)),
                }
            }
        }
        Some(free)
    }
}

/// Runs of clear bits among the first `count`, as `(bit, length)`. Whole words are skipped at
/// once, so that free space costs next to nothing.
fn clear_runs(bitmap: &[u8], count: u64) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut push = |bit: u64, len: u64| match runs.last_mut() {
        Some((start, n)) if *start + *n == bit => *n += len,
        _ => runs.push((bit, len)),
    };
    let (words, _) = bitmap.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let first = i as u64 * 64;
        if first >= count {
            break;
        }
        match u64::from_le_bytes(*word) {
            u64::MAX => {}
            0 => push(first, 64.min(count - first)),
            word => {
                for bit in 0..64.min(count - first) {
                    if word & (1 << bit) == 0 {
                        push(first + bit, 1);
                    }
                }
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_bits_become_runs() {
        let mut bitmap = vec![0xff; 4096];
        bitmap[7] = 0x0f;
        bitmap[8..24].fill(0);
        bitmap[24] = 0xfe;
        assert_eq!(clear_runs(&bitmap, 32768), [(60, 133)]);
        assert_eq!(clear_runs(&bitmap, 64), [(60, 4)]);
        assert_eq!(clear_runs(&[0xff; 4096], 32768), []);
    }
}
