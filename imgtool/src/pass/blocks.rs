//! Which blocks have to be read at all. The sweep is over extents, not blocks: a terabyte of free
//! space is one step.

use super::BLOCK_LEN;
use crate::disk::{Extent, ExtentSource};

/// What the plan alone says of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunKind {
    /// All of it is free space.
    Free,
    /// All of it is free or zero, and some of it is content.
    Zero,
    /// Some of it has to be read.
    Content,
}

/// A run of blocks of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRun {
    /// Index of the first block.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Of which kind they are.
    pub kind: RunKind,
}

/// The blocks of a plan in disk order, as runs.
pub fn block_runs(extents: &[Extent]) -> Vec<BlockRun> {
    let block = BLOCK_LEN as u64;
    let mut runs: Vec<BlockRun> = Vec::new();
    for extent in extents {
        let kind = match extent.source {
            ExtentSource::Free => RunKind::Free,
            ExtentSource::Zero => RunKind::Zero,
            ExtentSource::Bytes { .. } | ExtentSource::Content { .. } => RunKind::Content,
        };
        let mut first = extent.offset / block;
        let end = (extent.offset + extent.len).div_ceil(block);
        // The first block of this extent may be the last one of those before.
        if let Some(last) = runs.last_mut()
            && last.first + last.count > first
        {
            let shared = first;
            first += 1;
            if kind > last.kind {
                last.count -= 1;
                if last.count == 0 {
                    runs.pop();
                }
                push(
                    &mut runs,
                    BlockRun {
                        first: shared,
                        count: 1,
                        kind,
                    },
                );
            }
        }
        if first < end {
            push(
                &mut runs,
                BlockRun {
                    first,
                    count: end - first,
                    kind,
                },
            );
        }
    }
    runs
}

fn push(runs: &mut Vec<BlockRun>, run: BlockRun) {
    match runs.last_mut() {
        Some(last) if last.kind == run.kind => last.count += run.count,
        _ => runs.push(run),
    }
}

/// A block to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Place in the order of tasks, from 0 without gaps.
    pub sequence: u64,
    /// Index of the block on the disk.
    pub index: u64,
}

/// Hands out the blocks to read, in disk order.
#[derive(Debug)]
pub struct Tasks<'a> {
    runs: std::iter::Filter<std::slice::Iter<'a, BlockRun>, fn(&&BlockRun) -> bool>,
    current: std::ops::Range<u64>,
    sequence: u64,
}

impl<'a> Tasks<'a> {
    /// The blocks of `runs` that have content.
    pub fn new(runs: &'a [BlockRun]) -> Tasks<'a> {
        let content: fn(&&BlockRun) -> bool = |run| run.kind == RunKind::Content;
        Tasks {
            runs: runs.iter().filter(content),
            current: 0..0,
            sequence: 0,
        }
    }
}

impl Iterator for Tasks<'_> {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        if self.current.is_empty() {
            let run = self.runs.next()?;
            self.current = run.first..run.first + run.count;
        }
        let index = self.current.next()?;
        self.sequence += 1;
        Some(Task {
            sequence: self.sequence - 1,
            index,
        })
    }
}
