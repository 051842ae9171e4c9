//! Manifests, and packs that may not be what a manifest says.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use imgtool::pack::{self, Manifest, ManifestBlocks, PackRecord, SnapshotRecord};
use imgtool::pass::BLOCK_LEN;

use super::MemoryFile;

pub(crate) fn manifest(input: &[u8]) {
    if let Ok(manifest) = pack::parse_manifest(input, Path::new("a.pack.json")) {
        let count = manifest.size / BLOCK_LEN as u64;
        for (index, ..) in &manifest.blocks.data {
            assert!(*index < count);
        }
    }
}

/// A block of a pack: 16 bits offset, 32 bits length, 32 bytes digest, then the pack.
pub(crate) fn unpack(input: &[u8]) {
    let Some((head, pack)) = input.split_first_chunk::<38>() else {
        return;
    };
    let offset = u64::from(u16::from_le_bytes([head[0], head[1]]));
    let len = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
    let sha256: String = head[6..].iter().map(|b| format!("{b:02x}")).collect();
    let manifest = Manifest {
        version: pack::MANIFEST_VERSION,
        name: "fuzz".into(),
        identity: String::new(),
        architecture: "x86_64".into(),
        boot_modes: Vec::new(),
        size: BLOCK_LEN as u64,
        block_size: BLOCK_LEN as u64,
        inputs: Vec::new(),
        snapshot: SnapshotRecord {
            changed_blocks_count: 1,
            linear_checksum: String::new(),
        },
        packs: vec![PackRecord {
            digest: String::new(),
            size: pack.len() as u64,
        }],
        blocks: ManifestBlocks {
            data: vec![(0, sha256, 0, offset, len)],
            zero: Vec::new(),
            free: Vec::new(),
        },
    };
    let (pack, out) = (MemoryFile::new(pack), MemoryFile::new(b""));
    let never = AtomicBool::new(false);
    let _ = pack::unpack(
        &manifest,
        &pack.path,
        &out.file,
        Path::new("out.img"),
        &never,
    );
}
