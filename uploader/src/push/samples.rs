//! Manifests for tests.

use super::delta::{Frame, NewPack};
use imgtool::pack::{Manifest, ManifestBlocks, SnapshotRecord};
use imgtool::pass::BLOCK_LEN;

/// A manifest as imgtool writes it, of blocks with these contents.
pub(crate) fn manifest(contents: &[u8]) -> Manifest {
    let mut offset = 0;
    let frames: Vec<Frame> = contents
        .iter()
        .zip(0..)
        .map(|(content, index)| {
            let len = 100 + u32::from(*content);
            offset += u64::from(len);
            Frame {
                index,
                sha256: [*content; 32],
                offset: offset - u64::from(len),
                len,
            }
        })
        .collect();
    let data = frames.iter();
    let data = data
        .map(|it| (it.index, hex::encode(it.sha256), 0, it.offset, it.len))
        .collect();
    Manifest {
        version: 1,
        name: "web".into(),
        identity: "0".repeat(64),
        architecture: "x86_64".into(),
        boot_modes: vec!["bios".into()],
        size: (contents.len() * BLOCK_LEN) as u64,
        block_size: BLOCK_LEN as u64,
        inputs: Vec::new(),
        snapshot: SnapshotRecord::of(frames.iter().map(|it| (it.index, it.sha256)), &[]),
        packs: vec![NewPack::new(frames).record],
        blocks: ManifestBlocks {
            data,
            zero: Vec::new(),
            free: Vec::new(),
        },
    }
}
