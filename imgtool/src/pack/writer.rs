//! Writing a pack: frames in order, then the seek table.

use super::{PackError, SEEKABLE_MAGIC, SKIPPABLE_MAGIC};
use crate::block::BLOCK_LEN;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use zstd::bulk::Compressor;

/// What a finished pack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackSummary {
    /// SHA-256 over each frame's length (4 bytes, little-endian) and its block's SHA-256, in order.
    pub digest: [u8; 32],
    /// Its size in bytes.
    pub len: u64,
}

/// The digest of a pack, frame by frame.
///
/// Not of the frames: their content is known by the blocks' digests, and hashing it again would be
/// a tenth of a build's work.
#[derive(Debug, Clone, Default)]
pub struct PackDigest(Sha256);

impl PackDigest {
    /// Adds the next frame: its length, and its block's SHA-256.
    pub fn frame(&mut self, len: u32, sha256: &[u8; 32]) {
        self.0.update(len.to_le_bytes());
        self.0.update(sha256);
    }

    /// The digest.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The seek table of a pack with frames of these lengths. A pack of more frames than it can name
/// (2^32 bytes of it) has none.
pub fn seek_table(frames: &[u32]) -> Option<Vec<u8>> {
    let entries = frames.len() as u64;
    let size = u32::try_from(entries * 8 + 9).ok()?;
    let mut table = Vec::with_capacity(size as usize + 8);
    table.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
    table.extend_from_slice(&size.to_le_bytes());
    for len in frames {
        table.extend_from_slice(&len.to_le_bytes());
        table.extend_from_slice(&(BLOCK_LEN as u32).to_le_bytes());
    }
    table.extend_from_slice(&(entries as u32).to_le_bytes());
    // Seek_Table_Descriptor: no checksums in the table, the frames have their own.
    table.push(0);
    table.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());
    Some(table)
}

/// Appends frames to a pack.
pub struct PackWriter<'a> {
    /// Without a buffer: a frame is large enough for a write of its own.
    out: &'a File,
    path: PathBuf,
    level: i32,
    digest: PackDigest,
    len: u64,
    /// Length of each frame.
    frames: Vec<u32>,
}

/// A compressor for [`frame`].
pub fn compressor(level: i32) -> Result<Compressor<'static>, PackError> {
    let mut compressor = Compressor::new(level).map_err(PackError::Compress)?;
    compressor
        .include_checksum(true)
        .map_err(PackError::Compress)?;
    compressor
        .include_contentsize(true)
        .map_err(PackError::Compress)?;
    Ok(compressor)
}

/// Puts one block as a zstd frame into `frame`, in place of what was there.
pub fn frame(
    compressor: &mut Compressor<'_>,
    block: &[u8],
    frame: &mut Vec<u8>,
) -> Result<(), PackError> {
    frame.clear();
    frame.reserve(zstd::zstd_safe::compress_bound(block.len()));
    compressor
        .compress_to_buffer(block, frame)
        .map(drop)
        .map_err(PackError::Compress)
}

impl<'a> PackWriter<'a> {
    /// Writes to `file`, which messages call `path`, what was compressed at `level`.
    pub fn new(file: &'a File, path: PathBuf, level: i32) -> PackWriter<'a> {
        PackWriter {
            out: file,
            path,
            level,
            digest: PackDigest::default(),
            len: 0,
            frames: Vec::new(),
        }
    }

    /// The level that frames are to be compressed at.
    pub fn level(&self) -> i32 {
        self.level
    }

    /// Appends the frame of a block with this SHA-256; says where it starts and how long it is.
    pub fn append(&mut self, frame: &[u8], sha256: &[u8; 32]) -> Result<(u64, u32), PackError> {
        let offset = self.len;
        let too_long = || io::Error::other("a frame of 4 GiB");
        let len = u32::try_from(frame.len()).map_err(|_| self.failed(too_long()))?;
        self.write(frame)?;
        self.digest.frame(len, sha256);
        self.frames.push(len);
        Ok((offset, len))
    }

    /// Writes the seek table.
    pub fn finish(mut self) -> Result<PackSummary, PackError> {
        if let Some(table) = seek_table(&self.frames) {
            self.write(&table)?;
        }
        Ok(PackSummary {
            digest: self.digest.finish(),
            len: self.len,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.out.write_all(bytes).map_err(|e| self.failed(e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> PackError {
        PackError::Write {
            path: self.path.clone(),
            source,
        }
    }
}
