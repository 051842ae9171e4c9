//! Reading a pack back. Manifest and pack are hostile until every digest has been checked.

use super::check::check;
use super::{Manifest, PackDisk, PackError};
use crate::block::BLOCK_LEN;
use std::fs::File;
use std::io::Read;
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

/// Writes the raw image that `manifest` and its only pack describe to `out`, which is empty. Each
/// block is checked before it is written. Ends with [`PackError::Interrupted`] once `cancel` is set.
pub fn unpack(
    manifest: &Manifest,
    pack: &Path,
    out: &File,
    out_path: &Path,
    cancel: &AtomicBool,
) -> Result<(), PackError> {
    let write = |source| PackError::Write {
        path: out_path.into(),
        source,
    };
    let mut disk = PackDisk::open(manifest.clone(), pack)?;
    out.set_len(manifest.size).map_err(write)?;
    let mut block = vec![0; BLOCK_LEN];
    for (place, entry) in manifest.blocks.data.iter().enumerate() {
        if cancel.load(Ordering::Relaxed) {
            return Err(PackError::Interrupted);
        }
        disk.read_data_block(place, &mut block)?;
        out.write_all_at(&block, entry.0 * BLOCK_LEN as u64)
            .map_err(write)?;
    }
    Ok(())
}
