//! Reading a pack back. Manifest and pack are hostile until every digest has been checked.

use super::manifest::VERSION;
use super::{Manifest, PackError};
use crate::pass::BLOCK_LEN;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The largest manifest that is read: enough for an image of 1 TiB without a hole.
const MAX_MANIFEST: u64 = 512 << 20;

/// Reads and checks a manifest.
pub fn read_manifest(path: &Path) -> Result<Manifest, PackError> {
    let failed = |source| PackError::Read {
        path: path.into(),
        source,
    };
    let too_large = || PackError::Manifest {
        path: path.into(),
        why: format!("larger than {MAX_MANIFEST} bytes"),
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    // What a sparse file is said to hold need not be read to know that it is too much.
    if file.metadata().map_err(failed)?.len() > MAX_MANIFEST {
        return Err(too_large());
    }
    file.take(MAX_MANIFEST + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_MANIFEST {
        return Err(too_large());
    }
    parse_manifest(&text, path)
}

/// Parses and checks a manifest; `path` is for messages.
pub fn parse_manifest(text: &[u8], path: &Path) -> Result<Manifest, PackError> {
    let refused = |why: String| PackError::Manifest {
        path: path.into(),
        why,
    };
    let manifest: Manifest = serde_json::from_slice(text).map_err(|e| refused(e.to_string()))?;
    check(&manifest).map_err(refused)?;
    Ok(manifest)
}

/// Every block index has to be in just one list, in order.
fn check(manifest: &Manifest) -> Result<(), String> {
    let block = BLOCK_LEN as u64;
    if manifest.version != VERSION {
        return Err(format!(
            "version {}, and only {VERSION} is known",
            manifest.version
        ));
    }
    if manifest.block_size != block || !manifest.size.is_multiple_of(block) {
        return Err("size and block_size have to be multiples of 524288".into());
    }
    let blocks = &manifest.blocks;
    let data = blocks.data.iter().map(|b| (b.0, 1));
    let mut runs: Vec<(u64, u64)> = data
        .chain(blocks.zero.iter().copied())
        .chain(blocks.free.iter().copied())
        .collect();
    runs.sort_unstable();
    let mut next = 0u64;
    for (first, count) in runs {
        if first != next || count == 0 {
            return Err(format!("block {next} is not listed just once"));
        }
        next = first
            .checked_add(count)
            .ok_or("a block index is out of range")?;
    }
    if next != manifest.size / block {
        return Err(format!(
            "{next} blocks listed for a disk of {}",
            manifest.size / block
        ));
    }
    if let Some(b) = blocks
        .data
        .iter()
        .find(|b| b.2 as usize >= manifest.packs.len())
    {
        return Err(format!(
            "block {} is in pack {}, which is not listed",
            b.0, b.2
        ));
    }
    Ok(())
}

/// Writes the raw image that `manifest` and its only pack describe to `out`, which is empty. Each
/// block is checked before it is written. Ends with [`PackError::Interrupted`] once `cancel` is set.
pub fn unpack(
    manifest: &Manifest,
    pack: &Path,
    out: &File,
    out_path: &Path,
    cancel: &AtomicBool,
) -> Result<(), PackError> {
    let read = |source| PackError::Read {
        path: pack.into(),
        source,
    };
    let write = |source| PackError::Write {
        path: out_path.into(),
        source,
    };
    let file = File::open(pack).map_err(read)?;
    out.set_len(manifest.size).map_err(write)?;
    let mut decompressor = zstd::bulk::Decompressor::new().map_err(PackError::Compress)?;
    // A frame that is longer than its block uncompressed is no frame of ours.
    let longest = zstd::zstd_safe::compress_bound(BLOCK_LEN);
    let (mut frame, mut block) = (vec![0; longest], vec![0; BLOCK_LEN]);
    for (index, sha256, _, offset, len) in &manifest.blocks.data {
        if cancel.load(Ordering::Relaxed) {
            return Err(PackError::Interrupted);
        }
        let bad = |why: String| PackError::Block {
            path: pack.into(),
            index: *index,
            why,
        };
        let len = *len as usize;
        if len > longest {
            return Err(bad(format!(
                "a frame of {len} bytes, where {longest} are the most"
            )));
        }
        file.read_exact_at(&mut frame[..len], *offset)
            .map_err(|e| match e.kind() {
                // An offset above what a file can have is invalid to pread(2).
                ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => {
                    bad("its frame lies behind the pack's end".into())
                }
                _ => read(e),
            })?;
        let n = decompressor
            .decompress_to_buffer(&frame[..len], &mut block[..])
            .map_err(|e| bad(format!("its frame does not decompress ({e})")))?;
        if n != BLOCK_LEN || hex::encode(Sha256::digest(&block)) != *sha256 {
            return Err(bad("its digest is not the manifest's".into()));
        }
        out.write_all_at(&block, index * BLOCK_LEN as u64)
            .map_err(write)?;
    }
    Ok(())
}
