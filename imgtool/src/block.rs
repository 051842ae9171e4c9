//! A disk cut into blocks, and what a pass over it found in each.

/// Bytes per block: what the EBS direct API reads and writes.
pub const BLOCK_LEN: usize = 512 * 1024;

/// A block with content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataBlock {
    /// Index on the disk, in blocks.
    pub index: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Where its frame starts in the pack.
    pub offset: u64,
    /// Length of its frame.
    pub len: u32,
}

/// What each block of a disk is: every index is in just one of the lists, but for blocks with content
/// of a disk that was not packed, which are in none.
#[derive(Debug, Default)]
pub struct BlockMap {
    /// Blocks with content, ascending.
    pub data: Vec<DataBlock>,
    /// Runs `(first, count)` of blocks that are all zero and content, ascending.
    pub zero: Vec<(u64, u64)>,
    /// Runs `(first, count)` of blocks that no reader may look at, ascending.
    pub free: Vec<(u64, u64)>,
}

impl BlockMap {
    /// Sorts the runs of zeros and joins those that touch: planned runs come first, and blocks that
    /// turned out to be zero behind them.
    pub(crate) fn merge_zero_runs(&mut self) {
        self.zero.sort_unstable();
        let mut merged = Vec::new();
        for &(first, count) in &self.zero {
            push_run(&mut merged, first, count);
        }
        self.zero = merged;
    }
}

/// Appends a run, as part of the last one if it follows on it.
pub(crate) fn push_run(runs: &mut Vec<(u64, u64)>, first: u64, count: u64) {
    match runs.last_mut() {
        Some((start, n)) if *start + *n == first => *n += count,
        _ => runs.push((first, count)),
    }
}
