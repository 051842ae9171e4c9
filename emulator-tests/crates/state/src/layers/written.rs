//! Which blocks a stack of layers has, in order.

use super::layer::CHUNK;
use super::{Digest, Layer, Layers};
use std::io;

/// A block that some layer of a stack has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it is in the volume, in blocks.
    pub index: u32,
    /// Which of the stack's layers it is in.
    pub layer: usize,
    /// Its SHA-256.
    pub digest: Digest,
}

/// An iterator over the written blocks of a stack.
pub struct Written<'a> {
    layers: &'a Layers,
    stack: &'a [String],
    /// Where the next chunk begins; past every index once there is none.
    next: u64,
    buffer: Vec<u8>,
    /// The blocks of the last chunk, and how many of them are given.
    ready: Vec<Block>,
    given: usize,
}

impl<'a> Written<'a> {
    pub(super) fn new(layers: &'a Layers, stack: &'a [String], from: u32) -> Self {
        Self {
            layers,
            stack,
            next: from.into(),
            buffer: Layer::chunk_buffer(),
            ready: Vec::new(),
            given: 0,
        }
    }

    /// Reads on until there is a block to give; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        while self.next <= u32::MAX.into() {
            let mut start: Option<u64> = None;
            for id in self.stack {
                let next = self.layers.layer(id)?.next_written(self.next)?;
                start = match (start, next) {
                    (Some(start), Some(next)) => Some(start.min(next)),
                    (start, next) => start.or(next),
                };
            }
            let Some(start) = start else {
                self.next = u64::MAX;
                return Ok(false);
            };
            let mut found: Vec<Option<(usize, Digest)>> = vec![None; CHUNK];
            for (layer, id) in self.stack.iter().enumerate() {
                self.layers
                    .layer(id)?
                    .chunk(start, &mut self.buffer, |distance, digest| {
                        if let Some(place) = found.get_mut(distance) {
                            place.get_or_insert((layer, *digest));
                        }
                    })?;
            }
            self.given = 0;
            self.ready.clear();
            self.ready.extend(
                (start..)
                    .zip(found)
                    .filter_map(|(index, found)| Some((u32::try_from(index).ok()?, found?)))
                    .map(|(index, (layer, digest))| Block {
                        index,
                        layer,
                        digest,
                    }),
            );
            self.next = start + CHUNK as u64;
            if !self.ready.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Iterator for Written<'_> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.given == self.ready.len() {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.next = u64::MAX;
                    return Some(Err(error));
                }
            }
        }
        let block = self.ready.get(self.given).copied();
        self.given += 1;
        block.map(Ok)
    }
}
