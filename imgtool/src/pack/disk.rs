//! The disk that a pack holds, read block by block. Every block is checked when it is read.

use super::{Manifest, PackError};
use crate::block::BLOCK_LEN;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use zstd::bulk::Decompressor;

/// Blocks that are kept: a reader of a file system comes back to a few.
const CACHED: usize = 8;

/// A pack as a disk that can be read anywhere.
pub struct PackDisk {
    manifest: Manifest,
    path: PathBuf,
    file: File,
    decompressor: Decompressor<'static>,
    frame: Vec<u8>,
    /// Blocks by place in the manifest's list, the one used last at the end.
    cache: Vec<(usize, Vec<u8>)>,
    position: u64,
}

impl PackDisk {
    /// The disk that `manifest`, which has been checked, and its pack at `path` describe.
    pub fn open(manifest: Manifest, path: &Path) -> Result<PackDisk, PackError> {
        let failed = |source| PackError::Read {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let decompressor = Decompressor::new().map_err(PackError::Compress)?;
        Ok(PackDisk {
            manifest,
            path: path.into(),
            file,
            decompressor,
            // A frame that is longer than its block uncompressed is no frame of ours.
            frame: vec![0; super::longest_frame()],
            cache: Vec::new(),
            position: 0,
        })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads block `place` of the manifest's list of data blocks, and checks its digest.
    pub fn read_data_block(&mut self, place: usize, block: &mut [u8]) -> Result<(), PackError> {
        let Some((index, sha256, _, offset, len)) = self.manifest.blocks.data.get(place) else {
            return Ok(());
        };
        let bad = |why: String| PackError::Block {
            path: self.path.clone(),
            index: *index,
            why,
        };
        let len = *len as usize;
        let longest = self.frame.len();
        let Some(frame) = self.frame.get_mut(..len) else {
            return Err(bad(format!(
                "a frame of {len} bytes, where {longest} are the most"
            )));
        };
        self.file
            .read_exact_at(frame, *offset)
            .map_err(|source| match source.kind() {
                // An offset above what a file can have is invalid to pread(2).
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
                    bad("its frame lies behind the pack's end".into())
                }
                _ => PackError::Read {
                    path: self.path.clone(),
                    source,
                },
            })?;
        let n = self
            .decompressor
            .decompress_to_buffer(frame, block)
            .map_err(|e| bad(format!("its frame does not decompress ({e})")))?;
        if n != BLOCK_LEN || hex::encode(Sha256::digest(&*block)) != *sha256 {
            return Err(bad("its digest is not the manifest's".into()));
        }
        Ok(())
    }

    /// Data block `place`, from the cache or the pack.
    fn cached(&mut self, place: usize) -> Result<&[u8], PackError> {
        let entry = match self.cache.iter().position(|(p, _)| *p == place) {
            Some(at) => self.cache.remove(at),
            None => {
                let mut block = match self.cache.len() < CACHED {
                    true => vec![0; BLOCK_LEN],
                    false => self.cache.remove(0).1,
                };
                self.read_data_block(place, &mut block)?;
                (place, block)
            }
        };
        self.cache.push(entry);
        Ok(self.cache.last().map_or(&[], |(_, block)| block))
    }
}

impl Read for PackDisk {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.manifest.size.saturating_sub(self.position);
        let skip = (self.position % BLOCK_LEN as u64) as usize;
        let n = buf
            .len()
            .min(BLOCK_LEN - skip)
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let index = self.position / BLOCK_LEN as u64;
        let data = &self.manifest.blocks.data;
        match data.binary_search_by_key(&index, |block| block.0) {
            Ok(place) if n > 0 => {
                let block = self.cached(place).map_err(io::Error::other)?;
                buf[..n].copy_from_slice(&block[skip..skip + n]);
            }
            _ => buf[..n].fill(0),
        }
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for PackDisk {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        let position = match pos {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::End(n) => self.manifest.size.checked_add_signed(n),
            SeekFrom::Current(n) => self.position.checked_add_signed(n),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
